"""Words for the sets of patients within which scores are compared: folds and strata, if any."""

from __future__ import annotations

from outcome.run_folder.folder import Run

__all__ = ["block_name", "stratified_words"]


def block_name(run: Run) -> str:
    """Name the sets within which scores are compared; empty where all patients are one set."""
    names = ["fold"] * run.cross_validated + ["stratum"] * bool(run.endpoint.strata)
    return " and ".join(names)


def stratified_words(run: Run) -> str:
    """Name the strata of models and tests; empty if there are none."""
    name = block_name(run)
    return f"stratified by {name}" if name else ""
