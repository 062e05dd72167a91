"""Linear arms of one outer fold: ridge on mean vectors; inner folds choose a penalty per input.

They take about a second, so they are fitted again in every run and not saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcome.cohort import Fold
from outcome.dataset.study_data import StudyData
from outcome.models.heads import Head, Target
from outcome.models.ridge import PENALTIES, LinearPath, fit_linear
from outcome.study import Study
from outcome.training.fold_data import clinical_coding

__all__ = ["LinearFold", "design_rows", "fit_linear_fold", "mean_vectors"]

Array = NDArray[np.float64]
Losses = Callable[[Sequence[Array]], Array]

FACTORS = (3.0, 1.0, 0.3)
LEFT_OUT = 100.0
"""At this penalty an input is practically excluded."""


@dataclass(frozen=True)
class LinearFold:
    """The inner models of one outer fold, with the penalties chosen by the inner folds.

    Parameters
    ----------
    penalties : mapping of input to float
    models : list of LinearPath
        Models with one penalty each.
    tune, test : list of array, shape (n,)
        Raw outputs per inner fold.
    """

    penalties: Mapping[str, float]
    models: list[LinearPath]
    tune: list[Array]
    test: list[Array]


def mean_vectors(study_data: StudyData, inputs: Sequence[str], patients: Sequence[str]) -> Array:
    """Mean vector of each patient, with concatenated inputs, shape (n, d); NaN if missing."""
    blocks = []
    for name in inputs:
        rows = [study_data.mean(name, p) for p in patients]
        width = study_data.dimensions[name]
        blocks.append(np.stack([np.full(width, np.nan) if r is None else r for r in rows]))
    return np.concatenate(blocks, axis=1)


def design_rows(
    study_data: StudyData, study: Study, inputs: Sequence[str], fold: Fold, patients: Sequence[str]
) -> list[Array]:
    """Features of a linear model per input: mean vectors or coded clinical columns, (n, d)."""
    blocks, study_data = [], study_data.of_fold(fold)
    for name in inputs:
        if name == "clinical":
            coding = clinical_coding(study_data, study, fold)
            blocks.append(coding(study_data.cohort.patients.loc[list(patients)]))
        else:
            blocks.append(mean_vectors(study_data, [name], patients))
    return blocks


def fit_linear_fold(
    study_data: StudyData,
    study: Study,
    inputs: Sequence[str],
    fold: Fold,
    head: Head,
    losses: Losses | None,
) -> LinearFold:
    """Fit linear models on every inner fold; score its tune and the test patients.

    Parameters
    ----------
    study_data : StudyData
    study : Study
    inputs : sequence of str
    fold : Fold
        Fold, which may have no test patients.
    head : Head
    losses : callable, optional
        Given the outputs for the tune patients of each inner fold, shape (models, n), it returns
        the loss of each model, shape (models,). The penalties with the lowest loss are used.
        Without this function, the middle penalty is used for all inputs.

    Notes
    -----
    Each input is first fitted alone and gets the best of `PENALTIES`. In the joint model, these are
    multiplied by a common factor. Then inputs are removed, the weakest first, if the loss is lower
    without them. Inputs of different strength need very different penalties: with one penalty for
    all, a weak input of many features adds noise, or a strong input is shrunk too much.
    """
    patients = [*fold.development, *fold.test]
    blocks = design_rows(study_data, study, inputs, fold, patients)
    rows, place = np.concatenate(blocks, axis=1), {p: i for i, p in enumerate(patients)}

    def of(some: Sequence[str]) -> Array:
        return rows[[place[p] for p in some]]

    inner = _InnerFits(
        [of(i.train) for i in fold.inner],
        [Target.of(study_data.cohort.outcomes(i.train, fold.development)) for i in fold.inner],
        [of(i.tune) for i in fold.inner],
        [block.shape[1] for block in blocks],
        head,
    )
    penalties, models = _chosen(inner, losses)
    return LinearFold(
        dict(zip(inputs, penalties, strict=True)),
        models,
        [raw[0] for raw in inner.tune(models)],
        [model(of(fold.test))[0] for model in models],
    )


@dataclass(frozen=True)
class _InnerFits:
    """Data for the fit on each inner fold, and for evaluation on its tune patients."""

    train: list[Array]
    targets: list[Target]
    held_out: list[Array]
    widths: list[int]
    head: Head

    def fit(
        self,
        penalties: Sequence[Sequence[float]],
        start: Sequence[LinearPath | None] | None = None,
    ) -> list[LinearPath]:
        """Fit every inner fold, starting from earlier models."""
        begin = [None] * len(self.train) if start is None else start
        return [
            fit_linear(x, target, self.head, penalties, widths=self.widths, start=first)
            for x, target, first in zip(self.train, self.targets, begin, strict=True)
        ]

    def tune(self, paths: Sequence[LinearPath]) -> list[Array]:
        """Score the tune patients of each inner fold, shape (penalties, n)."""
        return [path(x) for path, x in zip(paths, self.held_out, strict=True)]

    def alone(self, i: int) -> _InnerFits:
        """Return the data with one input."""
        columns = slice(sum(self.widths[:i]), sum(self.widths[: i + 1]))
        return _InnerFits(
            [x[:, columns] for x in self.train],
            self.targets,
            [x[:, columns] for x in self.held_out],
            [self.widths[i]],
            self.head,
        )


Chosen = tuple[tuple[float, ...], list[LinearPath]]


def _chosen(inner: _InnerFits, losses: Losses | None) -> Chosen:
    """Choose the penalties, and return them with the model of each inner fold."""
    n = len(inner.widths)
    if losses is None:
        middle = (PENALTIES[len(PENALTIES) // 2],) * n
        return middle, inner.fit([middle])
    if n == 1:
        return _best(inner, [(penalty,) for penalty in PENALTIES], losses)[1:]
    single = [_best(inner.alone(i), [(p,) for p in PENALTIES], losses) for i in range(n)]
    own = [penalties[0] for _, penalties, _ in single]
    together = [tuple(round(p * factor, 6) for p in own) for factor in FACTORS]
    loss, penalties, models = _best(inner, together, losses)
    for i in sorted(range(n), key=lambda i: -single[i][0]):
        if sum(penalty < LEFT_OUT for penalty in penalties) == 1:
            break
        without = (*penalties[:i], LEFT_OUT, *penalties[i + 1 :])
        value, _, found = _best(inner, [without], losses, models)
        if value < loss:
            loss, penalties, models = value, without, found
    return penalties, models


def _best(
    inner: _InnerFits,
    candidates: Sequence[tuple[float, ...]],
    losses: Losses,
    start: Sequence[LinearPath] | None = None,
) -> tuple[float, tuple[float, ...], list[LinearPath]]:
    """Return the lowest loss of some candidates, with its penalties and models."""
    paths = inner.fit(candidates, start)
    found = losses(inner.tune(paths))
    k = int(np.argmin(found))
    return float(found[k]), candidates[k], [path.only(k) for path in paths]
