"""The chapters of the report, each made from the run alone; None where it has no subject."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from outcome.reporting.blocks import Fact, Facts, Flow, Section, Step
from outcome.reporting.drawings import Drawings
from outcome.reporting.folder import Run
from outcome.reporting.headline import main_scores
from outcome.reporting.labels import Metric, metric, overall
from outcome.reporting.methods import methods
from outcome.reporting.panels import risk_groups, scores, training
from outcome.reporting.tables import (
    Cell,
    Table,
    entry,
    estimate,
    from_mapping,
    interval,
    number,
    p_value,
    plural,
)

__all__ = ["SECTIONS", "Maker"]

Maker = Callable[[Run, Drawings], Section | None]
MOST_INPUTS = 40


def cohort(run: Run, drawings: Drawings) -> Section:
    """Tell who was analysed, and who was lost on the way."""
    section = Section("cohort", "Cohort")
    flow = run.table("cohort_flow.csv")
    if flow.empty:
        section.say("This run has no cohort_flow.csv, so losses on the way cannot be shown.")
    else:
        section.show(Flow(_steps(flow, run.endpoint.word)))
    missing = run.part("cohort").get("reports")
    if isinstance(missing, dict) and missing.get("without"):
        total = int(missing["without"]) + int(missing.get("with") or 0)
        section.say(f"{int(missing['without']):,} of {plural(total, 'patient')} have no report.")
    section.show(_by_fold(run))
    return section


def _steps(flow: pd.DataFrame, word: str) -> list[Step]:
    steps: list[Step] = []
    before = None
    for _, row in flow.iterrows():
        counts = _counts(row, word)
        lost = ""
        if before is not None:
            gone = [
                plural(int(before[k] - row[k]), noun)
                for k, noun in (("patients", "patient"), ("slides", "slide"))
                if k in flow and before[k] - row[k] > 0
            ]
            lost = ", ".join(gone)
        steps.append(Step(str(row["step"]), counts, lost, str(row.get("reason") or "")))
        before = row
    return steps


def _counts(row: pd.Series, word: str) -> str:
    said = [
        plural(int(row[k]), noun)
        for k, noun in (("patients", "patient"), ("slides", "slide"), ("events", word))
        if k in row and pd.notna(row[k])
    ]
    return ", ".join(said)


def _by_fold(run: Run) -> Table:
    """Patients and events in each fold of the first repeat."""
    outcome = "event" if "event" in run.predictions.table else "label"
    name = "Events" if outcome == "event" else "Positive"
    what = "Test patients of each fold" + (", first repeat" if run.repeats > 1 else "")
    table = Table(what, ["Fold", "Patients", name, f"{name}, %"], numeric={1, 2, 3})
    if not run.cross_validated:
        return table
    rows = run.first_repeat(run.arms[0])
    for fold, chosen in rows.groupby("fold", sort=False):
        count = float((chosen[outcome].astype(float) == 1).sum())
        table.add(str(fold), len(chosen), count, Cell(f"{100 * count / len(chosen):.0f}", count))
    return table


def discrimination(run: Run, drawings: Drawings) -> Section:
    """Tell how well each arm ranks patients."""
    section = Section("discrimination", "How well each arm ranks patients")
    metrics = overall(run.table("metrics.csv"), run.endpoint)
    main, rows = main_scores(run)
    if main is None:
        section.say("This run has no metrics.csv.")
        return section
    section.show(drawings.arms_forest(main, rows))
    kinds = [metric(key, run.endpoint) for key in dict.fromkeys(metrics["metric"])]
    shown = [m for m in kinds if m.family == "discrimination"]
    table = _metric_table(run, metrics, shown, "Discrimination: estimate and 95% interval")
    table.notes += [f"{m.label}: {m.meaning}" for m in shown if m.meaning]
    if "note" in metrics:
        notes = metrics.loc[metrics["note"] != "", ["arm", "metric", "note"]].drop_duplicates()
        for row in notes.itertuples():
            label = metric(str(row.metric), run.endpoint).label
            table.notes.append(f"{row.arm}, {label}: {row.note}")
    section.show(table)
    section.say(_spread(run), quiet=True)
    section.show(_other_rows(run))
    return section


def _spread(run: Run) -> str:
    if not run.cross_validated:
        return ""
    given = "95% intervals are given these fitted models."
    if run.repeats == 1:
        return f"{given} Spread over repeats: not measured, since there was one repeat."
    return f"{given} Values are averages over {run.repeats} repeats."


def _metric_table(run: Run, metrics: pd.DataFrame, shown: list[Metric], caption: str) -> Table:
    word = "Positive" if run.endpoint.kind == "binary" else "Events"
    heads = [m.label[:1].upper() + m.label[1:] for m in shown]
    columns = ["Arm", *heads, "Patients", word]
    table = Table(caption, columns, numeric=set(range(1, len(columns))))
    for i, arm in enumerate(run.arms):
        mine = metrics[metrics["arm"] == arm].drop_duplicates("metric").set_index("metric")
        if mine.empty:
            continue
        cells = []
        for m in shown:
            row = mine.loc[m.key] if m.key in mine.index else pd.Series(dtype=float)
            value = entry(row, "estimate")
            text = estimate(value, row.get("lower"), row.get("upper"), m.digits)
            cells.append(Cell(text if m.key in mine.index else "", value))
        sizes = [mine[k].max() if k in mine else np.nan for k in ("n", "events")]
        table.add(Cell(arm, i, True, f"arm-{i % 8}"), *cells, *sizes)
    return table


def _other_rows(run: Run) -> Table:
    """Secondary endpoints and strata, where the run has them."""
    metrics = run.table("metrics.csv")
    rest = metrics.drop(index=overall(metrics, run.endpoint).index)
    columns = ["Arm", "Endpoint", "Stratum", "Metric", "Estimate", "Patients", "Events"]
    table = Table("Other endpoints and strata (descriptive)", columns, numeric={4, 5, 6})
    for _, row in rest.iterrows():
        m = metric(str(row["metric"]), run.endpoint)
        text = estimate(row["estimate"], row.get("lower"), row.get("upper"), m.digits)
        names = [str(row.get(k, "")) for k in ("endpoint", "stratum")]
        sizes = [entry(row, k) for k in ("n", "events")]
        table.add(str(row["arm"]), *names, m.label, Cell(text, float(row["estimate"])), *sizes)
    return table


def comparison(run: Run, drawings: Drawings) -> Section | None:
    """Compare every arm with the baseline."""
    if len(run.arms) < 2:
        return None
    section = Section("comparison", "Comparison of the arms")
    rows = run.table("comparisons.csv")
    if rows.empty:
        section.say("This run has no comparisons.csv.")
        return section
    section.say(
        "Both arms are judged on the same patients and folds. A difference above zero favours "
        "the first arm, except for errors such as the Brier score, where lower is better."
    )
    main, _ = main_scores(run)
    mine = rows[rows["metric"] == main.key] if main else rows.iloc[:0]
    if main is not None and mine["difference"].notna().any():
        section.show(drawings.difference_forest(main, mine))
    section.show(_comparison_table(run, pd.concat([mine, rows.drop(index=mine.index)])))
    if run.cross_validated:
        section.say(
            "Every p is exploratory: interval and test take the fitted models as given, leave out "
            "how models trained on other patients would differ, and so find differences too often.",
            quiet=True,
        )
    return section


def _comparison_table(run: Run, rows: pd.DataFrame) -> Table:
    columns = ["Arm", "Against", "Metric", "Difference", "95% interval", "p", "p, corrected"]
    columns += ["Patients", "Note"]
    table = Table("Differences between arms", columns, numeric={3, 4, 5, 6, 7})
    for _, row in rows.iterrows():
        m = metric(str(row["metric"]), run.endpoint)
        between = interval(row.get("lower"), row.get("upper"), m.fine, sign=True)
        value = float(row["difference"])
        cells = [Cell(estimate(value, digits=m.fine, sign=True), value)]
        cells.append(Cell(between, entry(row, "lower")))
        for name in ("p_value", "p_adjusted"):
            p = entry(row, name)
            cells.append(Cell(p_value(p).removeprefix("p ").removeprefix("= "), p))
        remarks = [r for r in str(row.get("note", "")).split("; ") if r != "descriptive"]
        last = (entry(row, "n_patients_common"), "; ".join(remarks))
        table.add(str(row["arm"]), str(row["baseline"]), m.label, *cells, *last)
    if "p_adjusted" in rows and rows["p_adjusted"].notna().any():
        table.notes.append(
            "Corrected: Holm’s correction over the comparisons; rows without it are descriptive."
        )
    return table


def probabilities(run: Run, drawings: Drawings) -> Section | None:
    """Tell whether the predicted probabilities are right; only where they were evaluated."""
    metrics = overall(run.table("metrics.csv"), run.endpoint)
    kinds = [metric(key, run.endpoint) for key in dict.fromkeys(metrics["metric"])]
    shown = [m for m in kinds if m.family == "probability"]
    if not shown:
        return None
    section = Section("probabilities", "Are the predicted probabilities right?")
    table = _metric_table(run, metrics, shown, "Predicted probabilities: estimate, 95% interval")
    table.notes += [f"{m.label}: {m.meaning}" for m in shown if m.meaning]
    section.show(table)
    return section


def how(run: Run, drawings: Drawings) -> Section:
    """Tell what was done, from the manifest."""
    section = Section("methods", "Methods")
    section.say(*methods(run))
    settings = from_mapping("Protocol", ["Setting", "Value"], run.part("protocol"))
    section.show(settings)
    section.show(from_mapping("Training settings", ["Setting", "Value"], run.part("training")))
    return section


def warnings(run: Run, drawings: Drawings) -> Section:
    """Tell what the run warned of, and what it noted."""
    section = Section("warnings", "Warnings and notes")
    found = [str(w) for w in run.manifest.get("warnings") or []] + list(run.problems)
    notes = [str(n) for n in run.manifest.get("notes") or []]
    if found:
        section.show(Facts([Fact(False, text) for text in found]))
    else:
        section.say("This run gave no warnings.")
    if notes:
        section.say("Notes:")
        section.show(Facts([Fact(True, text) for text in notes], mark=False))
    return section


def reproducibility(run: Run, drawings: Drawings) -> Section:
    """Tell what is needed to run it again."""
    section = Section("reproducibility", "Reproducibility")
    about = {
        "Command": run.manifest.get("command"),
        "Made": run.manifest.get("created"),
        "Platform": run.manifest.get("platform"),
        "Device": run.manifest.get("device"),
        "Threads per fit": run.manifest.get("threads"),
        "Seed of the division": run.part("split").get("seed"),
        "Seed of training": run.part("training").get("seed"),
        "Duration": _duration(run.manifest.get("seconds")),
    }
    given = {k: v for k, v in about.items() if v not in (None, "")}
    section.show(from_mapping("This run", ["What", "Value"], given))
    section.show(from_mapping("Versions", ["Package", "Version"], run.part("versions")))
    inputs = run.part("inputs")
    shown = dict(list(inputs.items())[:MOST_INPUTS])
    table = from_mapping("Input files", ["File", "SHA-256"], shown)
    if len(inputs) > len(shown):
        table.notes.append(
            f"The first {len(shown)} of {len(inputs):,}; manifest.json lists all of them."
        )
    section.show(table)
    return section


def _duration(seconds: object) -> str | None:
    if not isinstance(seconds, (int, float)):
        return None
    if seconds < 120:
        return f"{number(seconds, 0)} s"
    return f"{number(seconds / 60, 0)} min" if seconds < 7200 else f"{number(seconds / 3600, 1)} h"


def patients(run: Run, drawings: Drawings) -> Section | None:
    """List every patient with the scores of each arm; only when ids were asked for."""
    if not run.show_ids:
        return None
    section = Section("patients", "Patients")
    first = run.first_repeat(run.arms[0]).set_index("patient_id")
    kept = [c for c in ("fold", "strata", "time", "event", "label") if c in first]
    heads = [c.capitalize() for c in kept]
    arms = [(a, run.first_repeat(a).set_index("patient_id")) for a in run.arms]
    each = [f"{a}: {what}" for a, _ in arms for what in ("risk", "group")]
    what = "Patients of the first repeat" if run.repeats > 1 else "Patients"
    table = Table(what, ["Patient", *heads, *each])
    for patient in dict.fromkeys(p for _, rows in arms for p in rows.index):
        cells: list[Cell | str | float] = []
        for name in kept:
            value = first[name].get(patient, "")
            cells.append(value if isinstance(value, str) else float(value))
        for _, rows in arms:
            here = rows.loc[patient] if patient in rows.index else {}
            risk = entry(here, "risk")
            cells += [Cell(number(risk, 3), risk), str(here.get("risk_group", ""))]
        table.add(str(patient), *cells)
    table.notes.append("Risks of different folds have no common scale.")
    section.show(table)
    return section


SECTIONS: tuple[Maker, ...] = (
    cohort,
    discrimination,
    comparison,
    risk_groups,
    scores,
    probabilities,
    training,
    how,
    warnings,
    reproducibility,
    patients,
)
"""In the order of the page; a further chapter is one more function here."""
