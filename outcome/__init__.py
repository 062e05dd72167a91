"""Slide-level clinical outcome prediction from patch, report and clinical data.

There are two ways to use the package, with the same results:

A study file
    `Study.read`, `run` (train, compare, write the results page), then `fit`, `predict`, `validate`
    and `attention` for a trained model.

Data in memory
    `SlideDataset` (bags of patch vectors, reports, covariates), estimators in the conventions of
    scikit-learn and scikit-survival (`MILCox`, `MILClassifier`), and `cross_validate`, which
    compares several of them on the same folds.

For both
    `evaluate` and `compare` take tables of predictions of any tool and return an `Evaluation`;
    `metrics` has single metrics with intervals; `plotting` has Kaplan-Meier curves, forest plots,
    calibration, AUC over time, decision curves and attention maps. `simulate` makes cohorts with a
    known truth, and `power` estimates how many patients a comparison needs.

PyTorch
    `models` has aggregators, `OutcomeNetwork`, `cox_nll` and collate functions for your own
    training loop; `testing.check_aggregator` checks an aggregator.

Outcomes are arrays of scikit-survival (`sksurv.util.Surv`), DataFrames with `time` and `event` or
`label`, or labels. A higher risk always means a worse outcome. Invalid input raises an
`InputError`, a `ValueError` whose message states what to do.

Examples
--------
Does the report add to the image?

>>> import numpy as np
>>> import outcome
>>> from sksurv.util import Surv
>>> rng = np.random.default_rng(0)
>>> hidden = rng.normal(size=60)
>>> data = outcome.SlideDataset(
...     bags=[h + rng.normal(size=(rng.integers(10, 30), 16)) for h in hidden],
...     reports=[h + rng.normal(size=8) for h in hidden],
... )
>>> y = Surv.from_arrays(rng.uniform(size=60) < 0.8, np.exp(6 - hidden + rng.normal(size=60)))
>>> result = outcome.cross_validate(
...     {"image": None, "image+report": None}, data, y, folds=2, inner_folds=2,
...     training={"epochs": 2, "components": 4},
... )
>>> result.predictions[["arm", "patient_id", "fold", "risk"]].shape
(120, 4)

`result.evaluation` holds metrics, comparisons and risk groups;
`outcome.plotting.kaplan_meier(result.predictions, arm="image")` draws the risk groups. A model
fitted on all patients:

>>> model = outcome.MILCox(epochs=2, components=4, inner_folds=2).fit(data, y)
>>> model.predict(data[:3]).shape
(3,)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from outcome.lazy_names import lazy_names

if TYPE_CHECKING:
    from outcome import metrics, models, plotting, testing
    from outcome.dataset.slide_dataset import SlideDataset
    from outcome.dataset.study_data import PatientSample
    from outcome.errors import InputError
    from outcome.estimators.mil_classifier import MILClassifier
    from outcome.estimators.mil_cox import MILCox
    from outcome.evaluation.evaluation import Evaluation
    from outcome.pipeline.cross_validate import CrossValidation, cross_validate
    from outcome.pipeline.evaluate_frames import compare, evaluate
    from outcome.pipeline.explain_model import attention
    from outcome.pipeline.fit_model import fit
    from outcome.pipeline.predict_patients import predict
    from outcome.pipeline.run import Results, run
    from outcome.pipeline.validate_model import validate
    from outcome.simulation.power import ExpectedDifference, power
    from outcome.simulation.simulate import Simulation, simulate
    from outcome.study import Study

__version__ = "0.1.0"
__all__ = [
    "CrossValidation",
    "Evaluation",
    "ExpectedDifference",
    "InputError",
    "MILClassifier",
    "MILCox",
    "PatientSample",
    "Results",
    "Simulation",
    "SlideDataset",
    "Study",
    "attention",
    "compare",
    "cross_validate",
    "evaluate",
    "fit",
    "metrics",
    "models",
    "plotting",
    "power",
    "predict",
    "run",
    "simulate",
    "testing",
    "validate",
]

_PLACES = {
    "CrossValidation": "outcome.pipeline.cross_validate",
    "Evaluation": "outcome.evaluation.evaluation",
    "ExpectedDifference": "outcome.simulation.power",
    "InputError": "outcome.errors",
    "MILClassifier": "outcome.estimators.mil_classifier",
    "MILCox": "outcome.estimators.mil_cox",
    "PatientSample": "outcome.dataset.study_data",
    "Results": "outcome.pipeline.run",
    "Simulation": "outcome.simulation.simulate",
    "SlideDataset": "outcome.dataset.slide_dataset",
    "Study": "outcome.study",
    "attention": "outcome.pipeline.explain_model",
    "compare": "outcome.pipeline.evaluate_frames",
    "cross_validate": "outcome.pipeline.cross_validate",
    "evaluate": "outcome.pipeline.evaluate_frames",
    "fit": "outcome.pipeline.fit_model",
    "metrics": "outcome.metrics",
    "models": "outcome.models",
    "plotting": "outcome.plotting",
    "power": "outcome.simulation.power",
    "predict": "outcome.pipeline.predict_patients",
    "run": "outcome.pipeline.run",
    "simulate": "outcome.simulation.simulate",
    "testing": "outcome.testing",
    "validate": "outcome.pipeline.validate_model",
}
"""Modules of the public names, which are imported on first use."""

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
