"""The chapters on ranking: discrimination, AUC over time, comparison, further endpoints."""

from __future__ import annotations

import numpy as np
import pandas as pd

from outcome.plotting.numbers import estimate, interval, number, p_value
from outcome.reporting.page.blocks import Tab, Tabs, ReportSection, TableBlock
from outcome.reporting.page.figures import Drawings
from outcome.reporting.page.formatting import Cell, Table, column, entry
from outcome.reporting.page.metric_names import Metric, metric, overall
from outcome.reporting.sections.section_figures import auc_over_time as draw_auc
from outcome.reporting.sections.summary_section import main_scores
from outcome.run_folder.folder import Run

__all__ = [
    "auc_over_time",
    "comparison",
    "discrimination",
    "metric_table",
    "nuisance",
    "only_covariates",
    "secondary",
]


def discrimination(run: Run, drawings: Drawings) -> ReportSection:
    """Tell how well each arm ranks patients."""
    section = ReportSection("discrimination", "How well each arm ranks patients")
    metrics = overall(run.table("metrics.csv"))
    main, rows = main_scores(run)
    if main is None:
        section.say("This run has no metrics.csv.")
        return section
    section.show(drawings.arms_forest(main, rows))
    kinds = [metric(key, run.endpoint) for key in dict.fromkeys(metrics["metric"])]
    shown = [m for m in kinds if m.family == "discrimination"]
    table = metric_table(run, metrics, shown, "Discrimination: estimate and 95% interval")
    table.notes += [f"{m.label}: {m.meaning}" for m in shown if m.meaning]
    if "note" in metrics:
        mine = metrics[metrics["metric"].isin([m.key for m in shown]) & (metrics["note"] != "")]
        for row in mine[["arm", "metric", "note"]].drop_duplicates().itertuples():
            label = metric(str(row.metric), run.endpoint).label
            table.notes.append(f"{row.arm}, {label}: {row.note}")
    section.show(table)
    section.say(_spread(run), quiet=True)
    section.show(_permutations(run))
    return section


def _spread(run: Run) -> str:
    if not run.cross_validated:
        return ""
    given = "95% intervals are given these fitted models."
    if run.repeats == 1:
        return f"{given} Spread over repeats: not measured, since there was one repeat."
    main, _ = main_scores(run)
    table = run.table("metrics.csv")
    rows = table[table["metric"] == main.key] if main else table.iloc[:0]
    spread = column(rows, "repeat_sd")
    said = [
        f"{arm} {number(sd, 3)}" for arm, sd in zip(rows["arm"], spread, strict=True) if sd == sd
    ]
    found = f" Standard deviation over repeats: {', '.join(said)}." if said else ""
    return f"{given} Values are averages over {run.repeats} repeats.{found}"


def _permutations(run: Run) -> Table:
    rows = run.table("permutations.csv")
    columns = ["Arm", "Statistic", "Observed", "p", "Permutations", "Refitted"]
    table = Table("Permuted outcomes: is there any association?", columns, numeric={2, 3, 4})
    words = {"harrell_c": "C-index", "auroc": "AUROC", "logrank": "log-rank"}
    for _, row in rows.iterrows():
        name, p = str(row["statistic"]), entry(row, "p_value")
        model = str(row.get("model", ""))
        table.add(
            str(row["arm"]), words.get(name, name), Cell(number(row.get("observed"), 2)),
            Cell(number(p, 3), p), entry(row, "n_permutations"),
            {"linear": "linear models of the same inputs"}.get(model, model),
        )  # fmt: skip
    table.notes.append(
        "All of cross-validation was repeated on permuted outcomes, so this p is an ordinary one; "
        "it tests “no association”, not a difference between arms."
    )
    return table


def metric_table(run: Run, metrics: pd.DataFrame, shown: list[Metric], caption: str) -> Table:
    """Put metrics side by side, an arm in each row."""
    heads = [m.label[:1].upper() + m.label[1:] for m in shown]
    columns = ["Arm", *heads, "Patients", run.endpoint.counted]
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


def auc_over_time(run: Run, drawings: Drawings) -> ReportSection | None:
    """Tell how well the arms rank early and late events."""
    table = run.table("auc_over_time.csv")
    if table.empty:
        return None
    section = ReportSection("auc-over-time", "AUC over time")
    section.say(
        "Early and late events may be predicted unequally well; a single C-index does not show it. "
        "At both ends there are few events or few patients left, and the curves are unsteady."
    )
    section.show(draw_auc(drawings, table))
    return section


