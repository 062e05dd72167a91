"""The chapter on two treatments: whether the effect of treatment depends on the score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from outcome.evaluation.metric_descriptions import horizon_text
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.number_text import estimate, number, p_number, p_value, plural, signed
from outcome.plotting.treatment_plots import plot_effect_by_score, plot_treatment_curves
from outcome.reporting.page.blocks import (
    Answer,
    Block,
    Folded,
    Picture,
    ReportSection,
    TableBlock,
    Text,
)
from outcome.reporting.page.figures import WIDTH, ReportFigures, arm_tabs, forest_heading
from outcome.reporting.page.fold_words import stratified_words
from outcome.reporting.page.formatting import Cell, Table, quote
from outcome.run_folder.folder import Run
from outcome.tables.treatment import TreatmentAssignment

__all__ = ["treatment", "treatment_answer", "treatment_methods"]

MODELS = {"unadjusted": "unadjusted", "weighted": "weighted by inverse probability of treatment"}
TERMS = {
    "treatment": "{other} against {reference}, at the mean score",
    "score": "score, per SD, with {reference} (prognostic)",
    "score, treated": "score, per SD, with {other}",
    "score x treatment": "score × treatment, per SD (predictive)",
    "smooth score x treatment": "smooth function of the score × treatment",
    "risk group x treatment": "risk group × treatment",
}
FIRST = "score x treatment"
CONFOUNDED = (
    "Treatments were not randomised. Patients with different treatments may differ in other "
    "factors that affect the outcome, and these differences may depend on the score. "
    "Confounding may explain the results of this chapter."
)


def treatment(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show how the effect of treatment depends on the score of each arm."""
    table, assigned = run.table("treatment_interaction.csv"), run.patients.treatment
    if table.empty or assigned is None:
        return None
    section = ReportSection("treatment", "Treatment: is the score predictive of benefit?")
    section.say(
        "A score is prognostic if the outcome of patients with the same treatment depends on "
        f"the score. It is predictive if the effect of {assigned.other} against "
        f"{assigned.reference} depends on the score; this is the interaction of score and "
        "treatment. A prognostic score need not be predictive. A treatment effect in one risk "
        "group alone does not show that a score is predictive."
    )
    section.say(*_conditions(run, assigned, table))

    def make(arm: str) -> Sequence[Block]:
        mine = table[table["arm"] == arm]
        if mine.empty:
            return []
        blocks: list[Block] = [Text([_sentence(run, assigned, _main_row(mine))])]
        blocks += _pictures(run, drawings, arm, assigned)
        tables = (_interaction_table(arm, mine, run, assigned), _effect_table(run, arm, assigned))
        blocks += [TableBlock(t.without_empty_columns()) for t in tables if t.rows]
        gaps = _difference_table(run, arm, assigned)
        return [*blocks, *([TableBlock(gaps.without_empty_columns())] if gaps.rows else [])]

    section.show(arm_tabs(run, drawings, "treatment", make))
    balance = [t for t in (_balance_table(run, assigned), _weight_table(run)) if t.rows]
    if balance:
        blocks = [TableBlock(t.without_empty_columns()) for t in balance]
        section.show(Folded("Balance of the covariates before and after weighting", blocks))
    return section


