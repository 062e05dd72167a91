"""The chapter of attention examples, with images from `attention/` of the run folder."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pandas as pd
from PIL import Image

from outcome.reporting.page.blocks import Picture, ReportSection
from outcome.reporting.page.figures import ReportFigures
from outcome.run_folder.folder import Run

__all__ = ["attention"]

MOST = 12
LARGEST = 900
"""Pixels of the longer side on the page."""


def attention(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show attention maps, if the run folder contains any.

    Pictures are `attention/**/*.png` (or jpg). An optional `attention/examples.csv` has columns
    `file` and any of `arm`, `patient_id`, `slide_id`, `title`, `caption`; its order is that of
    the page, and only `arm` and `title` are shown without patient ids.
    """
    folder = run.path / "attention"
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not files:
        return None
    about = _about(folder)
    order = {name: i for i, name in enumerate(about)}
    files.sort(key=lambda p: order.get(p.relative_to(folder).as_posix(), len(order)))
    section = ReportSection("attention", "Attention examples")
    section.say(
        "The maps show which regions of a slide had most weight in the score. The slides are of "
        "test patients, whom the model was not trained on. Attention shows what contributed to "
        "the score, not why. An example is not evidence: these patients were selected for their "
        "high or low risk."
    )
    for i, path in enumerate(files[:MOST], 1):
        name = path.relative_to(folder).as_posix()
        if (picture := _picture(run, path, i, about.get(name, {}))) is not None:
            section.show(picture)
    if len(files) > MOST:
        section.say(
            f"The first {MOST} of {len(files)} maps; the others are in attention/.", quiet=True
        )
    return section if len(section.blocks) > 1 else None


def _about(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "examples.csv"
    if not path.is_file():
        return {}
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError, pd.errors.ParserError):
        return {}
    rows = [{str(k): str(v) for k, v in r.items()} for r in table.to_dict("records")]
    return {row.get("file", ""): row for row in rows}


def _picture(run: Run, path: Path, number: int, about: dict[str, str]) -> Picture | None:
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError):
        return None
    image.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    # Written anew, so that no metadata of the file comes along.
    image.save(buffer, format="JPEG", quality=85)
    source = base64.b64encode(buffer.getvalue()).decode("ascii")
    arm = about.get("arm", "")
    parts = [about.get("title", "") or f"Example {number}", f"arm {arm}" if arm else ""]
    if run.show_ids:
        parts += [about.get("patient_id", ""), about.get("slide_id", "") or path.stem]
        parts.append(about.get("caption", ""))
    text = ", ".join(p for p in parts if p)
    return Picture(
        f"attention-{number}",
        f"data:image/jpeg;base64,{source}",
        image.width,
        image.height,
        f"Attention map of one slide. {text}.",
        f"{text}.",
        as_file=False,
    )