def comparison(run: Run, drawings: Drawings) -> ReportSection | None:
    """Compare every arm with the baseline."""
    if len(run.arms) < 2:
        return None
    section = ReportSection("comparison", "Comparison of the arms")
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
    rest = rows.drop(index=mine.index)
    if mine.empty:
        mine, rest = rest, rest.iloc[:0]
    section.show(_comparison_table(run, mine, "Differences between arms"))
    if run.cross_validated:
        section.say(
            "Every p is exploratory: interval and test take the fitted models as given, leave out "
            "how models trained on other patients would differ, and so find differences too often.",
            quiet=True,
        )
    if len(rest):
        section.say("The same for all other metrics; descriptive, without correction.")
        tabs: list[Tab] = []
        for (arm, base), part in rest.groupby(["arm", "baseline"], sort=False):
            title = f"{arm} against {base}"
            table = _comparison_table(run, part, title).without_empty_columns()
            tabs.append(Tab(f"others-{len(tabs) + 1}", title, [TableBlock(table)]))
        section.show(Tabs("Comparison", tabs))
    section.show(_added_value(run))
    return section


def _comparison_table(run: Run, rows: pd.DataFrame, caption: str) -> Table:
    columns = ["Arm", "Against", "Metric", "Difference", "95% interval", "p", "p, corrected"]
    columns += ["Patients", "Note"]
    table = Table(caption, columns, numeric={3, 4, 5, 6, 7})
    for _, row in rows.iterrows():
        m = metric(str(row["metric"]), run.endpoint)
        between = interval(row.get("lower"), row.get("upper"), m.fine, sign=True)
        value = float(row["difference"])
        cells = [Cell(estimate(value, digits=m.fine, sign=True), value)]
        cells.append(Cell(between, entry(row, "lower")))
        cells += [_p(entry(row, name)) for name in ("p_value", "p_adjusted")]
        remarks = [r for r in str(row.get("note", "")).split("; ") if r != "descriptive"]
        last = (entry(row, "n_patients_common"), "; ".join(remarks))
        table.add(str(row["arm"]), str(row["baseline"]), m.label, *cells, *last)
    if "p_adjusted" in rows and rows["p_adjusted"].notna().any():
        table.notes.append(
            "Corrected: Holm’s correction over the comparisons; rows without it are descriptive."
        )
    return table


def _p(value: float) -> Cell:
    return Cell(p_value(value).removeprefix("p ").removeprefix("= "), value)


def only_covariates(run: Run, arm: str) -> bool:
    """Whether an arm sees nothing but the clinical covariates."""
    return set(run.inputs.get(arm, [])) == {"clinical"}


def _added_value(run: Run) -> Table:
    rows = run.table("added_value.csv")
    names = ", ".join(str(c) for c in run.covariates if c != "patient_id")
    columns = ["Arm", "Chi-square", "p", "C, covariates", "C, with the score"]
    columns += ["Change in C", "Patients", run.endpoint.counted, "Note"]
    table = Table(f"Does the score add to {names}?", columns, numeric={1, 2, 3, 4, 5, 6, 7})
    for i, row in enumerate(rows.to_dict("records")):
        if only_covariates(run, str(row["arm"])):
            continue
        change = estimate(row["c_difference"], row["lower"], row["upper"], 3, sign=True)
        table.add(
            Cell(str(row["arm"]), i, True), Cell(number(row["chi_square"], 1), row["chi_square"]),
            _p(float(row["p_value"])), Cell(number(row["c_covariates"]), row["c_covariates"]),
            Cell(number(row["c_both"]), row["c_both"]), Cell(change, row["c_difference"]),
            row["n"], row["events"],
            str(row["note"]) if np.isnan(row["chi_square"]) else "",
        )  # fmt: skip
    model = "logistic" if run.predictions.kind == "binary" else "Cox"
    exploratory = "; exploratory for out-of-fold scores" if run.cross_validated else ""
    table.notes.append(
        f"Likelihood-ratio test of the score added to a {model} model of the covariates, "
        f"stratified by fold{exploratory}. C of the fitted models on the same patients "
        "(apparent): compare them with each other, not with the tables above. Patients with "
        "complete covariates."
    )
    return table


