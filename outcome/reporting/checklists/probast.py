"""Topics of PROBAST+AI, for judging the risk of bias of a prediction model's evaluation."""

from __future__ import annotations

from outcome.plotting.number_text import plural
from outcome.reporting.checklists.items import Checklist, Item, has_table
from outcome.run_folder.folder import Run

__all__ = ["PROBAST"]


def _events(run: Run) -> str:
    limiting = run.endpoint.limiting_count(run.n_events, run.n_patients - run.n_unknown)
    return f"{plural(limiting, 'event')} in {plural(run.n_patients, 'patient')}"


def _apart(run: Run) -> str:
    return {
        True: "yes; checked in splits.csv",
        False: "no: some scored patients were also training patients",
        None: "not recorded",
    }[run.tested_apart]


def _left_out(run: Run) -> str:
    flow = run.table("cohort_flow.csv")
    if flow.empty or "patients" not in flow:
        return "not recorded"
    lost = int(flow["patients"].iloc[0] - flow["patients"].iloc[-1])
    return f"{plural(lost, 'patient')} excluded, with reasons" if lost else "none excluded"


def _calibrated(run: Run) -> str:
    known = run.table("metrics.csv")
    measured = len(known) > 0 and known["metric"].str.startswith(("brier", "ibs", "calib")).any()
    return "discrimination and calibration" if measured else "discrimination only"


def _censoring(run: Run) -> str:
    return "competing events allowed for" if run.endpoint.competing else "censoring allowed for"


def _new_patients(run: Run) -> str:
    return run.division if run.cross_validated else "patients not used in development"


PROBAST = Checklist(
    "PROBAST+AI",
    "Moons et al., BMJ 2025; 388: e082505",
    "risk of bias of the evaluation. The topics of the four domains are paraphrased; the "
    "numbered signalling questions are not reproduced",
    (
        Item("1 Participants", "Suitable source of data"),
        Item("1 Participants", "Suitable inclusion and exclusion of patients"),
        Item("1 Participants", "Evaluation patients represent the patients of the intended use"),
        Item(
            "2 Predictors",
            "Defined and measured in the same way in all patients",
            has_table("nuisance.csv", "nuisance"),
        ),
        Item("2 Predictors", "Measured without knowledge of the outcome"),
        Item("2 Predictors", "Available when the model is meant to be used"),
        Item("3 Outcome", "Suitable definition, fixed in advance", "methods"),
        Item("3 Outcome", "The definition does not include predictors"),
        Item(
            "3 Outcome", "Determined in the same way in all patients, and blinded to the predictors"
        ),
        Item("3 Outcome", "Suitable time between predictors and outcome"),
        Item("4 Analysis", "Enough patients with the outcome", "cohort", _events),
        Item("4 Analysis", "Excluded patients", "cohort", _left_out),
        Item("4 Analysis", "Missing values handled suitably", "methods"),
        Item(
            "4 Analysis",
            "Censoring and competing events allowed for",
            lambda run: "methods" if run.endpoint.times else "",
            _censoring,
        ),
        Item("4 Analysis", "Relevant performance measures", "discrimination", _calibrated),
        Item(
            "4 Analysis",
            "Evaluated in patients who were not used in any training step",
            "answers",
            _apart,
        ),
        Item("4 Analysis", "How the evaluation patients were obtained", "methods", _new_patients),
        Item(
            "4 Analysis",
            "Performance in relevant subgroups",
            has_table("subgroups.csv", "subgroups"),
        ),
    ),
)
