"""Risk groups of predictions that are evaluated again: where the cut-offs come from, and said so.

Cut-offs that are honest come from development patients; a table of predictions has none. A quantile
of the scored patients looks at no outcome, and is marked exploratory; the maximally selected
log-rank cut of the scored patients would make groups differ by construction, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.endpoint import Endpoint, TimeToEvent, is_blank
from outcome.errors import InputError, PredictionsError, Problems
from outcome.outcomes import Outcomes
from outcome.pipeline.sources import Source
from outcome.predictions import Predictions
from outcome.risk.cutoffs import cut_offs, cut_words, group_names, risk_groups, shares_of
from outcome.study import RiskGroups

__all__ = ["Grouped", "group_again", "read_rule"]

NAMES: tuple[Literal["median", "tertiles", "maxstat"], ...] = ("median", "tertiles", "maxstat")
SCORES = {"arm", "repeat", "fold", "patient_id", "risk"}


@dataclass(frozen=True)
class Grouped:
    """Predictions with a risk group in every row.

    Parameters
    ----------
    predictions : Predictions
    said : str
        One sentence: where the cut-offs came from.
    exploratory : mapping of arm to str
        How arms were cut on the scored patients themselves.
    cutoffs : str or list of float or None
        The rule, where all arms were cut on development patients.
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
            f"--risk-groups {text!r}: write median, tertiles, maxstat, or increasing shares"
            " between 0 and 1, e.g. --risk-groups 0.25,0.75"
        )
    return shares


def group_again(
    predictions: Predictions,
    origins: Mapping[str, Source | None],
    endpoint: Endpoint,
    rule: RiskGroups | None,
) -> Grouped:
    """Put every patient into a risk group, and say where the cut-offs came from.

    Parameters
    ----------
    predictions : Predictions
    origins : mapping of arm to Source or None
        Where its rows are from; None for several places.
    endpoint : Endpoint
    rule : str or tuple of float, optional
        By default the groups that came along, and the median where none did. Otherwise cut-offs
        from `development.csv` of the run; without it, from the scored patients in each fold.

    Raises
    ------
    PredictionsError
        What cannot be done honestly, for all arms at once.
    """
    if predictions.table.empty:
        raise PredictionsError("predictions: the table has no rows")
    problems = Problems("risk groups")
    if rule == "maxstat" and not isinstance(endpoint, TimeToEvent):
        what = "maxstat is of the time to an event, and the endpoint is a yes or no"
        problems.add(what, remedy="use median, tertiles or shares")
        problems.raise_if_any(PredictionsError)
    read = {s.folder: _development(s.folder, problems) for s in origins.values() if s and s.folder}
    problems.raise_if_any(PredictionsError)
    cuts = {}
    for arm, source in origins.items():
        rows = predictions.table[predictions.table["arm"] == arm]
        scores = read.get(source.folder) if source and source.folder else None
        if rule is None:
            cuts[arm] = _as_given(arm, rows, source, problems)
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
            "maxstat needs scores of development patients, and there are none for the arms. A cut"
            " selected by the log-rank statistic of the very patients that it divides makes the"
            " groups differ even where the score is noise",
            arms,
            "give the run folder instead of its table (development.csv has these scores), or use"
            " median, tertiles or shares",
        )


def _development(folder: Path, problems: Problems) -> pd.DataFrame | None:
    """Read the out-of-fold scores of development patients; None where the folder has none."""
    path = folder / "development.csv"
    if not path.is_file():
        return None
    text: dict[str, type[str]] = dict.fromkeys(("arm", "repeat", "fold", "patient_id"), str)
    try:
        # The stubs know dtype by columns for some combinations of options only.
        table = pd.read_csv(path, dtype=text, keep_default_na=False, float_precision="round_trip")  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        problems.add(f"{path} cannot be read: {(str(error).splitlines() or [''])[0]}")
        return None
    if missing := sorted(SCORES - set(table.columns)):
        problems.add(f"{path} has no column", missing, "run the study again: it trains nothing new")
        return None
    risk = pd.to_numeric(table["risk"], errors="coerce")
    if (bad := ~np.isfinite(risk)).any():
        problems.add(f"{path}: risk is not a finite number", table.loc[bad, "patient_id"].tolist())
    return pd.DataFrame(table.assign(risk=risk))