def _conditions(run: Run, assigned: TreatmentAssignment, table: pd.DataFrame) -> list[str]:
    """Describe the treatment assignment, the exclusions, and how to interpret the results."""
    said = []
    if assigned.randomised:
        said.append("Treatments were randomised (as declared).")
    else:
        said.append(CONFOUNDED)
        said.append(
            "The weights balance the measured covariates between the two treatments. Unmeasured "
            "differences remain."
            if (table["model"] == "weighted").any()
            else "There is no adjustment: the run has no usable covariates."
        )
    if unknown := int(table["unknown"].max()):
        verb = "is" if unknown == 1 else "are"
        said.append(
            f"{plural(unknown, 'patient')} without a known treatment {verb} excluded from this "
            "chapter only."
        )
    if run.endpoint.favourable:
        said.append(
            f"Odds are those of {run.endpoint.positive_name}, the better outcome. A ratio above "
            f"1 is a benefit of {assigned.other}."
        )
    else:
        said.append(f"A ratio below 1 is a benefit of {assigned.other}.")
    if run.endpoint.competing:
        said.append(
            "Ratios and restricted means are cause-specific: they treat competing events as "
            "censoring. Curves and survival refer to the event of interest."
        )
    if run.endpoint.landmark is not None:
        said.append(
            "Hazard ratios refer to the whole follow-up, not only to the time up to the landmark."
        )
    if run.repeats > 1:
        said.append("The score is that of the first repeat.")
    if run.cross_validated and assigned.randomised:
        said.append(
            "Scores are out-of-fold. In simulated randomised trials without an interaction, the "
            "p value of the interaction test was below .05 in 4% to 6% of trials."
        )
    return said


def _main_row(rows: pd.DataFrame) -> pd.Series:
    """Return the interaction of the last model, which is the weighted one if present."""
    return rows[rows["term"] == FIRST].iloc[-1]


def _test(row: pd.Series) -> tuple[float, str]:
    """Return the p value of a test, and the name of the test."""
    p = float(row["p_value"])
    return (p, "likelihood ratio") if np.isfinite(p) else (float(row["wald_p"]), "Wald")


def _sentence(run: Run, assigned: TreatmentAssignment, row: pd.Series) -> str:
    """Describe the interaction of an arm in words."""
    arm = quote(str(row["arm"]))
    p, test = _test(row)
    if not np.isfinite(p):
        note = row["note"] if isinstance(row["note"], str) and row["note"] else "not estimable"
        return f"{arm}: the interaction of score and treatment could not be estimated ({note})."
    ratio = run.endpoint.ratio
    size = estimate(row["ratio"], row["lower"], row["upper"])
    corrected = float(row["p_adjusted"])
    several = (
        f"; {p_value(corrected)} after Holm’s correction over arms" if len(run.arms) > 1 else ""
    )
    numbers = f"ratio of {ratio}s {size} per SD; {test} {p_value(p)}{several}"
    if corrected < 0.05:
        # With an increasing score, the ratio moves towards benefit or away from it.
        higher = (float(row["ratio"]) > 1) == run.endpoint.favourable
        side = "greater" if higher else "smaller"
        if not assigned.randomised:
            return (
                f"{arm}: the difference between {assigned.other} and {assigned.reference} is "
                f"associated with the score, and is {side} in favour of {assigned.other} at higher "
                f"scores ({numbers})."
            )
        return (
            f"{arm}: the effect of {assigned.other} against {assigned.reference} depends on the "
            f"score; its benefit is {side} at higher scores ({numbers})."
        )
    fragile = p < 0.05
    return (
        f"{arm}: "
        + ("no evidence, after Holm’s correction," if fragile else "no evidence")
        + f" that the effect of {assigned.other} against {assigned.reference} depends on the "
        f"score ({numbers})."
    )


def _no_conclusion(table: pd.DataFrame, *, seen: bool) -> str:
    """Say what cannot be concluded where treatments were not randomised."""
    weighted = (table["model"] == "weighted").any()
    how = "adjusted for the measured covariates only" if weighted else "unadjusted"
    return (
        f"{'An association is seen. ' if seen else ''}Treatments were not randomised and the "
        f"analysis is {how}, so no conclusion about benefit is possible."
    )


def _first_ratio(run: Run, row: pd.Series) -> str:
    """Describe the interaction of the first arm, for the first screen."""
    if not np.isfinite(row["ratio"]):
        return f"For {quote(str(row['arm']))} it could not be estimated."
    size = estimate(row["ratio"], row["lower"], row["upper"])
    return (
        f"Ratio of {run.endpoint.ratio}s {size} per SD of the score of {quote(str(row['arm']))}; "
        "1 means no dependence."
    )


