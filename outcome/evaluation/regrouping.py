"""Risk groups of existing predictions, with the source of their cut-offs.

Unbiased cut-offs come from development patients; a table of predictions has none. A quantile of the
scored patients does not use the outcome and is marked exploratory. The maximally selected log-rank
cut-off of the scored patients would make groups differ by construction and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.endpoint import is_blank
from outcome.errors import InputError, PredictionsError, Problems
from outcome.outcomes import Outcomes
from outcome.predictions import Predictions
from outcome.risk.cutoffs import cut_offs, group_names, risk_groups, rule_words, shares_of
from outcome.study import RiskGroups

__all__ = ["GroupOrigin", "Grouped", "read_rule", "regroup"]

NAMES: tuple[Literal["median", "tertiles", "maxstat"], ...] = ("median", "tertiles", "maxstat")


@dataclass(frozen=True)
class GroupOrigin:
    """Information of a run on the risk groups of an arm.

    Parameters
    ----------
    development : DataFrame or None
        `arm, repeat, fold, patient_id, risk`: out-of-fold risks of development patients.
    cutoffs : str or list of float or None
        The rule of the run.
    described : str
        Source of the cut-offs, if an earlier evaluation recorded it.
    """

    development: pd.DataFrame | None = None
    cutoffs: str | list[float] | None = None
    described: str = ""


@dataclass(frozen=True)
class Grouped:
    """Predictions with a risk group in every row.

    Parameters
    ----------
    predictions : Predictions
    said : str
        One sentence on the source of the cut-offs.
    exploratory : mapping of arm to str
        Rule for arms with cut-offs from the scored patients themselves.
    cutoffs : str or list of float or None
        The rule, if the cut-offs of all arms come from development patients.
    """

    predictions: Predictions
    said: str
    exploratory: Mapping[str, str]
    cutoffs: str | list[float] | None


@dataclass(frozen=True)
class _Cut:
    """The groups of one arm."""

    groups: pd.Series
    said: str
    exploratory: str = ""
    cutoffs: str | list[float] | None = None


def read_rule(text: str) -> RiskGroups:
    """Read `median`, `tertiles`, `maxstat` or shares, as `risk_groups` of a study file.

    Examples
    --------
    >>> read_rule("tertiles"), read_rule("0.25,0.75")
    ('tertiles', (0.25, 0.75))
    """
    for name in NAMES:
        if text.strip() == name:
            return name
    try:
        shares = tuple(float(w) for w in text.strip(" []").split(","))
    except ValueError:
        shares = ()
    if not shares or list(shares) != sorted(set(shares)) or not 0 < shares[0] <= shares[-1] < 1:
        raise InputError(
            f"risk groups {text!r}: write median, tertiles, maxstat, or increasing shares"
            " between 0 and 1, e.g. 0.25,0.75"
        )
    return shares


def regroup(
    predictions: Predictions,
    origins: Mapping[str, GroupOrigin | None],
    rule: RiskGroups | None,
    *,
    ranks_times: bool = True,
) -> Grouped:
    """Assign every patient to a risk group, with the source of the cut-offs.

    Parameters
    ----------
    predictions : Predictions
    origins : mapping of arm to GroupOrigin or None
        The run of the arm; None for a table, or for rows of several runs.
    rule : str or tuple of float, optional
        By default the groups of the predictions, or the median if there are none. Otherwise
        cut-offs from the development patients of the run; without them, from the scored patients
        of each fold.
    ranks_times : bool
        Whether the outcome is a time to an event, so that a log-rank cut-off can be selected.

    Raises
    ------
    PredictionsError
        Cut-offs would be biased, or groups are missing; the message covers all arms.
    """
    if predictions.table.empty:
        raise PredictionsError("predictions: the table has no rows")
    problems = Problems("risk groups")
    if rule == "maxstat" and not ranks_times:
        what = "maxstat needs a time to an event, but the endpoint is yes or no"
        problems.add(what, remedy="use median, tertiles or shares")
        problems.raise_if_any(PredictionsError)
    if rule == "maxstat" and "entry" in predictions.table:
        what = "maxstat: the p value of a selected cut-off is unknown under delayed entry"
        problems.add(what, remedy="use median, tertiles or shares")
        problems.raise_if_any(PredictionsError)
    cuts = {}
    for arm, origin in origins.items():
        rows = predictions.table[predictions.table["arm"] == arm]
        scores = origin.development if origin else None
        if rule is None:
            cuts[arm] = _as_given(arm, rows, origin, problems)
        elif scores is not None:
            mine = scores[scores["arm"] == arm]
            cuts[arm] = _on_development(arm, rows, mine, rule, problems)
        else:
            cuts[arm] = _on_scored(rows, rule)
    if rule == "maxstat":
        _refuse_selected([a for a, c in cuts.items() if c.exploratory], problems)
    problems.raise_if_any(PredictionsError)
    groups = pd.concat([c.groups for c in cuts.values()]).reindex(predictions.table.index)
    rules = [c.cutoffs for c in cuts.values()]
    return Grouped(
        Predictions(predictions.table.assign(risk_group=groups)),
        _sentence({arm: c.said for arm, c in cuts.items()}),
        {arm: c.exploratory for arm, c in cuts.items() if c.exploratory},
        rules[0] if all(r == rules[0] for r in rules) else None,
    )


def _refuse_selected(arms: Sequence[str], problems: Problems) -> None:
    if arms:
        problems.add(
            "maxstat needs scores of development patients, but there are none for the arms. If "
            "a cut-off is selected by the log-rank statistic of the patients that it divides, "
            "the groups differ even if the score is noise",
            arms,
            "give the run folder instead of its table (development.csv has these scores), or use"
            " median, tertiles or shares",
        )


def _as_given(arm: str, rows: pd.DataFrame, origin: GroupOrigin | None, problems: Problems) -> _Cut:
    empty = _without_group(rows)
    if empty.all():
        return _on_scored(rows, "median")
    if empty.any():
        problems.add(
            f"arm {arm}: column 'risk_group' is empty for patients",
            rows.loc[empty, "patient_id"].tolist(),
            "fill them in, omit the whole column, or choose a rule for risk groups",
        )
    said = (
        "risk groups are those given with the predictions; the origin of their cut-offs is unknown"
    )
    if origin is None:
        return _Cut(rows["risk_group"], said)
    if origin.described:
        return _Cut(rows["risk_group"], origin.described)
    if rule := origin.cutoffs:
        said = f"risk groups are those of the run, cut at {rule_words(rule)} of the risks of its"
        return _Cut(rows["risk_group"], f"{said} development patients", cutoffs=rule)
    return _Cut(rows["risk_group"], "risk groups are those given with the predictions of the run")


def _without_group(rows: pd.DataFrame) -> pd.Series:
    if "risk_group" not in rows:
        return pd.Series(True, index=rows.index)
    return is_blank(rows["risk_group"])


def _on_scored(rows: pd.DataFrame, rule: RiskGroups) -> _Cut:
    """Divide each fold (and stratum) at quantiles of its own risks."""
    lead = "the groups given with the predictions are not used"
    if _without_group(rows).all():
        lead = "the predictions contain no groups"
    # maxstat is refused later; the median is used meanwhile, so that all problems are reported at
    # once.
    shares = shares_of("median" if rule == "maxstat" else rule)
    keys = ["repeat", "fold", *(["strata"] if "strata" in rows else [])]
    several = len(rows[["repeat", "fold"]].drop_duplicates()) > 1
    groups = pd.Series("", index=rows.index)
    names = np.array(group_names(len(shares) + 1))
    for _, part in rows.groupby(keys, dropna=False):
        cuts = np.quantile(part["risk"].to_numpy(dtype=float), shares)
        groups[part.index] = names[np.searchsorted(cuts, part["risk"])]
    words = rule_words(rule if isinstance(rule, str) else list(rule))
    return _Cut(
        groups,
        f"{lead}: patients were divided at {words} of the risks of the scored patients "
        f"themselves{', in each fold' if several else ''}. This is exploratory, because the "
        "cut-off depends on the patients that it divides",
        f"exploratory: {words} of the scored patients{' of each fold' if several else ''}",
    )


def _on_development(
    arm: str, rows: pd.DataFrame, scores: pd.DataFrame, rule: RiskGroups, problems: Problems
) -> _Cut:
    """Divide each fold at the cut-offs of its development patients, as in the run."""
    groups = pd.Series("", index=rows.index)
    patients = rows.drop_duplicates("patient_id").set_index("patient_id")
    stratified = "strata" in rows and bool(rows["strata"].notna().all())
    without: list[str] = []
    unknown: set[str] = set()
    for (repeat, fold), part in rows.groupby(["repeat", "fold"]):
        mine = scores[(scores["repeat"] == str(repeat)) & (scores["fold"] == str(fold))]
        if mine.empty:
            without.append(f"repeat {repeat}, fold {fold}")
            continue
        lacking = set(mine["patient_id"]) - set(patients.index)
        if lacking and (stratified or rule == "maxstat"):
            unknown |= lacking
            continue
        outcomes = _outcomes(patients.reindex(mine["patient_id"]))
        cuts = cut_offs(mine["risk"].to_numpy(dtype=float), outcomes, rule, stratified)
        strata = part["strata"].astype(str).tolist() if stratified else [""] * len(part)
        found = risk_groups(part["risk"].to_numpy(dtype=float), strata, cuts)
        groups[part.index] = np.array(found)
    again = "set `risk_groups` in the study file and run the study again; nothing is trained again"
    if without:
        problems.add(f"arm {arm}: development.csv has no scores for", without, again)
    if unknown:
        what = f"arm {arm}: development patients without an outcome in predictions.csv"
        problems.add(what, sorted(unknown), again)
    plain = rule if isinstance(rule, str) else list(rule)
    said = f"risk groups were cut at {rule_words(plain)} of the risks of the run's development"
    return _Cut(groups, f"{said} patients (development.csv)", cutoffs=plain)


def _outcomes(patients: pd.DataFrame) -> Outcomes:
    """Outcomes for the cut-offs, without patients with a missing outcome."""
    n = len(patients)
    known = "strata" in patients
    strata = patients["strata"].to_numpy(dtype=str) if known else np.full(n, "")
    if "label" in patients:
        return Outcomes(np.zeros(n, bool), None, np.zeros(n, np.int64), strata, np.ones(n))
    code: NDArray[np.float64] = patients["event"].to_numpy(dtype=float)
    time = patients["time"].to_numpy(dtype=float)
    return Outcomes(code == 1, time, np.nan_to_num(code).astype(np.int64), strata, np.ones(n))


def _sentence(said: Mapping[str, str]) -> str:
    """Join the sentences of the arms; a sentence shared by all is given once, without names."""
    by_words: dict[str, list[str]] = {}
    for arm, words in said.items():
        by_words.setdefault(words, []).append(arm)
    if len(by_words) == 1:
        return next(iter(by_words))
    return "; ".join(f"{', '.join(arms)}: {words}" for words, arms in by_words.items())
