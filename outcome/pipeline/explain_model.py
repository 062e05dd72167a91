"""Maps of attention and contribution of a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from outcome.progress import Progress, as_progress

if TYPE_CHECKING:
    from outcome.bundle.bundle import Bundle
    from outcome.explain.explanation import Explanation, Where
    from outcome.study import Study

__all__ = ["attention"]


def attention(
    bundle: str | Path | Bundle,
    study: str | Path | Study,
    *,
    slides: Sequence[str] = (),
    patients: Sequence[str] = (),
    out: str | Path | None = None,
    top: int = 20,
    images: str | Path | None = None,
    patches: str | Path | None = None,
    reports: str | Path | None = None,
    cache: str | Path | None = None,
    allow_import: bool = False,
    seed: int = 0,
    lazyslide: Where | None = None,
    progress: Progress | bool = False,
) -> Explanation:
    """Map the attention of a trained model, and which patches raised or lowered the risk.

    Parameters
    ----------
    bundle : path or Bundle
    study : path or Study
        A study file, or a cohort table as for `predict`.
    slides, patients : sequence of str
        Slides or patients to explain; a patient stands for all slides of the patient.
    out : path, optional
        Folder of maps and tables; by default `reports/<study name>-attention`.
    top : int
        Number of patches listed at each end.
    images : path, optional
        Folder of the slide images, for a thumbnail under the map (extra `[slides]`).
    patches, reports, cache, allow_import, progress
        As for `predict`.
    seed : int
        Seed of the random deletions used as reference for the faithfulness.
    lazyslide : {"copy", "original"}, optional
        If slides are LazySlide stores: write attention and contribution of each tile as the table
        `outcome_<arm>`, into a copy in the folder of the maps, or into the store itself. An
        existing table with this name is never overwritten.

    Raises
    ------
    InputError
        The input is invalid; the message lists all problems.

    Examples
    --------
    >>> import outcome
    >>> study = outcome.Study.read("study.yaml")
    >>> bundle = outcome.fit(study, arm="image", out="bundle")
    >>> patient = outcome.predict(bundle, study).table["patient_id"][0]
    >>> explained = outcome.attention(bundle, study, patients=[patient], out="maps")
    >>> explained.modalities["share_image"].tolist()
    [1.0]
    """
    from outcome.bundle.new_patients import as_study, read_new_patients
    from outcome.bundle.serialization import as_bundle
    from outcome.explain.explanation import explain
    from outcome.pipeline.prepare import default_folder

    model = as_bundle(bundle, allow_import=allow_import)
    read = as_study(model, study, patches, reports)
    cohort = read_new_patients(model, read, cache, with_outcomes=False)
    return explain(
        model,
        cohort,
        slides=slides,
        patients=patients,
        out=Path(out) if out is not None else default_folder(read, "-attention"),
        top=top,
        images=None if images is None else Path(images),
        seed=seed,
        lazyslide=lazyslide,
        progress=as_progress(progress),
    )