def treatment_answer(run: Run) -> Answer | None:
    """Answer on the first screen whether the effect of treatment depends on the score."""
    table, assigned = run.table("treatment_interaction.csv"), run.patients.treatment
    if table.empty or assigned is None:
        return None
    rows = [_main_row(table[table["arm"] == a]) for a in run.arms if a in set(table["arm"])]
    found = [float(r["p_adjusted"]) < 0.05 for r in rows]
    known = [np.isfinite(_test(r)[0]) for r in rows]
    short = "No evidence of it"
    if any(found) and not assigned.randomised:
        short = "An association, not a conclusion about benefit"
    elif any(found):
        short = "It seems so" if all(found) else "For some scores"
    elif not any(known):
        short = "Cannot be said"
    said = [_first_ratio(run, rows[0]), *(_sentence(run, assigned, r) for r in rows)]
    if not assigned.randomised:
        said.insert(0, _no_conclusion(table, seen=any(found)))
    return Answer(f"Does the effect of {assigned.other} depend on the score?", short, said)


def _pictures(run: Run, d: ReportFigures, arm: str, assigned: TreatmentAssignment) -> list[Block]:
    made: list[Block] = []
    effects = run.table("treatment_effects.csv")
    mine = effects[effects["arm"] == arm] if len(effects) else effects
    curves = run.table("treatment_curves.csv")
    shown = curves[curves["arm"] == arm] if len(curves) else curves
    if len(shown):
        made.append(_draw_curves(run, d, arm, assigned, shown, mine))
    if len(mine) and mine["ratio"].notna().any():
        made.append(_draw_forest(run, d, arm, assigned, mine))
    smooth = run.table("treatment_effect_by_score.csv")
    smooth = smooth[smooth["arm"] == arm] if len(smooth) else smooth
    if len(smooth):
        made.append(_draw_smooth(run, d, arm, assigned, smooth))
    return made


def _draw_curves(
    run: Run,
    d: ReportFigures,
    arm: str,
    assigned: TreatmentAssignment,
    curves: pd.DataFrame,
    effects: pd.DataFrame,
) -> Picture:
    """Draw a panel for each risk group, with a curve for each treatment."""
    model = str(curves["model"].iloc[-1])
    curves, effects = (t[t["model"] == model] for t in (curves, effects))
    groups = [g for g in run.groups(arm) if (curves["group"] == g).any()]
    groups = groups or list(dict.fromkeys(curves["group"]))
    figure = Figure(figsize=(3.5 * len(groups), 2.9))
    axes = np.ravel(figure.subplots(1, len(groups), squeeze=False))
    figure.subplots_adjust(wspace=0.62)
    end, said = run.endpoint, []
    short = "HR" if end.times else "OR"
    for ax, group in zip(axes, groups, strict=True):
        row = effects[effects["group"] == group]
        title = f"Risk group {group}"
        if len(row) and np.isfinite(row["ratio"].iloc[0]):
            r = row.iloc[0]
            title += f"\n{short} {estimate(r['ratio'], r['lower'], r['upper'])}"
        said.append(title.replace("\n", ": "))
        plot_treatment_curves(
            curves[curves["group"] == group], ax,
            treatments=(assigned.reference, assigned.other), unit=end.unit, title=title,
            ylabel="Free of the event" if ax is axes[0] else "", time_unit=run.time_unit,
        )  # fmt: skip
    kind = "Aalen-Johansen" if end.competing else "Kaplan-Meier"
    how = "" if model == "unadjusted" else ", weighted by the inverse probability of treatment"
    return d.gallery.save(
        figure,
        f"treatment-curves-{d.slugs[arm]}",
        alt=f"{kind} curves of {arm} by treatment in each risk group, with numbers at risk. "
        f"{'; '.join(said)}.",
        caption=f"{arm}: patients without the event ({end.name}) by treatment, in each risk group"
        f"{how} ({kind}). {short}: {assigned.other} against {assigned.reference}. Bands: pointwise "
        "95% intervals. Ticks: patients whose follow-up ended.",
    )


