"""Patch embeddings on disk: find the files of every slide, in one folder or several.

Folders are searched with everything below them. What a slide is called is the name of its file
without `.h5`, `.pt` and the like and without an image suffix. Several folders are several
resolutions of the same slides (their patches are put together, slide by slide), or parts of a
cohort, where no slide is in two of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from outcome.cohort import slide_name
from outcome.embeddings.patches.geometry import patch_geometry
from outcome.embeddings.patches.readers import SUFFIXES, Names, SlidePatches, read_file
from outcome.errors import EmbeddingError
from outcome.study import ArrayNames, Layout

__all__ = [
    "Found",
    "SlideFiles",
    "SlidePatches",
    "find_slide_files",
    "first_readable",
]

PREFERENCE = tuple(SUFFIXES)
"""Order of suffixes, where one slide has several kinds of file in one folder."""
HDF5, TENSOR, NUMPY = (".h5", ".hdf5"), (".pt", ".pth"), (".npz", ".npy")
OF_LAYOUT = {
    "trident": HDF5,
    "clam": HDF5 + TENSOR,
    "panther": HDF5 + TENSOR,
    "stamp": HDF5,
    "slideflow": TENSOR,
    "tensor": TENSOR,
    "numpy": NUMPY,
}
"""Suffixes of each layout that a study file can name."""
OF_OTHER_THINGS = frozenset({"patches", "masks", "stitches", "thumbnails", "visualization"})
"""Folders that TRIDENT and CLAM write next to the features."""
MOST_FILES = 1_000_000


@dataclass(frozen=True)
class SlideFiles:
    """The files of one slide: one, or one per resolution.

    Parameters
    ----------
    paths : tuple of Path
    names : Names or None
        Of the arrays inside, where the user declared them.
    layout : str
        Declared by the user; empty where it is detected.
    """

    paths: tuple[Path, ...]
    names: Names | None = None
    layout: str = ""

    @property
    def first(self) -> Path:
        """The file that stands for the slide in messages."""
        return self.paths[0]

    def fingerprint(self) -> str:
        """Return text that changes when a file (or a companion of it) does."""
        parts = [f"{self.names}|{self.layout}"] if self.names or self.layout else []
        for path in (p for one in self.paths for p in (one, *_companions(one))):
            status = path.stat()
            parts.append(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}")
        return "\n".join(parts)

    def read(self) -> SlidePatches:
        """Return all patches of the slide.

        Raises
        ------
        EmbeddingError
            A file cannot be used, or resolutions do not go together.
        """
        parts = [self._read_one(path) for path in self.paths]
        parts = [p for p in parts if len(p.features)] or parts[:1]
        first = parts[0]
        if len(parts) == 1:
            return first
        for what in ("dimension", "encoder"):
            values = [p.features.shape[1] if what == "dimension" else p.encoder for p in parts]
            if len(set(values)) > 1:
                shown = ", ".join(map(str, values))
                raise EmbeddingError(
                    f"{self.paths[0].name}: the folders differ in {what} ({shown})"
                )
        return SlidePatches(
            np.concatenate([p.features for p in parts]),
            np.concatenate([p.coords for p in parts]),
            first.encoder,
            "+".join(dict.fromkeys(p.layout for p in parts)),
            coords_problem=next((p.coords_problem for p in parts if p.coords_problem), ""),
            files=tuple(f for p in parts for f in p.files),
        )

    def _read_one(self, path: Path) -> SlidePatches:
        found = read_file(path, self.names, self.layout)
        return replace(found, files=((len(found.features), patch_geometry(path)),))


@dataclass(frozen=True)
class Found:
    """What is in the folders.

    Parameters
    ----------
    files : mapping of slide name to SlideFiles
    doubled : mapping of slide name to list of Path
        Slides with several files in one folder, of which none can be preferred.
    partial : frozenset of str
        Slides that are in some of the folders only, where folders are resolutions.
    notes : tuple of str
    """

    files: Mapping[str, SlideFiles]
    doubled: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    partial: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def find_slide_files(folders: Path | Sequence[Path], layout: Layout = "auto") -> Found:
    """Find the feature files of every slide.

    Parameters
    ----------
    folders : Path, or sequence of Path
    layout : str or ArrayNames
        `auto`, the name of a layout, or the names of the arrays inside the files.

    Raises
    ------
    EmbeddingError
        A folder is missing or holds no feature file.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    declared = layout if isinstance(layout, str) and layout != "auto" else ""
    names = Names(layout.features, layout.coords) if isinstance(layout, ArrayNames) else None
    notes: list[str] = []
    doubled: dict[str, list[Path]] = {}
    per_folder: list[dict[str, Path]] = []
    for folder in folders:
        try:
            found = _in_folder(folder, OF_LAYOUT.get(declared, PREFERENCE), notes)
        except OSError as error:
            raise EmbeddingError(f"embeddings.patches: {folder} cannot be read: {error}") from None
        doubled |= {slide: paths for slide, paths in found.items() if len(paths) > 1}
        per_folder.append({slide: paths[0] for slide, paths in found.items()})
    slides = sorted({slide for found in per_folder for slide in found})
    paths = {s: tuple(found[s] for found in per_folder if s in found) for s in slides}
    partial: frozenset[str] = frozenset()
    if any(len(p) > 1 for p in paths.values()):
        partial = frozenset(s for s in slides if len(paths[s]) < len(folders))
        shown = ", ".join(f.name for f in folders)
        notes.append(f"patches of {len(folders)} folders ({shown}) are put together by slide")
    elif len(folders) > 1:
        notes.append(f"{len(folders)} folders hold different slides, and are used side by side")
    files = {s: SlideFiles(p, names, declared) for s, p in paths.items() if s not in partial}
    return Found(files, doubled, partial, tuple(notes))


