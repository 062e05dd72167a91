"""A study of data in memory: several models, cross-validated on the same folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, ClassVar

from outcome.errors import InputError, Problems
from outcome.pipeline.study_evaluation import N_RESAMPLES, evaluate_run, inner_scores_table
from outcome.progress import Progress, as_progress
from outcome.scratch import ScratchFolder

if TYPE_CHECKING:
    import pandas as pd

    from outcome.bundle.bundle import Bundle
    from outcome.crossval.grid import Grid
    from outcome.dataset.slide_dataset import SlideDataset
    from outcome.estimators.base import MILEstimator
    from outcome.evaluation.evaluation import Evaluation
    from outcome.study import Study

__all__ = ["CrossValidation", "cross_validate"]


TABLES = (
    "predictions", "inner_scores", "development", "history", "splits", "cohort_flow", "notes",
    "warnings",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """Several models, cross-validated on the same folds.

    The tables are those that `outcome.run` writes.

    Attributes
    ----------
    predictions : DataFrame
        One row per arm, repeat and patient, scored by models that were not trained on the patient:
        `arm, patient_id, repeat, fold`, the outcome, `risk` (higher is worse), `risk_group` and
        calibrated probabilities.
    inner_scores : DataFrame
        Scores of test patients by each inner model.
    development : DataFrame
        Out-of-fold risks of development patients. They are optimistic: use them only for
        calibration and cut-offs.
    history : DataFrame
        Losses of every fit and epoch.
    splits : DataFrame
        Role of each patient in each fold.
    cohort_flow : DataFrame
        Number of patients after each selection step, with the reasons for exclusion.
    notes, warnings : list of str
        Notes on excluded or imputed data, and warnings about the results.
    evaluation : Evaluation
        Metrics with intervals, comparisons with the baseline, risk groups and further tables.
        Computed on first use.
    estimators : dict of arm to list of MILCox or MILClassifier
        The fitted model of each fold. Made on first use.
    """

    predictions: pd.DataFrame
    inner_scores: pd.DataFrame
    development: pd.DataFrame
    history: pd.DataFrame
    splits: pd.DataFrame
    cohort_flow: pd.DataFrame
    notes: list[str]
    warnings: list[str]
    _grid: Grid
    _made: Mapping[str, MILEstimator]
    _classes: Sequence[Any]
    _kept: tuple[Any, ...]

    # Made by `cross_validate` only: `help` shows the tables, not what they are computed from.
    __signature__: ClassVar[Signature] = Signature(
        [Parameter(name, Parameter.KEYWORD_ONLY) for name in TABLES]
    )

    @property
    def study(self) -> Study:
        """All settings, including defaults."""
        return self._grid.study

    @cached_property
    def evaluation(self) -> Evaluation:
        """All results of the study."""
        return self.evaluate()

    def evaluate(self, n_resamples: int = N_RESAMPLES) -> Evaluation:
        """Evaluate every arm and compare each with the baseline.

        Parameters
        ----------
        n_resamples : int
            Number of bootstrap resamples.
        """
        from outcome.dataset.patient_tables import patient_tables
        from outcome.evaluation.crossfit_estimates import InnerModelTables
        from outcome.predictions import Predictions

        study, study_data = self._grid.study, self._grid.study_data
        return evaluate_run(
            study,
            Predictions(self.predictions),
            patient_tables(study, study_data),
            InnerModelTables(self.inner_scores, self.splits),
            n_resamples=n_resamples,
        )

    @property
    def metrics(self) -> pd.DataFrame:
        """Discrimination and calibration of every arm, with intervals."""
        return self.evaluation.metrics

    @property
    def comparisons(self) -> pd.DataFrame:
        """Differences from the baseline."""
        return self.evaluation.comparisons

    @property
    def risk_groups(self) -> pd.DataFrame:
        """Risk groups: survival, hazard ratios, log-rank tests."""
        return self.evaluation.risk_groups

    @cached_property
    def estimators(self) -> dict[str, list[Any]]:
        """The fitted model of each arm and fold, in the order of the folds."""
        from sklearn.base import clone

        found: dict[str, list[Any]] = {}
        for arm, model in self._made.items():
            found[arm] = []
            for fold in self._grid.study_data.folds:
                fitted = clone(model).with_bundle(self.bundle(arm, fold.name, fold.repeat))
                if self._classes:
                    fitted = fitted.with_classes(self._classes)
                found[arm].append(fitted)
        return found

    def bundle(self, arm: str, fold: str, repeat: int = 0) -> Bundle:
        """Return the trained model of one arm and fold, e.g. for `outcome.predict`.

        Parameters
        ----------
        arm : str
        fold : str
            Name as in the column `fold` of `predictions`.
        repeat : int

        Raises
        ------
        InputError
            There is no such arm or fold.
        """
        from outcome.bundle.fit import fit_bundle
        from outcome.pipeline.fit_model import choose_arm

        grid = self._grid
        for own in grid.study_data.folds:
            if own.key == (repeat, str(fold)):
                return fit_bundle(
                    grid.study,
                    grid.study_data,
                    choose_arm(grid.study, arm),
                    replace(own, test=()),
                    fits=grid.fits,
                    device=grid.device,
                    jobs=1,
                )
        names = ", ".join(f"{f.name} (repeat {f.repeat})" for f in grid.study_data.folds)
        raise InputError(f"there is no fold {fold!r} of repeat {repeat}; folds are {names}")

    def __repr__(self) -> str:
        arms = ", ".join(arm.name for arm in self.study.arms)
        n = self.predictions["patient_id"].nunique()
        folds = len(self._grid.study_data.folds)
        return f"CrossValidation of {arms}: {n} patients, {folds} folds"

    def _repr_html_(self) -> str:
        return self.evaluation._repr_html_()


def cross_validate(
    arms: Mapping[str, Any] | Sequence[str] | Any,
    data: SlideDataset | Any,
    y: Any = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    inner_folds: int | None = None,
    stratify: bool = True,
    site: str | None = None,
    site_preserved: bool = False,
    seed: int = 0,
    baseline: str | None = None,
    contrasts: Sequence[tuple[str, str]] = (),
    unit: str | None = None,
    horizons: Sequence[float] = (),
    strata: str | None = None,
    landmark: float | None = None,
    positive: Any = None,
    favourable: bool | None = None,
    risk_groups: str | Sequence[float] | None = None,
    training: Mapping[str, Any] | None = None,
    n_jobs: int | None = None,
    device: str = "auto",
    progress: Progress | bool = False,
) -> CrossValidation:
    """Train several models under nested cross-validation and predict every patient out of fold.

    This function does in memory what `outcome.run` does with files, with the same results. Test
    patients are read once. Epochs, calibration and cut-offs are fixed on development patients.

    Parameters
    ----------
    arms : mapping of name to model, or sequence of names
        A model is an estimator (`MILCox`, `MILClassifier`), inputs (a list, or joined by `+`), a
        mapping with the keys of an arm in a study file, or None to use the inputs given by the
        name.
    data : SlideDataset, mapping of patient to array, or sequence of arrays
    y : Surv array, DataFrame or array of labels, optional
        By default the outcomes of the dataset.
    folds, repeats : int
        Number of outer folds, and number of random divisions.
    inner_folds : int, optional
        Number of folds within the development patients, reduced if there are few events. Default:
        the value of the estimators, else 5.
    stratify : bool
        Distribute events (or positive labels) evenly over folds.
    site : str, optional
        Column of the covariates with the hospital of the patient.
    site_preserved : bool
        Keep all patients of one site in one fold.
    seed : int
        Seed of the division. The seed of the networks is `training={"seed": ...}`, or
        `random_state` of the estimators.
    baseline : str, optional
        The arm with which the others are compared; by default `image`, else the first one.
    contrasts : sequence of (str, str)
        Further comparisons: pairs of an arm and a reference arm.
    unit : {"days", "months", "years"}, optional
        Unit of follow-up; by default that of the estimators, else days.
    horizons : sequence of float
        Times, in `unit`, at which AUC, Brier score, calibration and survival are reported.
    strata : str, optional
        Column of the covariates whose groups have their own baseline hazard.
    landmark : float, optional
        Predict whether the event occurs by this time, instead of the time of the event.
    positive, favourable
        For labels: the positive class (by default the last one in sorted order), and whether it is
        the better outcome.
    risk_groups : {"median", "tertiles", "maxstat"} or sequence of float, optional
        Cut-offs, from development patients. Default: those of the estimators, else the median.
    training : mapping, optional
        Keys of the section `training` of a study file, e.g. `{"epochs": 20}`; by default the
        settings of the estimators, which must be equal.
    n_jobs : int, optional
        Number of processes; by default one, -1 for one per processor. Results do not depend on it.
    device : str
        `auto`, `cpu`, `cuda:N` or `mps`.
    progress : bool or callable
        True writes lines to stderr: the stage, what is done, and the time elapsed and left. A
        function is called with the name of the stage, the number of finished items, and the number
        of all items.

    Returns
    -------
    CrossValidation

    Raises
    ------
    InputError
        The data or settings are invalid. All problems are listed, before anything is trained.

    See Also
    --------
    outcome.run : the same for a study file, with a results page.
    outcome.plotting : figures from the predictions.

    Examples
    --------
    >>> import numpy as np
    >>> import outcome
    >>> from sksurv.util import Surv
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.normal(size=48)
    >>> data = outcome.SlideDataset(
    ...     bags=[r + rng.normal(size=(20, 8)) for r in risk],
    ...     reports=[r + rng.normal(size=6) for r in risk],
    ... )
    >>> y = Surv.from_arrays(np.ones(48, dtype=bool), np.exp(4 - risk + rng.normal(size=48)))
    >>> result = outcome.cross_validate(
    ...     ["image", "image+report"], data, y, folds=2, inner_folds=2,
    ...     training={"epochs": 2, "components": 4},
    ... )
    >>> result
    CrossValidation of image, image+report: 48 patients, 2 folds
    >>> evaluation = result.evaluate(n_resamples=50)
    >>> evaluation.comparisons["baseline"].unique().tolist()
    ['image']
    """
    import pandas as pd

    from outcome.checks import check_study
    from outcome.cohort import splits_table
    from outcome.crossval.executors import LocalProcesses
    from outcome.crossval.fit_notes import fit_notes, fit_warnings
    from outcome.crossval.grid import Grid, check_networks
    from outcome.crossval.joined_predictions import joined_predictions
    from outcome.crossval.scheduler import run_grid
    from outcome.dataset.memory_study import cohort_table, memory_study
    from outcome.dataset.slide_dataset import SlideDataset
    from outcome.dataset.study_data import prepare
    from outcome.devices import choose_device
    from outcome.estimators.base import python_names
    from outcome.processes import processes_of
    from outcome.tables.outcome_frame import label_codes
    from outcome.training.precision import resolved

    dataset = SlideDataset.of(data)
    outcomes = dataset.outcomes_from(y)
    classes: list[Any] = []
    if "label" in outcomes:
        classes, codes = label_codes(outcomes["label"], positive)
        outcomes = outcomes.assign(label=codes)
    models = _models(arms)
    asked = {"unit": unit, "strata": strata, "favourable": favourable}
    endpoint = _endpoint(outcomes, models, asked, landmark, horizons)
    settings = _training(models, training)
    inner_folds = _shared(models, "inner_folds", inner_folds, 5)
    split = {
        "folds": folds, "repeats": repeats, "inner_folds": inner_folds, "stratify": stratify,
        "site": site, "site_preserved": site_preserved, "seed": seed,
    }  # fmt: skip
    with python_names():
        study = memory_study(
            dataset,
            {
                "endpoint": endpoint,
                "arms": [arm for arm, _ in models.values()],
                "baseline": baseline,
                "contrasts": [list(pair) for pair in contrasts],
                "split": split,
                "risk_groups": _shared(models, "risk_groups", risk_groups, "median"),
                "training": settings,
            },
            "cross_validate",
        )
    device = choose_device(device)
    settled = resolved(study, device)
    with python_names():
        check_networks(settled)
    vectors = dataset.vectors()
    study_data = prepare(
        study,
        vectors.store.folder,
        frame=cohort_table(dataset, outcomes),
        vectors=vectors,
    )
    checked = check_study(study, study_data)
    scratch = ScratchFolder()
    grid = Grid(settled, study_data, scratch.path / "fits", device)
    finished = run_grid(grid, LocalProcesses(processes_of(n_jobs)), as_progress(progress))
    return CrossValidation(
        predictions=joined_predictions(finished, study_data),
        inner_scores=inner_scores_table(finished),
        development=pd.concat([f.development for f in finished], ignore_index=True),
        history=pd.concat([f.history for f in finished if len(f.history)] or [finished[0].history]),
        splits=splits_table(study_data.folds, study_data.cohort),
        cohort_flow=study_data.cohort.flow_table(),
        notes=[*study_data.notes, *fit_notes(finished, study.split.inner_folds)],
        warnings=[*checked.warnings, *fit_warnings(finished)],
        _grid=grid,
        _made=_estimators(study, models),
        _classes=classes,
        _kept=(dataset, scratch),
    )


Models = dict[str, tuple[dict[str, Any], "MILEstimator | None"]]


def _models(arms: Any) -> Models:
    """Return the settings of each arm, and its estimator if one was given."""
    from outcome.estimators.base import MILEstimator

    if isinstance(arms, (str, MILEstimator)):
        arms = [arms]
    if not isinstance(arms, Mapping):
        arms = {
            a.arm_settings()["name"] if isinstance(a, MILEstimator) else str(a): a for a in arms
        }
    if not arms:
        raise InputError("`arms` is empty: give a model, e.g. {'image': MILCox()}")
    found: Models = {}
    for name, model in arms.items():
        if isinstance(model, MILEstimator):
            found[str(name)] = model.arm_settings(str(name)), model
        elif model is None or isinstance(model, str):
            inputs = [part.strip() for part in str(model or name).split("+")]
            found[str(name)] = {"name": str(name), "inputs": inputs}, None
        elif isinstance(model, (list, tuple)):
            found[str(name)] = {"name": str(name), "inputs": list(model)}, None
        elif isinstance(model, Mapping):
            own = {"inputs": [part.strip() for part in str(name).split("+")], **model}
            found[str(name)] = {"name": str(name), **own}, None
        else:
            raise InputError(
                f"`arms`: {name!r} is {type(model).__name__}. To do: give MILCox(...),"
                " MILClassifier(...), inputs such as 'image+report', or None"
            )
    return found


def _endpoint(
    outcomes: pd.DataFrame,
    models: Models,
    asked: Mapping[str, Any],
    landmark: float | None,
    horizons: Sequence[float],
) -> dict[str, Any]:
    """Return the section `endpoint`: that of the estimators, changed by the arguments."""
    from outcome.estimators.mil_classifier import MILClassifier
    from outcome.estimators.mil_cox import MILCox

    labels = "label" in outcomes
    given = [(name, model) for name, (_, model) in models.items() if model is not None]
    fitting = MILClassifier if labels or landmark is not None else MILCox
    problems = Problems("cross_validate")
    if wrong := [name for name, model in given if not isinstance(model, fitting)]:
        kind = "labels" if labels else "an event by a time" if landmark else "times and events"
        problems.add(
            f"the outcomes are {kind}, so every estimator must be {fitting.__name__}", wrong
        )
    problems.raise_if_any(InputError)
    endpoints = [model.endpoint_settings() for _, model in given]
    if any(other != endpoints[0] for other in endpoints):
        problems.add("the estimators predict different outcomes (unit, strata, favourable)")
    if labels and (horizons or landmark is not None):
        problems.add("`horizons` and `landmark` need times and events, but `y` contains labels")
    problems.raise_if_any(InputError)
    if landmark is not None:
        timed = MILCox().endpoint_settings()
        kept = {k: timed[k] for k in ("time", "event", "event_codes", "unit")}
        found = {"kind": "landmark", "horizon": landmark, **kept}
    else:
        found = dict(endpoints[0]) if endpoints else fitting().endpoint_settings()
    if "entry" in outcomes:
        found["entry"] = "entry"
    known = {k: v for k, v in asked.items() if v is not None}
    if useless := sorted(set(known) - set(found)):
        raise InputError(f"`{useless[0]}` does not apply to outcomes of this kind; omit it")
    if horizons and landmark is None:
        known["horizons"] = list(horizons)
    return found | known


def _training(models: Models, asked: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the section `training`: the argument, else that of the estimators."""
    own = [model.training_settings() for _, model in models.values() if model is not None]
    if asked is not None:
        return {**(own[0] if own else {}), **asked}
    if any(other != own[0] for other in own):
        differing = sorted({k for other in own for k in other if other[k] != own[0][k]})
        raise InputError(
            f"the estimators differ in {', '.join(differing)}. All models must have the same "
            "training settings to be compared. To do: make them equal, or give "
            "`training={...}`"
        )
    return own[0] if own else {}