def _draw_forest(
    run: Run, d: ReportFigures, arm: str, assigned: TreatmentAssignment, effects: pd.DataFrame
) -> Picture:
    ratio = run.endpoint.ratio
    models = list(dict.fromkeys(effects["model"]))
    rows: list[dict[str, object]] = []
    for model in models:
        if len(models) > 1:
            rows.append(forest_heading(str(model).capitalize()))
        rows += [
            {
                "label": f"{r.group} ({r.n_reference + r.n_treated:.0f} /"
                f" {r.events_reference + r.events_treated:.0f})",
                "estimate": r.ratio,
                "lower": r.lower,
                "upper": r.upper,
                "colour": d.colours[arm],
            }
            for r in effects[effects["model"] == model].itertuples()
        ]
    data = pd.DataFrame(rows)
    listed = "; ".join(
        f"{r.group} {estimate(r.ratio, r.lower, r.upper)}" for r in effects.itertuples()
    )
    return d.save(
        lambda ax: plot_forest(
            data, ax, reference=1.0, log=True,
            xlabel=f"{ratio[0].upper()}{ratio[1:]}, {assigned.other} / {assigned.reference}",
        ),
        f"treatment-effects-{d.slugs[arm]}",
        (2.6, 0.7 + 0.27 * len(data)),
        alt=f"Forest plot of {ratio}s of {assigned.other} against {assigned.reference}. {listed}.",
        caption=f"{arm}: {ratio} of {assigned.other} against {assigned.reference} in all patients "
        f"and in each risk group (patients / {run.endpoint.word}s), with 95% intervals.",
    )  # fmt: skip


def _draw_smooth(
    run: Run, d: ReportFigures, arm: str, assigned: TreatmentAssignment, table: pd.DataFrame
) -> Picture:
    ratio = run.endpoint.ratio
    ends = [table[table["model"] == table["model"].iloc[-1]].iloc[i] for i in (0, -1)]
    said = "; ".join(
        f"at {signed(r['score'], 1)} SD {estimate(r['ratio'], r['lower'], r['upper'])}"
        for r in ends
    )
    return d.save(
        lambda ax: plot_effect_by_score(
            table, ax, labels=MODELS,
            ylabel=f"{ratio[0].upper()}{ratio[1:]},\n{assigned.other} / {assigned.reference}",
        ),
        f"treatment-by-score-{d.slugs[arm]}",
        (WIDTH, 2.6),
        alt=f"{ratio[0].upper()}{ratio[1:]} of {assigned.other} against {assigned.reference} over "
        f"the risk score: {said}.",
        caption=f"{arm}: {ratio} of {assigned.other} against {assigned.reference} as a smooth "
        "function of the score (restricted cubic spline with three knots), from its 5th to its "
        "95th percentile. Band: pointwise 95% interval.",
    )  # fmt: skip