def _as_given(arm: str, rows: pd.DataFrame, source: Source | None, problems: Problems) -> _Cut:
    empty = _without_group(rows)
    if empty.all():
        return _on_scored(rows, "median")
    if empty.any():
        problems.add(
            f"arm {arm}: column 'risk_group' is empty for patients",
            rows.loc[empty, "patient_id"].tolist(),
            "fill them in, leave the whole column out, or say --risk-groups",
        )
    said = "risk groups came with the predictions; where their cut-offs came from is not known"
    if source is None or source.folder is None:
        return _Cut(rows["risk_group"], said)
    protocol = source.part("protocol")
    if protocol.get("risk groups"):
        return _Cut(rows["risk_group"], str(protocol["risk groups"]))
    if rule := protocol.get("cutoffs"):
        said = f"risk groups are those of the run, cut at {cut_words(rule)} of the risks of its"
        return _Cut(rows["risk_group"], f"{said} development patients", cutoffs=rule)
    return _Cut(rows["risk_group"], "risk groups came with the predictions of the run")


def _without_group(rows: pd.DataFrame) -> pd.Series:
    if "risk_group" not in rows:
        return pd.Series(True, index=rows.index)
    return is_blank(rows["risk_group"])


def _on_scored(rows: pd.DataFrame, rule: RiskGroups) -> _Cut:
    """Cut each fold (and stratum) at quantiles of its own risks."""
    lead = "the groups that came with the predictions were put aside"
    if _without_group(rows).all():
        lead = "the predictions came without groups"
    # maxstat is refused; until then the median stands in, so that all problems are said at once.
    shares = shares_of("median" if rule == "maxstat" else rule)
    keys = ["repeat", "fold", *(["strata"] if "strata" in rows else [])]
    groups = pd.Series("", index=rows.index)
    names = np.array(group_names(len(shares) + 1))
    for _, part in rows.groupby(keys, dropna=False):
        cuts = np.quantile(part["risk"].to_numpy(dtype=float), shares)
        groups[part.index] = names[np.searchsorted(cuts, part["risk"])]
    words = cut_words(rule if isinstance(rule, str) else list(rule))
    return _Cut(
        groups,
        f"{lead}: patients were cut at {words} of the risks of the scored patients themselves, in"
        " each fold, which is exploratory, since the cut-off knows the patients that it divides",
        f"exploratory: {words} within each fold",
    )


def _on_development(
    arm: str, rows: pd.DataFrame, scores: pd.DataFrame, rule: RiskGroups, problems: Problems
) -> _Cut:
    """Cut each fold at what its development patients give, as the run itself would."""
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
    again = "set `risk_groups` in the study file and run it again, which trains nothing anew"
    if without:
        problems.add(f"arm {arm}: development.csv has no scores for", without, again)
    if unknown:
        what = f"arm {arm}: development patients without an outcome in predictions.csv"
        problems.add(what, sorted(unknown), again)
    plain = rule if isinstance(rule, str) else list(rule)
    said = f"risk groups were cut at {cut_words(plain)} of the risks of the run's development"
    return _Cut(groups, f"{said} patients (development.csv)", cutoffs=plain)


def _outcomes(patients: pd.DataFrame) -> Outcomes:
    """Outcomes as the cut-offs need them: of patients without one nothing is asked."""
    n = len(patients)
    known = "strata" in patients
    strata = patients["strata"].to_numpy(dtype=str) if known else np.full(n, "")
    if "time" not in patients:
        return Outcomes(np.zeros(n, bool), None, np.zeros(n, np.int64), strata, np.ones(n))
    code: NDArray[np.float64] = patients["event"].to_numpy(dtype=float)
    time = patients["time"].to_numpy(dtype=float)
    return Outcomes(code == 1, time, np.nan_to_num(code).astype(np.int64), strata, np.ones(n))


def _sentence(said: Mapping[str, str]) -> str:
    """Join what is said of the arms; what is the same is said once, without their names."""
    by_words: dict[str, list[str]] = {}
    for arm, words in said.items():
        by_words.setdefault(words, []).append(arm)
    if len(by_words) == 1:
        return next(iter(by_words))
    return "; ".join(f"{', '.join(arms)}: {words}" for words, arms in by_words.items())
