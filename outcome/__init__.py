"""Slide-level clinical outcome prediction from patch and report embeddings.

Examples
--------
>>> import outcome
>>> study = outcome.Study.read("study.yaml")  # doctest: +SKIP
>>> results = outcome.run(study)  # doctest: +SKIP
>>> results.metrics  # doctest: +SKIP

A trained model: see `outcome.fit`, `outcome.predict`, `outcome.validate` and `outcome.attention`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# `run` is imported here and now: a later import of the module would put itself in the function's
# place. It is quick; everything heavy is imported when a study runs.
from outcome.pipeline.run import Results, run

if TYPE_CHECKING:
    from outcome.pipeline.explain_model import attention
    from outcome.pipeline.fit_model import fit
    from outcome.pipeline.predict_patients import predict
    from outcome.pipeline.validate_model import validate
    from outcome.simulation.simulate import Simulation
    from outcome.study import Study

__version__ = "0.1.0"
__all__ = [
    "Results",
    "Simulation",
    "Study",
    "attention",
    "fit",
    "predict",
    "run",
    "validate",
]


_PLACES = {
    "Simulation": "outcome.simulation.simulate",
    "Study": "outcome.study",
    "attention": "outcome.pipeline.explain_model",
    "fit": "outcome.pipeline.fit_model",
    "predict": "outcome.pipeline.predict_patients",
    "validate": "outcome.pipeline.validate_model",
}
"""Where the public names are, which are imported when they are first used."""


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'outcome' has no attribute {name!r}")