def _interaction_table(
    arm: str, rows: pd.DataFrame, run: Run, assigned: TreatmentAssignment
) -> Table:
    ratio = run.endpoint.ratio
    columns = ["Term", "Model", f"{ratio[0].upper()}{ratio[1:]} (95% interval)"]
    columns += ["Likelihood ratio χ²", "df", "p", "Wald p", "Note"]
    table = Table(f"Score and treatment, {arm}", columns, numeric={2, 3, 4, 5, 6})
    several = rows["model"].nunique() > 1
    for r in rows.to_dict("records"):
        term = TERMS.get(str(r["term"]), str(r["term"]))
        term = term.format(other=assigned.other, reference=assigned.reference)
        values = [float(r[k]) for k in ("chi_square", "df", "p_value", "wald_p")]
        known = np.isfinite(values)
        size = estimate(r["ratio"], r["lower"], r["upper"]) if np.isfinite(r["ratio"]) else ""
        table.add(
            term, str(r["model"]) if several else "", Cell(size, float(r["ratio"])),
            Cell(number(values[0], 2) if known[0] else "", values[0]),
            Cell(number(values[1], 0) if known[1] else "", values[1]),
            Cell(p_number(values[2]) if known[2] else "", values[2]),
            Cell(p_number(values[3]) if known[3] else "", values[3]),
            r["note"] if isinstance(r["note"], str) else "",
        )  # fmt: skip
    first = rows.iloc[0]
    counted = run.endpoint.counted.lower()
    table.notes.append(
        f"{assigned.other}: {first['n_treated']:.0f} patients ({counted}: "
        f"{first['events_treated']:.0f}); {assigned.reference}: {first['n_reference']:.0f} "
        f"({first['events_reference']:.0f}). The ratio in the row score × treatment is that "
        f"of the two {ratio}s of the score."
    )
    if several:
        table.notes.append(
            "Weighted rows: robust (sandwich) standard errors, weights taken as known, no "
            "likelihood-ratio test."
        )
    return table


def _effect_table(run: Run, arm: str, assigned: TreatmentAssignment) -> Table:
    ratio, counted = run.endpoint.ratio, run.endpoint.counted
    columns = ["Group", "Model", f"{ratio[0].upper()}{ratio[1:]} (95% interval)", "p"]
    columns += [
        f"{name}: patients / {counted.lower()}" for name in (assigned.reference, assigned.other)
    ]
    columns.append("Note")
    title = f"{assigned.other} against {assigned.reference} in each risk group, {arm}"
    table = Table(title, columns, numeric={2, 3, 4, 5})
    rows = run.table("treatment_effects.csv")
    rows = rows[rows["arm"] == arm] if len(rows) else rows
    several = len(rows) > 0 and rows["model"].nunique() > 1
    for r in rows.to_dict("records"):
        p = float(r["p_value"])
        size = estimate(r["ratio"], r["lower"], r["upper"]) if np.isfinite(r["ratio"]) else ""
        table.add(
            str(r["group"]), str(r["model"]) if several else "", Cell(size, float(r["ratio"])),
            Cell(p_number(p) if np.isfinite(p) else "", p),
            f"{r['n_reference']:.0f} / {r['events_reference']:.0f}",
            f"{r['n_treated']:.0f} / {r['events_treated']:.0f}",
            r["note"] if isinstance(r["note"], str) else "",
        )  # fmt: skip
    return table


def _difference_table(run: Run, arm: str, assigned: TreatmentAssignment) -> Table:
    unit = run.endpoint.unit
    columns = ["Group", "Measure", "Model", assigned.reference, assigned.other]
    columns += ["Difference (95% interval)", "p"]
    title = f"Absolute differences, {assigned.other} minus {assigned.reference}, {arm}"
    table = Table(title, columns, numeric={3, 4, 5, 6})
    rows = run.table("treatment_differences.csv")
    rows = rows[rows["arm"] == arm] if len(rows) else rows
    several = len(rows) > 0 and rows["model"].nunique() > 1
    for r in rows.to_dict("records"):
        share = r["measure"] != "restricted_mean"
        scale, digits = (100.0, 0) if share else (1.0, 1)
        values = {
            k: scale * float(r[k]) for k in ("reference", "treated", "difference", "lower", "upper")
        }
        gap, low, high = (values[k] for k in ("difference", "lower", "upper"))
        text = (
            estimate(gap, low, high, digits, sign=True)
            if np.isfinite(gap)
            else "not followed so long"
        )
        each = [
            Cell(f"{number(v, digits)}{' %' if share else ''}" if np.isfinite(v) else "", v)
            for v in (values["reference"], values["treated"])
        ]
        p = float(r["p_value"])
        table.add(
            str(r["group"]), _measure(run, str(r["measure"]), float(r["horizon"]), unit),
            str(r["model"]) if several else "", *each, Cell(text, gap),
            Cell(p_number(p) if np.isfinite(p) else "", p),
        )  # fmt: skip
    if len(rows):
        table.notes.append(
            "Differences of proportions are in percentage points"
            f"{', pooled over folds' if run.cross_validated else ''}. There is no correction for "
            "the number of rows."
        )
    return table


