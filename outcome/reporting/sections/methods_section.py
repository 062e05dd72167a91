"""The methods paragraph: each clause comes from the manifest, or is omitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import horizon_text
from outcome.plotting.number_text import number, plural
from outcome.reporting.page.fold_words import block_name, stratified_words
from outcome.reporting.page.formatting import entry, joined
from outcome.reporting.page.interval_words import interval_sentences, models_held_fixed
from outcome.reporting.sections.training_section import models_of, penalties_of
from outcome.reporting.sections.treatment_section import treatment_methods
from outcome.risk.cutoffs import rule_words
from outcome.run_folder.folder import Run

__all__ = ["methods"]


def methods(run: Run) -> list[str]:
    """Describe the study, one paragraph per topic."""
    parts = (
        _cohort(run),
        _inputs(run),
        _validation(run),
        _training(run),
        _calibration(run),
        _evaluation(run),
        treatment_methods(run),
        _statistics(run),
    )
    return [" ".join(part) for part in parts if part]


def _cohort(run: Run) -> list[str]:
    cohort, end = run.part("cohort"), run.endpoint
    said = []
    if patients := cohort.get("patients"):
        slides = cohort.get("slides")
        events = cohort.get("events")
        text = f"The cohort has {plural(int(patients), 'patient')}"
        text += f" with {plural(int(slides), 'slide')}" if slides else ""
        if events is not None:
            share = f" ({100 * int(events) / int(patients):.0f}%)"
            text += f"; {plural(int(events), end.word)}{share}"
        said.append(f"{text}.")
    said.append(f"The endpoint is {end.name}: {end.described}.")
    if end.landmark is not None:
        said.append(
            f"The outcome of {plural(run.n_unknown, 'patient')} censored before that time is "
            "unknown; the other patients were weighted by the inverse probability of censoring."
        )
    if end.favourable:
        said.append("The positive class is the better outcome; a higher risk score is worse.")
    if end.late:
        follow = run.table("follow_up.csv")
        count = entry(follow.iloc[0], "entered_late") if len(follow) else np.nan
        who = f" ({plural(int(count), 'patient')})" if np.isfinite(count) else ""
        said.append(
            f"Patients who came under observation after the time origin{who} are at risk only "
            "from their entry (left truncation). This holds for the Cox partial likelihood, "
            "baseline hazards, Kaplan-Meier curves, log-rank tests, hazard ratios and the "
            "concordance. For the concordance, a pair counts only if the patient with the "
            "longer time had entered before the earlier event."
        )
    if end.competing:
        count = int((run.status == "competing event").sum())
        found = f" ({plural(count, 'patient')})" if end.landmark is None else ""
        said.append(f"Events that preclude it were treated as competing events{found}.")
    if further := [e for e in run.manifest.get("secondary") or [] if isinstance(e, Mapping)]:
        names = joined([f"{e.get('name')}" for e in further])
        said.append(f"The same scores were also evaluated on {names}; no model was trained on it.")
    if end.horizons and end.landmark is None:
        at = ", ".join(horizon_text(h, end.unit) for h in end.horizons)
        said.append(f"The declared horizons are {at}.")
    if end.strata:
        said.append(
            f"Each stratum ({end.strata}) had its own baseline hazard and was compared separately."
        )
    return said


def _inputs(run: Run) -> list[str]:
    cohort, said = run.part("cohort"), []
    patches = cohort.get("patches")
    encoder = cohort.get("encoder")
    dimension = cohort.get("dimension")
    if isinstance(patches, Mapping) and patches.get("total"):
        vectors = f"{plural(int(patches['total']), 'patch embedding')}"
        vectors += f" of {dimension} dimensions" if dimension else ""
        vectors += f" ({encoder})" if encoder else ""
        text = f"Images entered as {vectors}"
        if patches.get("median") is not None:
            text += f", a median of {number(patches['median'], 0)} per patient"
        if patches.get("min") is not None and patches.get("max") is not None:
            text += f" ({number(patches['min'], 0)} to {number(patches['max'], 0)})"
        said.append(f"{text}.")
    reports = cohort.get("reports")
    if isinstance(reports, Mapping) and reports.get("with") is not None:
        size = f" of {reports['dimension']} dimensions" if reports.get("dimension") else ""
        text = (
            f"Report embeddings{size} were available for {plural(int(reports['with']), 'patient')}"
        )
        if reports.get("without") is not None:
            text += f" and missing for {int(reports['without']):,}"
        said.append(f"{text}.")
    names = [str(c) for c in run.covariates if c != "patient_id"]
    if names:
        said.append(f"The covariates are {', '.join(names)}.")
    arms = [f"“{a}” ({_built(run, a)})" for a in run.arms if run.inputs.get(a)]
    if arms:
        said.append(f"The arms and their inputs: {'; '.join(arms)}.")
    return said


def _built(run: Run, arm: str) -> str:
    """Name the inputs of an arm, and how they are combined."""
    seen = ", ".join(run.inputs[arm])
    declared: list[dict[str, Any]] = run.manifest.get("arms", [])
    spec = next((a for a in declared if a.get("name") == arm), {})
    models = [m for m, _ in models_of(run, arm) if m]
    fusion = f"; {spec['fusion']} fusion" if spec.get("fusion") else ""
    return f"{seen}{fusion}; {', '.join(models)}" if models else f"{seen}{fusion}"


def _validation(run: Run) -> list[str]:
    split, protocol, said = run.part("split"), run.part("protocol"), []
    if run.folds == 1 and run.repeats > 1:
        said.append(
            f"Patients were divided {run.repeats} times into a development set and a test set. "
            "Each test set was scored once, by models trained on its development set. The "
            "development sets overlap."
        )
    if run.folds > 1:
        times = f", repeated {run.repeats} times" if run.repeats > 1 else ""
        said.append(
            f"Patients were divided into {run.folds} folds{times}. Each fold was scored once, by "
            "models trained on the other folds."
        )
    if source := split.get("source"):
        said.append(f"Source of the folds: {source}.")
    if inner := split.get("inner_folds"):
        said.append(
            f"All choices were made on development patients only, in up to {inner} inner folds."
        )
    if cut := protocol.get("cutoffs"):
        said.append(
            f"Cut-offs of the risk groups were {rule_words(cut)} of the development patients’ "
            "risks."
        )
    if split.get("seed") is not None:
        said.append(f"The random seed of the division is {split['seed']}.")
    return said


def _training(run: Run) -> list[str]:
    said, settings = list[str](), run.part("training")
    fitted: dict[str, list[str]] = {}
    for arm in run.arms:
        for name, records in models_of(run, arm):
            if words := _fitted(records):
                # Arms share the fits of their models; identical descriptions are given once.
                fitted.setdefault(f"{name or joined([arm])} {words}", []).append(arm)
    for words, arms in fitted.items():
        within = f" (in {joined(arms)})" if not words.startswith("“") else ""
        said.append(f"{words[:1].upper()}{words[1:]}{within}.")
    if said and settings.get("components"):
        said.insert(
            0,
            "Preprocessing (means and standard deviations, at most "
            f"{settings['components']} principal components of the vectors, medians for missing "
            "covariates) was fitted on development patients.",
        )
    if any(e.get("epochs") is not None for e in run.manifest.get("epochs") or []):
        said.append(
            "The number of epochs was chosen to minimise the loss over the inner folds; "
            "concordance was not used."
        )
    if few := {(e["repeat"], e["fold"]) for e in run.manifest.get("epochs") or []
               if e.get("few_events")}:  # fmt: skip
        said.append(
            f"In {plural(len(few), 'fold')} the development patients had too few events to "
            "choose settings. In these folds, half of the epochs (or a fixed penalty) and a "
            "calibration slope of 1 were used."
        )
    return said


def _fitted(records: list[dict[str, Any]]) -> str:
    """Describe how the models of one kind were fitted over the outer folds."""
    epochs = [float(e["epochs"]) for e in records if e.get("epochs") is not None]
    if epochs:
        middle = number(float(np.median(epochs)), 0 if np.median(epochs) % 1 == 0 else 1)
        return (
            f"was trained for a median of {middle} epochs ({min(epochs):.0f} to {max(epochs):.0f})"
        )
    penalties = [p for e in records for p in penalties_of(e)]
    if penalties:
        low, high = min(penalties), max(penalties)
        span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        return f"is a linear model with a ridge penalty ({span})"
    return ""


def _calibration(run: Run) -> list[str]:
    how = run.part("protocol").get("calibration")
    if not how:
        return []
    said = [f"Scores were calibrated on the out-of-fold risks of development patients: {how}."]
    if run.endpoint.competing and run.endpoint.ranks_times:
        said.append(
            "Training treats competing events as censoring (cause-specific hazard). The "
            "absolute risk is a cumulative incidence that combines both hazards."
        )
    if run.endpoint.ranks_times:
        said.append("Negative slopes were set to 0; the risk score itself is never reversed.")
    return said


def _evaluation(run: Run) -> list[str]:
    said, present = [], set(run.table("metrics.csv")["metric"])
    resamples = run.manifest.get("resamples")
    said += interval_sentences(run)
    per_fold = ", within folds" if run.cross_validated else ""
    drawn = f"percentiles of {int(resamples or 0):,} bootstrap resamples of patients{per_fold}"
    if models_held_fixed(run) and resamples:
        said.append(
            f"95% confidence intervals of discrimination and of Brier scores are {drawn}, with "
            "the same resamples for every arm. Intervals of calibration and of ratios are "
            "normal approximations."
        )
    elif not models_held_fixed(run):
        said.append(
            "Confidence intervals of the concordance, AUROC, AUC over time and Brier scores are "
            "based on a t distribution. Intervals of calibration and of ratios are normal "
            "approximations, given the fitted models."
        )
        if resamples:
            only = "; AUPRC and sensitivity have only these intervals" if "auprc" in present else ""
            said.append(
                f"Intervals that treat the fitted models as fixed ({drawn}, with the same "
                "resamples for every arm) are in the columns lower_fixed and upper_fixed of the "
                f"tables{only}."
            )
    if present & {"harrell_c", "auroc"} and run.cross_validated:
        name = "C-index" if "harrell_c" in present else "AUROC"
        said.append(
            f"Risk scores of different folds were never compared. The {name} was computed in "
            "each test fold and averaged."
        )
    if models_held_fixed(run):
        said.append("All p values are exploratory.")
    return said


def _hazard_ratios(run: Run) -> str:
    words = stratified_words(run)
    first = " from the first repeat and" if run.repeats > 1 else ""
    how = f"are{first} {words}" if words else "treat all patients as one set"
    return f"Hazard ratios (Cox models, ties after Efron) and log-rank tests {how}."


def _statistics(run: Run) -> list[str]:
    said = []
    comparisons = run.table("comparisons.csv")
    if comparisons.get("p_value", pd.Series(dtype=float)).notna().any():
        pairs = len(comparisons[["arm", "baseline"]].drop_duplicates())
        held = f", with Holm’s correction over {pairs} comparisons" if pairs > 1 else ""
        test = "z" if models_held_fixed(run) else "t"
        said.append(
            f"Arms were compared on the patients scored by both, with a {test} test of the "
            "difference. Its standard error comes from the paired influence values of the "
            f"patients{held}."
        )
    if len(run.table("effects.csv")) and run.endpoint.times:
        said.append(_hazard_ratios(run))
    if len(run.table("subdistribution.csv")):
        said.append(
            "Subdistribution hazard ratios are from the model of Fine and Gray, with censoring "
            f"weights and baselines{f' of each {name}' if (name := block_name(run)) else ''}. "
            "Their robust standard errors "
            "include the estimation of these weights."
        )
    if len(run.table("set_aside.csv")):
        said.append(
            "The uncertainty of a prediction is the standard deviation of the predicted "
            "probability over the inner models of the fold."
        )
    if len(bounds := run.table("survival_bounds.csv")):
        said.append(
            f"Lower bounds of survival times have a nominal coverage of "
            f"{100 * bounds['nominal'].iloc[0]:.0f}%: conformal prediction on out-of-inner-fold "
            "risks of development patients (Candès, Lei and Ren 2023; cut-offs that adapt to the "
            "patient after Gui et al. 2024), with events weighted by the inverse probability of "
            "not being censored."
        )
    tested = run.table("permutations.csv")
    if len(tested) and "n_permutations" in tested:
        count = int(tested["n_permutations"].max())
        said.append(f"The whole cross-validation was repeated on {count:,} permuted outcomes.")
    tested = run.table("input_permutations.csv")
    if len(tested) and "n_permutations" in tested:
        count, names = (
            int(tested["n_permutations"].max()),
            " and ".join(tested["exchanged"].unique()),
        )
        said.append(
            f"Whether an input ({names}) adds information to the others was tested with "
            f"{count:,} permutations of the input among patients. All models were fitted again "
            "on the same folds."
        )
    if run.manifest.get("versions"):
        kept = ("slide-outcome", "outcome", "torch", "lifelines", "scikit-survival")
        versions: Mapping[str, Any] = run.part("versions")
        named = [f"{k} {versions[k]}" for k in kept if k in versions]
        if named:
            said.append(f"Software: {', '.join(named)}.")
    return said
