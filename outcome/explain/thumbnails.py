"""A thumbnail of the slide, if it is available and OpenSlide can open it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.cohort import slide_name

__all__ = ["Thumbnail", "find_thumbnail"]

LONGEST = 1600


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail of a slide.

    Parameters
    ----------
    pixels : uint8 array, shape (height, width, 3)
    width, height : int
        Size of the slide, in level-0 pixels.
    micrometres : float or None
        Micrometres per level-0 pixel, if given in the slide.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    micrometres: float | None


def find_thumbnail(folder: Path | None, slide: str) -> tuple[Thumbnail | None, str]:
    """Open the slide with this name.

    Returns
    -------
    Thumbnail or None
    str
        Reason why there is none; empty if there is one, or none was requested.
    """
    if folder is None:
        return None, ""
    if not folder.is_dir():
        return None, f"there is no folder {folder}"
    try:
        import openslide
    except (ImportError, OSError):
        return None, "OpenSlide is not installed: pip install 'slide-outcome[slides]'"
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and slide_name(p.name) == slide]
    if not files:
        return None, f"{folder} contains no slide {slide}"
    try:
        with openslide.OpenSlide(files[0]) as opened:
            return _read(opened), ""
    except (openslide.OpenSlideError, OSError) as error:
        return None, f"{files[0].name} cannot be opened: {error}"


def _read(opened: Any) -> Thumbnail:
    width, height = opened.dimensions
    picture = opened.get_thumbnail((LONGEST, LONGEST)).convert("RGB")
    said = opened.properties.get("openslide.mpp-x")
    return Thumbnail(np.asarray(picture), width, height, float(said) if said else None)