def _measure(run: Run, measure: str, at: float, unit: str) -> str:
    if measure == "event_rate":
        return f"share: {run.endpoint.positive_name}"
    when = horizon_text(at, unit)
    if measure == "survival":
        return f"free of the event at {when}"
    return f"restricted mean survival up to {when}" + (f", in {unit}" if unit else "")


def _balance_table(run: Run, assigned: TreatmentAssignment) -> Table:
    columns = ["Covariate", f"Mean, {assigned.reference}", f"Mean, {assigned.other}"]
    columns += ["Standardised difference", "after weighting"]
    table = Table("Balance of the covariates", columns, numeric={1, 2, 3, 4})
    for r in run.table("treatment_balance.csv").to_dict("records"):
        values = [float(r[k]) for k in ("mean_reference", "mean_treated")]
        gaps = [float(r[k]) for k in ("difference", "difference_weighted")]
        table.add(
            str(r["covariate"]).replace("=", ": "), *(Cell(number(v), v) for v in values),
            *(Cell(signed(v), v) for v in gaps),
        )  # fmt: skip
    table.notes.append(
        "In standard deviations, treated minus reference; below 0.1 is commonly regarded as "
        "balanced. The probability of treatment is from a logistic model of these covariates, "
        "fitted on the patients of the other folds."
    )
    return table


def _weight_table(run: Run) -> Table:
    columns = ["Treatment", "Patients", "Effective number", "Smallest weight", "Median", "Largest"]
    table = Table("Weights", columns, numeric={1, 2, 3, 4, 5})
    for r in run.table("treatment_weights.csv").to_dict("records"):
        table.add(
            str(r["treatment"]), r["n"],
            *(Cell(number(r[k], d), float(r[k])) for k, d in
              (("effective_n", 0), ("smallest", 2), ("median", 2), ("largest", 2))),
        )  # fmt: skip
    table.notes.append("Stabilised, and truncated at their 1st and 99th percentile.")
    return table


def treatment_methods(run: Run) -> list[str]:
    """Describe the analysis of treatment for the methods paragraph."""
    table, assigned = run.table("treatment_interaction.csv"), run.patients.treatment
    if table.empty or assigned is None:
        return []
    first, end = table.iloc[0], run.endpoint
    drawn = "randomised" if assigned.randomised else "not randomised"
    model = "Cox models" if end.times else "logistic models"
    how = f" {words}" if (words := stratified_words(run)) else ""
    unknown = int(first["unknown"])
    said = [
        f"Treatment ({assigned.other}, {first['n_treated']:.0f} patients; {assigned.reference}, "
        f"{first['n_reference']:.0f}) was {drawn}"
        + (f"; it is unknown for {unknown:,} patients, who are excluded here." if unknown else "."),
        "Whether a score is predictive of benefit was tested by the interaction of score and "
        f"treatment in {model}{how}"
        + " (likelihood ratio and Wald), with the score as a linear term, as a restricted cubic "
        "spline with three knots, and as risk groups.",
    ]
    if (table["model"] == "weighted").any():
        said.append(
            "Patients were also weighted by the stabilised inverse probability of their "
            "treatment, from a logistic model of the covariates fitted out of fold. Weights "
            "were truncated at the 1st and 99th percentile; standard errors are robust."
        )
    return said