def nuisance(run: Run, drawings: Drawings) -> ReportSection | None:
    """Tell what could be predicted without looking at tissue or text."""
    rows = run.table("nuisance.csv")
    if rows.empty:
        return None
    section = ReportSection("nuisance", "What could be predicted without looking")
    section.say(
        "How the material was gathered may tell the outcome by itself: a hospital with sicker "
        "patients, more slides of larger tumours, reports that are missing for a reason. A model "
        "can pick that up. Each of these, alone, under the same folds:"
    )
    main, _ = main_scores(run)
    label = main.label if main and main.key in set(rows["metric"]) else "C-index or AUROC"
    columns = ["Variable", f"{label} (95% interval)", "Patients", run.endpoint.counted, "Note"]
    table = Table("Nuisance baselines", columns, numeric={1, 2, 3})
    for row in rows.to_dict("records"):
        known = np.isfinite(row["estimate"])
        text = estimate(row["estimate"], row["lower"], row["upper"]) if known else ""
        sizes = [row["n"], row["events"]] if row["n"] else [None, None]
        note = row["note"] if isinstance(row["note"], str) else ""
        table.add(str(row["variable"]), Cell(text, row["estimate"]), *sizes, note)
    table.notes.append(
        "The direction of a number and the rate of events of a site are learned from the other "
        "folds. 0.5 is guessing. What tells nothing can fall somewhat below it, since the other "
        "folds hold more of what a fold has less of; a value well above it asks how the arms reach "
        "theirs."
    )
    section.show(table)
    return section


def secondary(run: Run, drawings: Drawings) -> ReportSection | None:
    """Tell how the same scores do on further endpoints, and in strata."""
    metrics = run.table("metrics.csv")
    strata = metrics.drop(index=overall(metrics).index)
    rest = pd.concat([run.others.get("metrics.csv", metrics.iloc[:0]), strata])
    if rest.empty and all(t.empty for t in run.others.values()):
        return None
    section = ReportSection("secondary", "Other endpoints and strata")
    section.say(
        "The same scores and risk groups judged on other outcomes or in parts of the cohort. "
        "Nothing was trained or chosen on them; all of it is descriptive."
    )
    columns = ["Arm", "Endpoint", "Stratum", "Metric", "Estimate", "Patients", "Events"]
    table = Table("Other endpoints and strata (descriptive)", columns, numeric={4, 5, 6})
    for _, row in rest.iterrows():
        m = metric(str(row["metric"]), run.endpoint)
        text = estimate(row["estimate"], row.get("lower"), row.get("upper"), m.digits)
        names = [str(row.get(k, "")).replace("nan", "") for k in ("endpoint", "stratum")]
        sizes = [entry(row, k) for k in ("n", "events")]
        table.add(str(row["arm"]), *names, m.label, Cell(text, float(row["estimate"])), *sizes)
    section.show(table)
    changes = run.others.get("comparisons.csv", pd.DataFrame())
    for name, rows in changes.groupby("endpoint", sort=False) if len(changes) else []:
        mine = rows[rows["metric"].isin(["harrell_c", "auroc"])]
        section.show(_comparison_table(run, mine, f"Differences between arms on {name}"))
    section.show(_other_groups(run))
    return section


def _other_groups(run: Run) -> Table:
    rows = run.others.get("risk_groups.csv", pd.DataFrame())
    # Groups are described over the whole follow-up, which is not what such an endpoint asks.
    by_horizon = [
        e.get("name") for e in run.manifest.get("secondary") or [] if e.get("kind") == "landmark"
    ]
    rows = rows[~rows["endpoint"].isin(by_horizon)] if len(rows) else rows
    columns = ["Arm", "Endpoint", "Group", "Patients", "Events", "Share", "Hazard ratio"]
    table = Table("The same risk groups on other endpoints", columns, numeric={3, 4, 5, 6})
    for row in rows.to_dict("records"):
        n, events, ratio = (entry(row, k) for k in ("n", "events", "hazard_ratio"))
        share = Cell(f"{100 * events / n:.0f}%", events / n) if n > 0 else Cell("")
        lower, upper = entry(row, "hr_lower"), entry(row, "hr_upper")
        hazard = "1 (reference)" if ratio == 1 and np.isnan(lower) else ""
        if np.isfinite(ratio) and not hazard:
            hazard = estimate(ratio, lower, upper)
        table.add(
            str(row["arm"]), str(row["endpoint"]), str(row["group"]), n, events, share,
            Cell(hazard, ratio),
        )  # fmt: skip
    return table