def _in_folder(folder: Path, suffixes: Sequence[str], notes: list[str]) -> dict[str, list[Path]]:
    """Return slide name -> its files below one folder, the preferred kind of each."""
    if not folder.is_dir():
        raise EmbeddingError(f"embeddings.patches: there is no folder {folder}")
    found: dict[str, list[Path]] = {}
    for path in _feature_files(folder, suffixes):
        found.setdefault(slide_name(path.name[: -len(path.suffix)]), []).append(path)
    if not found:
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:3]) or "nothing"
        raise EmbeddingError(
            f"embeddings.patches: {folder} holds no {', '.join(suffixes)} file (it holds {inside})."
            " To do: point to the folder with one file per slide"
        )
    twins = 0
    for slide, paths in found.items():
        kept = _preferred(paths)
        twins += len(kept) < len(paths)
        found[slide] = kept
    if twins:
        notes.append(
            f"{twins} slides are in {folder.name} as more than one kind of file: HDF5 is used"
            " before tensors, and these before numpy (`embeddings: {layout: ...}` chooses)"
        )
    return found


def _preferred(paths: list[Path]) -> list[Path]:
    """Of twins in one folder (or in CLAM's pair of folders) the kind that says most."""
    if len(paths) == 1:
        return paths
    homes = {
        p.parent.parent if p.parent.name in ("h5_files", "pt_files") else p.parent for p in paths
    }
    if len(homes) > 1 or len({p.suffix.lower() for p in paths}) < len(paths):
        return paths
    return [min(paths, key=lambda p: PREFERENCE.index(p.suffix.lower()))]


def _feature_files(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    seen = 0
    for place, inside, names in os.walk(folder, followlinks=False):
        inside[:] = sorted(
            d for d in inside if not d.startswith((".", "__")) and d not in OF_OTHER_THINGS
        )
        seen += len(names)
        if seen > MOST_FILES:
            raise EmbeddingError(
                f"embeddings.patches: {folder} holds more than {MOST_FILES:,} files. To do: point"
                " to the folder with one file per slide"
            )
        for name in sorted(names):
            lower = name.lower()
            if name.startswith(".") or lower.endswith(".index.npz"):
                continue
            path = Path(place) / name
            if lower.endswith(tuple(suffixes)) and path.is_file():
                yield path


def _companions(path: Path) -> Iterator[Path]:
    """Files next to a tensor from which its coordinates and encoder are taken."""
    if path.suffix.lower() not in (".pt", ".pth"):
        return
    near = [path.with_name(f"{path.stem}.index.npz"), path.with_name("bags_config.json")]
    if path.parent.name == "pt_files":
        near.append(path.parent.with_name("h5_files") / f"{path.stem}.h5")
    yield from (p for p in near if p.is_file())


def first_readable(files: Sequence[Path]) -> SlidePatches | None:
    """Return the first of some files that can be read; None where none can."""
    for path in files:
        try:
            return read_file(path)
        except EmbeddingError:
            continue
    return None
