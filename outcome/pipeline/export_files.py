"""Write results in the formats of other tools, for `outcome export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from outcome.progress import CountProgress, no_progress

if TYPE_CHECKING:
    from outcome.study import Study

__all__ = ["PredictionTarget", "Target", "export_predictions", "export_study"]

Target = Literal["anndata", "patho-bench"]
PredictionTarget = Literal["stamp", "patho-bench"]


def export_predictions(
    source: str | Path,
    out: str | Path,
    *,
    arm: str | None = None,
    to: PredictionTarget = "stamp",
) -> list[Path]:
    """Write predictions in the format of STAMP, or with metrics in the folders of Patho-Bench.

    Parameters
    ----------
    source : path
        A run folder, or a table of predictions.
    out : path
        A new folder, with one inside per repeat and fold: `split-<i>` (STAMP) or
        `test_metrics/fold_<i>` (Patho-Bench).
    arm : str, optional
        By default the only arm, or the baseline of a run.
    to : {"stamp", "patho-bench"}

    Returns
    -------
    list of Path
        The tables of predictions.

    Raises
    ------
    InputError
        The folder is not empty, or there is no such arm.

    Examples
    --------
    >>> import pandas as pd
    >>> from outcome.pipeline.export_files import export_predictions
    >>> table = pd.DataFrame({"patient_id": ["A", "B"], "fold": [0, 1], "risk": [1.0, 2.0]})
    >>> table.assign(time=[3.0, 4.0], event=[1, 0]).to_csv("ours.csv", index=False)
    >>> [str(path) for path in export_predictions("ours.csv", "for_stamp")]
    ['for_stamp/split-0/patient-preds.csv', 'for_stamp/split-1/patient-preds.csv']
    """
    from outcome.errors import PredictionsError, RunFolderError
    from outcome.exporting.patho_bench_results import write_patho_bench_results
    from outcome.exporting.stamp_predictions import write_stamp_predictions
    from outcome.pipeline.sources import read_sources
    from outcome.predictions import read_external

    place = Path(out)
    if place.is_file() or (place.is_dir() and any(place.iterdir())):
        raise RunFolderError(f"{place} contains other files; give another folder")
    (read,) = read_sources([Path(source)])
    predictions = read_external([read.table]).predictions
    chosen = arm or str(read.manifest.get("baseline") or predictions.arms[0])
    if chosen not in predictions.arms or (not arm and not read.folder and predictions.arms[1:]):
        raise PredictionsError(
            f"{source}: give one of its arms with `arm=`: {', '.join(predictions.arms)}"
        )
    if to == "stamp":
        return write_stamp_predictions(predictions, chosen, place)
    favourable = bool(read.part("endpoint").get("favourable"))
    return write_patho_bench_results(predictions, chosen, place, favourable=favourable)


def export_study(
    study: str | Path | Study,
    out: str | Path,
    to: Target,
    *,
    cache: str | Path | None = None,
    jobs: int = 1,
    progress: CountProgress = no_progress,
) -> int:
    """Write the slide vectors of a study as AnnData, or its cohort and folds for Patho-Bench.

    Parameters
    ----------
    study : path or Study
    out : path
        A new file: `.h5ad`, or the table of a task (`k=all.tsv`).
    to : {"anndata", "patho-bench"}
    cache : path, optional
        Folder of packed vectors.
    jobs : int
        Processes that pack slides.
    progress : callable
        Called with the number of slides read so far, and of all slides.

    Returns
    -------
    int
        Number of slides written.

    Raises
    ------
    InputError
        The file exists, or the study cannot be read.
    """
    from outcome import Study
    from outcome.dataset.study_data import prepare
    from outcome.embeddings.patches.packed_store import default_cache
    from outcome.errors import RunFolderError
    from outcome.exporting.anndata_vectors import import_anndata, write_slide_vectors
    from outcome.exporting.patho_bench_task import patho_bench_task

    path = Path(out)
    if path.exists():
        raise RunFolderError(f"{path} already exists; give another file")
    if to == "anndata":
        import_anndata()
    read = study if isinstance(study, Study) else Study.read(Path(study))
    data = prepare(read, Path(cache) if cache else default_cache(), jobs=jobs, progress=progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    if to == "anndata":
        return write_slide_vectors(data, path)
    table = patho_bench_task(data.cohort, data.folds, read.name.replace(" ", "_"))
    table.to_csv(path, sep="\t", index=False)
    return len(table)
