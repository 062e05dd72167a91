"""Slide-level clinical outcome prediction from patch and report embeddings.

Examples
--------
>>> import outcome
>>> study = outcome.Study.read("study.yaml")  # doctest: +SKIP
>>> results = outcome.run(study)  # doctest: +SKIP
>>> results.metrics  # doctest: +SKIP

A trained model in use: see `outcome.pipeline.deploy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# `run` is imported here and now: a later import of the module would put itself in the function's
# place. It is quick; everything heavy is imported when a study runs.
from outcome.pipeline.run import Results, run

if TYPE_CHECKING:
    from outcome.pipeline.deploy import attention, fit, predict, validate
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


def __getattr__(name: str) -> Any:
    if name == "Study":
        from outcome.study import Study

        return Study
    if name == "Simulation":
        from outcome.simulation.simulate import Simulation

        return Simulation
    if name in ("attention", "fit", "predict", "validate"):
        from outcome import use

        return getattr(use, name)
    raise AttributeError(f"module 'outcome' has no attribute {name!r}")
