"""Attention maps of some test patients, drawn after cross-validation for the report."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from outcome.progress import Progress, no_progress

if TYPE_CHECKING:
    from outcome.crossval.grid import Grid
    from outcome.evaluation.evaluation import Evaluation
    from outcome.evaluation.outcome_kinds import EvaluatedOutcome
    from outcome.study import Arm, Study

__all__ = ["draw_examples"]

FOLDER = "attention"
EXAMPLES = "examples.csv"


def draw_examples(
    study: Study,
    grid: Grid,
    predictions: pd.DataFrame,
    evaluation: Evaluation,
    outcome: EvaluatedOutcome,
    folder: Path,
    *,
    cache: str | Path | None = None,
    progress: Progress = no_progress,
) -> list[str]:
    """Draw maps of test patients with high and low risk, by models not trained on them.

    Parameters
    ----------
    study : Study
        `report.attention` is the number of patients.
    grid : Grid
        A study with finished fits.
    predictions : DataFrame
    evaluation : Evaluation
        Evaluation whose metrics determine the best arm with images.
    outcome : EvaluatedOutcome
    folder : Path
        The run folder; maps and tables are written to `attention/` in it. If the folder contains
        other images, they are kept and no maps are drawn.
    cache : path, optional
        As for `run`.

    Returns
    -------
    list of str
        Notes with reasons for missing maps.

    Notes
    -----
    Patients of the first test fold with the highest and the lowest risk are shown. The models are
    those that scored them, the inner models of this fold.
    """
    from outcome.bundle.fit import fit_bundle
    from outcome.bundle.new_patients import patients_of_study
    from outcome.errors import InputError
    from outcome.explain.explanation import ABOUT, explain

    out = folder / FOLDER
    ours = (out / ABOUT).is_file() and (out / EXAMPLES).is_file()
    if out.is_dir() and not ours and any(out.iterdir()):
        return []
    if ours:
        shutil.rmtree(out)
    arm = _best_arm(study, evaluation, outcome)
    if arm is None or study.report.attention == 0:
        return []
    fold = grid.study_data.folds[0]
    shown = _extremes(predictions, arm.name, fold.repeat, fold.name, study.report.attention)
    try:
        bundle = fit_bundle(
            grid.study,
            grid.study_data,
            arm,
            replace(fold, test=()),
            fits=folder.absolute() / "fits",
            device=grid.device,
            jobs=1,
        )
        new = patients_of_study(bundle, study, grid.study_data.cohort, list(shown), cache)
        first = {p: own[0][0] for p in shown if (own := new.slides.get(p))}
        titles = {slide: shown[p] for p, slide in first.items()}
        found = explain(
            bundle, new, slides=list(titles), patients=(), out=out, titles=titles, progress=progress
        )
    except (InputError, OSError) as error:
        shutil.rmtree(out, ignore_errors=True)
        return [f"no attention maps: {error}"]
    drawn = [(p, s) for p, s in first.items() if (out / f"{s}.png").is_file()]
    examples = pd.DataFrame(
        [
            {
                "file": f"{s}.png", "arm": arm.name, "patient_id": p, "slide_id": s,
                "title": shown[p],
            }
            for p, s in drawn
        ],
        columns=["file", "arm", "patient_id", "slide_id", "title"],
    )  # fmt: skip
    examples.to_csv(out / EXAMPLES, index=False)
    missing = len(shown) - len(drawn)
    reasons = "; ".join(dict.fromkeys(found.warnings)) if missing else ""
    return [f"attention maps of {missing} patients were not drawn: {reasons}"] if reasons else []


def _best_arm(study: Study, evaluation: Evaluation, outcome: EvaluatedOutcome) -> Arm | None:
    """Return the arm with images with the best primary metric; the first if there are ties."""
    learned = getattr(study.embeddings.reports, "learned", False)
    # A model with vectors that are learned separately in every fold cannot be stored and explained.
    able = [a for a in study.arms if "image" in a.inputs and not (learned and "report" in a.inputs)]
    rows = evaluation.metrics
    rows = rows[rows["metric"] == outcome.primary].drop_duplicates("arm")
    values = dict(zip(rows["arm"], rows["estimate"].astype(float), strict=True))
    known = [a for a in able if values.get(a.name, math.nan) == values.get(a.name, math.nan)]
    return max(known, key=lambda a: values[a.name]) if known else next(iter(able), None)


def _extremes(
    predictions: pd.DataFrame, arm: str, repeat: int, fold: str, count: int
) -> dict[str, str]:
    """Return patient -> title: half with the highest, half with the lowest risk of a test fold."""
    rows = predictions[
        (predictions["arm"] == arm)
        & (predictions["repeat"] == repeat)
        & (predictions["fold"].astype(str) == str(fold))
    ]
    ranked = [str(p) for p in rows.sort_values(["risk", "patient_id"])["patient_id"]]
    low = min(count // 2, len(ranked) // 2)
    high = min(count - count // 2, len(ranked) - low)
    return {
        **_titled(ranked[::-1][:high], "High risk"),
        **_titled(ranked[:low], "Low risk"),
    }


def _titled(patients: Sequence[str], text: str) -> dict[str, str]:
    return {p: f"{text}, example {i}" for i, p in enumerate(patients, 1)}
