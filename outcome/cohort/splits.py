"""Who is tested when: outer folds, and inner folds inside development. Always by patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcome.cohort.table import Cohort, count_events
from outcome.endpoint import canonical_code, is_blank
from outcome.errors import LeakageError, Problems
from outcome.study import Split

__all__ = ["Fold", "InnerFold", "make_folds", "splits_table", "whole_fold"]

MIN_EVENTS_NETWORK = 10
MIN_EVENTS_LINEAR = 4
EVENTS_PER_INNER_FOLD = 8


@dataclass(frozen=True)
class InnerFold:
    """Development patients divided once more: `tune` watches the training on `train`."""

    name: int
    train: tuple[str, ...]
    tune: tuple[str, ...]


@dataclass(frozen=True)
class Fold:
    """One outer fold; `test` is read once, after everything is fixed on `development`."""

    repeat: int
    name: str
    development: tuple[str, ...]
    test: tuple[str, ...]
    inner: tuple[InnerFold, ...]

    def __post_init__(self) -> None:
        pairs = [(self.development, self.test), *((i.train, i.tune) for i in self.inner)]
        pairs += [(i.train + i.tune, self.test) for i in self.inner]
        for one, other in pairs:
            if shared := sorted(set(one) & set(other)):
                raise LeakageError(
                    f"fold {self.name}: {len(shared)} patients in two roles, e.g. {shared[:3]}"
                )

    @property
    def key(self) -> tuple[int, str]:
        """Repeat and name."""
        return self.repeat, self.name


def make_folds(
    cohort: Cohort, split: Split, problems: Problems, *, networks: bool = True
) -> list[Fold]:
    """Divide the patients; the same cohort and seed give the same folds, whatever the row order.

    Parameters
    ----------
    cohort : Cohort
    split : Split
    problems : Problems
        Receives too few events, empty fold columns, too few sites.
    networks : bool
        Whether networks are trained; linear models need fewer events.

    Notes
    -----
    Inner folds per outer fold: as many as asked for, but no more than one per
    8 development events (of a label: of the rarer class), and at least 2.
    """
    outer = list(_outer(cohort, split, problems))
    folds: list[Fold] = []
    for repeat, name, test in outer:
        unused = _unused(cohort, split, repeat)
        development = [p for p in cohort.patients.index if p not in test and p not in unused]
        events = count_events(cohort, development)
        if events < (needed := MIN_EVENTS_NETWORK if networks else MIN_EVENTS_LINEAR):
            what = "events" if "event" in cohort.patients else "patients of the rarer class"
            use = ", or `aggregator: linear` in every arm" if networks else ""
            problems.add(
                f"fold {name} (repeat {repeat}) leaves {events} {what} for development; training"
                f" a {'network' if networks else 'linear model'} needs {needed}",
                remedy=f"use fewer folds, or a larger cohort{use}",
            )
            continue
        inner = _inner(cohort, split, development, _seed(split.seed, repeat, len(folds)))
        folds.append(Fold(repeat, name, tuple(development), tuple(sorted(test)), inner))
    return folds


def whole_fold(
    cohort: Cohort, split: Split, problems: Problems, *, networks: bool = True
) -> Fold | None:
    """Return a fold in which everybody is development and nobody is tested: for a final model.

    Inner folds are as many as `make_folds` would make. None, and a problem, where there are too
    few events.
    """
    everybody = list(cohort.patients.index)
    events = count_events(cohort, everybody)
    if events < (needed := MIN_EVENTS_NETWORK if networks else MIN_EVENTS_LINEAR):
        what = "events" if "event" in cohort.patients else "patients of the rarer class"
        problems.add(
            f"there are {events} {what}; a final model needs {needed}",
            remedy="use a larger cohort",
        )
        return None
    inner = _inner(cohort, split, everybody, _seed(split.seed))
    return Fold(0, "all", tuple(everybody), (), inner)


def _inner(
    cohort: Cohort, split: Split, development: Sequence[str], seed: int
) -> tuple[InnerFold, ...]:
    events = count_events(cohort, development)
    n_inner = max(2, min(split.inner_folds, events // EVENTS_PER_INNER_FOLD))
    parts = _divide(cohort.outcome.loc[list(development)], n_inner, seed, split.stratify)
    return tuple(
        InnerFold(k, tuple(p for p in development if p not in part), tuple(sorted(part)))
        for k, part in enumerate(map(frozenset, parts))
    )


def splits_table(folds: Sequence[Fold], cohort: Cohort) -> pd.DataFrame:
    """Return who had which role: one row per patient and outer fold."""
    rows = []
    for fold in folds:
        inner = {p: i.name for i in fold.inner for p in i.tune}
        test = frozenset(fold.test)
        for patient in cohort.patients.index:
            role = "test" if patient in test else "development" if patient in inner else "unused"
            rows.append((patient, fold.repeat, fold.name, role, inner.get(patient, "")))
    return pd.DataFrame(rows, columns=["patient_id", "repeat", "outer_fold", "role", "inner_fold"])


def _outer(
    cohort: Cohort, split: Split, problems: Problems
) -> Iterator[tuple[int, str, frozenset[str]]]:
    if split.column:
        for repeat, column in enumerate(split.column):
            values = cohort.patients[f"column:{column}"].map(canonical_code)
            names = sorted(set(values[~_is_unused(values)]), key=_natural)
            if len(names) < 2:
                problems.add(f"column {column!r} holds {len(names)} folds, and 2 are needed")
                continue
            for name in names:
                yield repeat, name, frozenset(values.index[values == name])
        return
    if (rare := count_events(cohort, list(cohort.patients.index))) < split.folds:
        what = "events" if "event" in cohort.patients else "patients in the rarer class"
        problems.add(
            f"there are {rare} {what} for {split.folds} folds",
            remedy="use fewer folds (`split: {folds: ...}`), or a larger cohort",
        )
        return
    sites = None
    if split.site_preserved:
        sites = cohort.patients["site"]
        if sites.nunique() < split.folds:
            problems.add(
                f"there are {sites.nunique()} sites for {split.folds} site-preserved folds",
                remedy="use fewer folds, or `site_preserved: false`",
            )
            return
    for repeat in range(split.repeats):
        seed = _seed(split.seed, repeat)
        parts = _divide(cohort.outcome, split.folds, seed, split.stratify, sites)
        for k, part in enumerate(parts):
            yield repeat, str(k), frozenset(part)


def _divide(
    outcome: pd.Series, n: int, seed: int, stratify: bool, groups: pd.Series | None = None
) -> list[list[str]]:
    """Divide the patients of `outcome` (sorted by id) into n parts."""
    # Imported late: it takes a second, and whoever predicts with a trained model divides nobody.
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    y = outcome.to_numpy(dtype=int)
    rarest = np.bincount(y, minlength=2).min()
    if groups is not None:
        splitter = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    elif stratify and rarest >= n:  # with fewer there is nothing to spread
        splitter = StratifiedKFold(n, shuffle=True, random_state=seed)
    else:
        splitter = KFold(n, shuffle=True, random_state=seed)
    rows = splitter.split(np.zeros(len(y)), y, None if groups is None else groups.to_numpy())
    return [outcome.index[test].tolist() for _, test in rows]


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _is_unused(values: pd.Series) -> pd.Series:
    return is_blank(values) | (values.astype(str) == "-1")


def _unused(cohort: Cohort, split: Split, repeat: int) -> frozenset[str]:
    if not split.column:
        return frozenset()
    values = cohort.patients[f"column:{split.column[repeat]}"].map(canonical_code)
    return frozenset(values.index[_is_unused(values)])


def _natural(text: str) -> tuple[int, float, str]:
    """Numbers in numeric order, then words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
