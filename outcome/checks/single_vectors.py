"""Inputs with one vector per patient, such as embeddings of whole slides."""

from __future__ import annotations

from outcome.dataset.study_data import StudyData
from outcome.study import Study

__all__ = ["single_vectors"]


def single_vectors(study: Study, study_data: StudyData) -> list[str]:
    """Return which inputs have one vector per patient and need no pooling.

    Parameters
    ----------
    study : Study
    study_data : StudyData

    Returns
    -------
    list of str
        One sentence per input used by an arm; empty if patients have several vectors.
    """
    used = {name for arm in study.arms for name in arm.inputs}
    found = []
    for name in [name for name in ("image", "report") if name in used]:
        lengths = _lengths(study_data, name)
        if lengths and max(lengths) == 1:
            found.append(
                f"{name}: one vector per patient ({len(lengths)} patients). Pooling is not "
                "needed: `attention` and `mean` give the same model, and attention is not "
                "computed."
            )
    return found


def _lengths(study_data: StudyData, name: str) -> list[int]:
    """Vectors of each patient who has the input."""
    if name == "image":
        return [sum(slide.n for slide in slides) for slides in study_data.slides.values() if slides]
    if not study_data.folds:
        return []
    # Vectors learned from texts need a fold, but their number is the same in every fold.
    reports = study_data.of_fold(study_data.folds[0]).reports
    if reports is None:
        return []
    bags = (reports.vectors(patient) for patient in reports.rows)
    return [len(bag) for bag in bags if bag is not None]
