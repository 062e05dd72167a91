"""The answers of the first screen, in wording that is correct for all results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import Metric, metric
from outcome.plotting.number_text import estimate, interval, number, p_value, plural, signed
from outcome.reporting.page.blocks import Answer, Fact
from outcome.reporting.page.formatting import entry, joined, quote
from outcome.reporting.page.interval_words import interval_summary, models_held_fixed
from outcome.reporting.page.main_metric import main_scores
from outcome.reporting.sections.treatment_section import treatment_answer
from outcome.run_folder.folder import Run

__all__ = ["Verdict", "answers", "judge", "p_text", "trust"]

FEW_EVENTS = 100
"""Fewer events than this are commonly considered too few to validate a score (Collins et al.
2016)."""

SELECTED = ", which tends to be too good"
"""Follows the name of the best arm: its interval does not allow for the selection."""

Verdict = Literal["better", "worse", "none", "conflict", "fragile", "unknown"]


def judge(
    difference: float, lower: float, upper: float, p: float, adjusted: float, *, up: bool = True
) -> Verdict:
    """Classify a difference by its interval and p values.

    Parameters
    ----------
    difference, lower, upper : float
        Arm minus baseline; NaN bounds without an interval.
    p, adjusted : float
        Two-sided p before and after correction for several comparisons; NaN if not computed.
    up : bool
        Whether a higher metric is better.

    Returns
    -------
    str
        `better` or `worse` only if interval and p agree, also after correction; `fragile` if
        significance is lost after correction; `conflict` if interval and p disagree.

    Examples
    --------
    >>> judge(0.05, 0.01, 0.09, 0.02, 0.04), judge(0.05, -0.01, 0.09, 0.12, 0.2)
    ('better', 'none')
    >>> judge(0.05, 0.01, 0.09, 0.06, 0.06), judge(0.05, 0.01, 0.09, 0.04, 0.08)
    ('conflict', 'fragile')
    """
    if math.isnan(difference) or (math.isnan(lower) and math.isnan(p)):
        return "unknown"
    apart = lower > 0 or upper < 0
    small = p < 0.05
    if math.isnan(lower):
        apart = small
    if math.isnan(p):
        small = apart
    if apart != small:
        return "conflict"
    if not apart:
        return "none"
    if adjusted >= 0.05:
        return "fragile"
    return "better" if (difference > 0) == up else "worse"


def p_text(run: Run, row: pd.Series, comparisons: int) -> str:
    """Write both p values of a comparison, and whether they are exploratory."""
    p = p_value(row.get("p_value"))
    if not p:
        return ""
    words = f"{p}, exploratory" if models_held_fixed(run) else p
    adjusted = p_value(row.get("p_adjusted"))
    if adjusted and comparisons > 1:
        words += f"; {adjusted} after Holm’s correction for {comparisons} comparisons"
    return words


def answers(run: Run) -> list[Answer]:
    """Answer: does the score work, do inputs help, and do treatment effects depend on it."""
    main, rows = main_scores(run)
    if main is None:
        text = "This run has no metrics.csv, so performance is unknown."
        return [Answer("Does the score work?", "Not evaluated", [text])]
    found = [_works(run, main, rows), _how_well(run, main, rows), _helps(run)]
    about_treatment = treatment_answer(run)
    return [*found, about_treatment] if about_treatment else found


def _works(run: Run, main: Metric, rows: pd.DataFrame) -> Answer:
    chance, judged = main.chance, rows[rows["no_verdict"] == ""]
    better = judged[judged["lower"] > chance]["arm"].tolist()
    worse = judged[judged["upper"] < chance]["arm"].tolist()
    known = judged["lower"].notna() & judged["upper"].notna()
    unsure = judged[known & ~judged["arm"].isin([*better, *worse])]["arm"].tolist()
    unknown = judged[~known]["arm"].tolist()
    too_small = rows[rows["no_verdict"] != ""]
    if math.isnan(chance):
        text = f"{main.label} has no fixed value for guessing; see the table below."
        return Answer("Does the score work?", "See the table", [text])
    said = []
    if better:
        verb = "ranks" if len(better) == 1 else "rank"
        said.append(f"{joined(better)} {verb} patients better than guessing.")
    if unsure:
        said.append(
            f"For {joined(unsure)} there is no evidence of this: the interval includes "
            f"{number(chance, 1)}, the value for guessing."
        )
    if worse:
        said.append(
            f"{joined(worse)} performed worse than guessing: patients with a higher risk score "
            "had better outcomes. The score must not be reversed afterwards."
        )
    if unknown:
        said.append(
            f"For {joined(unknown)} no interval could be computed, so the question remains open."
        )
    for why, arms in too_small.groupby("no_verdict", sort=False)["arm"]:
        said.append(f"For {joined(arms.tolist())} there is no verdict: {why}.")
    few = len(better) < len(rows)
    short = _yes(run) if better and not few else "In part" if better else "No evidence of it"
    if not better and not unsure and not worse:
        short = "Cannot be said"
    said += [interval_summary(run), *(f"{why}." for why in rows["untested"].unique() if why)]
    return Answer("Does the score work?", short, said)


def _yes(run: Run) -> str:
    """Say yes, as firmly as the number of events allows."""
    return "It seems so" if run.cross_validated and run.n_events < FEW_EVENTS else "Yes"


def _how_well(run: Run, main: Metric, rows: pd.DataFrame) -> Answer:
    known = rows[rows["estimate"].notna()]
    if known.empty:
        return Answer("How well?", "Not estimable", [f"{main.label} could not be computed."])
    values = known["estimate"]
    place = values.argmax() if main.higher_is_better else values.argmin()
    top = known.iloc[int(place)]
    short = f"{main.label} {estimate(top.estimate, top.lower, top.upper, main.digits)}"
    best = "highest" if main.higher_is_better else "lowest"
    which = f"For {quote(top.arm)}"
    if len(rows) > 1:
        which += f", the {best} of {len(rows)} arms"
        which += SELECTED if len(known) > 1 else ""
    about = f"; {plural(int(top.n), 'patient')}" if top.n > 0 else ""
    if top.events >= 0 and about:
        about += f", {plural(int(top.events), run.endpoint.word)}"
    brackets = "; 95% interval in brackets" if np.isfinite(top.lower) else ""
    said = [f"{which}{about}{brackets}."]
    if main.chance == 0.5:
        share = round(100 * float(top.estimate))
        said.append(
            f"Of 100 comparable pairs of patients, about {share} are ranked correctly; guessing "
            "would rank 50 correctly."
        )
    others = known[known["arm"] != top.arm]
    if 0 < len(others) <= 4:
        listed = "; ".join(
            f"{quote(r.arm)} {estimate(r.estimate, r.lower, r.upper, main.digits)}"
            for r in others.itertuples()
        )
        said.append(f"The others: {listed}.")
    return Answer("How well?", short, said)


def _helps(run: Run) -> Answer:
    table = run.table("comparisons.csv")
    main, scores = main_scores(run)
    rows = table[table["metric"] == main.key] if main else table
    too_small = dict(scores.loc[scores["no_verdict"] != "", ["arm", "no_verdict"]].to_numpy())
    base = run.baseline or (str(rows["baseline"].iloc[0]) if len(rows) else "")
    question = _question(run, base)
    seen = set(run.inputs.get(base, []))
    if len(run.arms) < 2:
        return Answer(question, "Not asked", ["This run has a single arm."])
    if rows.empty or main is None:
        return Answer(question, "Not compared", ["This run has no comparison between its arms."])
    verdicts: list[Verdict] = []
    others: list[Verdict] = []
    said = []
    for _, row in rows.iterrows():
        pair = str(row["arm"]), str(row["baseline"])
        if whys := [too_small[a] for a in pair if a in too_small]:
            verdicts.append("unknown")
            said.append(f"{quote(pair[0])} against {quote(pair[1])}: no verdict, {whys[0]}.")
            continue
        verdict = _verdict(row, metric(str(row["metric"]), run.endpoint.unit))
        if str(row["baseline"]) == base:
            extends = seen < set(run.inputs.get(str(row["arm"]), []))
            (verdicts if extends else others).append(verdict)
        said.append(_sentence(run, row, main, verdict, len(rows)))
    if models_held_fixed(run):
        said.append("“Exploratory” means that the p treats the fitted models as fixed.")
    first = _difference(run, rows, main, base)
    return Answer(question, _short(run, verdicts or others), [first, *said])


def _difference(run: Run, rows: pd.DataFrame, main: Metric, base: str) -> str:
    """Write the difference of the first arm that extends the baseline, or of the first arm."""
    seen = set(run.inputs.get(base, []))
    extend = np.array([seen < set(run.inputs.get(str(a), [])) for a in rows["arm"]], dtype=bool)
    chosen = rows[(rows["baseline"] == base) & extend] if seen else rows.iloc[:0]
    row = (chosen if len(chosen) else rows).iloc[0]
    between = interval(row.get("lower"), row.get("upper"), main.fine, sign=True)
    brackets = f" ({between})" if between else ""
    return (
        f"{main.label} {signed(row['difference'], main.fine)}{brackets} for {quote(row['arm'])} "
        f"against {quote(row['baseline'])}."
    )


_NAMES = {"image": "the image", "report": "the report", "clinical": "clinical data"}
"""Inputs in everyday words."""


def _spoken(inputs: Sequence[str]) -> str:
    """Write inputs as a phrase.

    Examples
    --------
    >>> _spoken(["image"]), _spoken(["image", "clinical"])
    ('the image', 'the image and clinical data')
    """
    names = [_NAMES[i] for i in inputs]
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def _known(seen: set[str]) -> str:
    return _spoken([name for name in _NAMES if name in seen])


def _question(run: Run, base: str) -> str:
    seen = set(run.inputs.get(base, []))
    supersets = [set(run.inputs.get(a, [])) for a in run.arms if a != base]
    added = [s - seen for s in supersets if seen and s > seen]
    if len({frozenset(s) for s in added}) == 1:
        subject = _spoken(sorted(added[0], key=list(_NAMES).index))
        plural_subject = len(added[0]) > 1 or "clinical" in added[0]
        known = "what is known already" if seen == {"clinical"} else _known(seen)
        return f"{'Do' if plural_subject else 'Does'} {subject} add to {known}?"
    if added:
        return f"Do further inputs add to {_known(seen)} alone?"
    return f"Is any arm better than {quote(base)}?" if base else "Is one arm better?"


def _verdict(row: pd.Series, what: Metric) -> Verdict:
    names = ("difference", "lower", "upper", "p_value", "p_adjusted")
    difference, lower, upper, p, adjusted = (entry(row, n) for n in names)
    return judge(difference, lower, upper, p, adjusted, up=what.higher_is_better)


def _short(run: Run, verdicts: Sequence[Verdict]) -> str:
    if set(verdicts) == {"none"}:
        return "No evidence of it"
    if "better" in verdicts:
        return f"{_yes(run)}, in these patients" if set(verdicts) == {"better"} else "In part"
    if set(verdicts) == {"worse"}:
        return "No, it is worse"
    if set(verdicts) <= {"unknown"}:
        return "Cannot be said"
    if set(verdicts) & {"conflict", "fragile"}:
        return "Undecided"
    return "No evidence of it"


def _sentence(run: Run, row: pd.Series, main: Metric, verdict: Verdict, count: int) -> str:
    arm, base, digits = quote(row["arm"]), quote(row["baseline"]), main.fine
    size = signed(row["difference"], digits)
    between = interval(row.get("lower"), row.get("upper"), digits, sign=True)
    p = p_text(run, row, count)
    detail = "; ".join(x for x in (f"95% interval {between}" if between else "", p) if x)
    numbers = f"{main.label} {size}" + (f" ({detail})" if detail else "")
    against = f"{arm} against {base}: "
    if verdict == "unknown":
        return f"{against}the difference could not be estimated."
    if verdict == "none":
        reach = f"; the data are compatible with differences from {between}"
        return f"{against}no evidence of a difference, {numbers}{reach if between else ''}."
    if verdict == "conflict":
        return f"{against}inconclusive, because interval and p disagree: {numbers}."
    if verdict == "fragile":
        return f"{against}a difference that is not significant after correction: {numbers}."
    return f"{against}{verdict}, {numbers}."


def trust(run: Run) -> list[Fact]:
    """List the points for and against the results of this run."""
    facts = []
    if run.manifest.get("simulated"):
        facts.append(
            Fact(False, "The data are simulated: no result here applies to real patients.")
        )
    facts += [*_split_facts(run), *_size_facts(run)]
    if constant := run.constant_arms:
        facts.append(
            Fact(
                False,
                f"{joined(constant)} gives every patient the same risk: the model learned nothing.",
            )
        )
    warned = len(run.manifest.get("warnings") or []) + len(run.problems)
    if warned:
        facts.append(Fact(False, f"This run gave {plural(warned, 'warning')}.", "warnings"))
    return facts


def _split_facts(run: Run) -> list[Fact]:
    apart = run.tested_apart
    how = f" ({run.division})" if run.cross_validated else ""
    facts = []
    if apart:
        text = (
            f"Every patient was scored only by models that were not trained on this patient{how}."
        )
        facts.append(Fact(True, f"{text} This was checked in the recorded folds."))
    elif apart is None:
        facts.append(Fact(False, f"There is no record of the training and test patients{how}."))
    else:
        facts.append(Fact(False, "Some scored patients were not test patients of their fold."))
    if run.cross_validated:
        facts.append(
            Fact(
                False,
                "There was no external validation: performance is often lower on patients of "
                "other hospitals.",
            )
        )
        if run.repeats == 1:
            facts.append(
                Fact(
                    False,
                    "It was not measured how much the results would change with other folds "
                    "(one repeat).",
                )
            )
    return facts


def _size_facts(run: Run) -> list[Fact]:
    end = run.endpoint
    n = end.limiting_count(run.n_events, run.n_patients - run.n_unknown)
    counted = plural(n, "event") if end.limiting == "events" else f"{n:,} {end.limiting}"
    if n == 1:
        counted = counted.replace("patients", "patient")
    if n >= FEW_EVENTS:
        return [Fact(True, f"{counted}: at least the {FEW_EVENTS} that are commonly recommended.")]
    return [
        Fact(
            False,
            f"Only {counted}; {FEW_EVENTS} are commonly recommended. Small differences between "
            "arms may be due to chance.",
        )
    ]