def _shared(models: Models, name: str, asked: Any, default: Any) -> Any:
    """Return a parameter: the argument, else that of the estimators, which must be equal."""
    if asked is not None:
        return asked
    own = [getattr(model, name) for _, model in models.values() if model is not None]
    if any(other != own[0] for other in own):
        raise InputError(f"the estimators differ in {name}. To do: give `{name}=`")
    return own[0] if own else default


def _estimators(study: Study, models: Models) -> dict[str, MILEstimator]:
    """Return an unfitted estimator for each arm; none for an event by a horizon."""
    from outcome.estimators.base import TRAINING
    from outcome.estimators.mil_classifier import MILClassifier
    from outcome.estimators.mil_cox import MILCox

    endpoint = study.endpoint
    if endpoint.kind == "landmark":
        return {}
    kind: Any = MILClassifier if endpoint.kind == "binary" else MILCox
    names = ("favourable",) if endpoint.kind == "binary" else ("unit", "strata")
    training = study.training.model_dump(include={*TRAINING})
    shared = {
        **training,
        **{name: getattr(endpoint, name) for name in names},
        "inner_folds": study.split.inner_folds,
        "risk_groups": study.risk_groups,
        "random_state": study.training.seed,
    }
    return {
        arm.name: kind(
            inputs="+".join(arm.inputs),
            aggregator=arm.aggregator,
            fusion=arm.fusion,
            options=dict(arm.options) or None,
            **shared,
        )
        for arm in study.arms
    }
