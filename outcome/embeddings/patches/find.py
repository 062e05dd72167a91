"""Patch embeddings on disk: find the files of every slide, in one folder or several.

Folders are searched recursively. The name of a slide is the name of its file without `.h5`, `.pt`
and similar suffixes and without an image suffix. In place of a folder there can be one table of
vectors, with a row per slide or patient. Several folders are several resolutions of the same slides
(their patches are concatenated by slide), or parts of a cohort, in which case no slide is in two of
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from outcome.cohort import slide_name
from outcome.embeddings.patches.geometry import patch_geometry
from outcome.embeddings.patches.readers import (
    SIDECARS,
    SUFFIXES,
    Names,
    SlidePatches,
    read_file,
    read_row,
    read_table_of_vectors,
)
from outcome.embeddings.patches.readers.lazyslide import is_store, store_files
from outcome.embeddings.patches.readers.vector_table import PICKLES, refuse_pickle
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
"""Order of preference of suffixes, if a slide has several kinds of file in a folder."""
HDF5, TENSOR, NUMPY, ZARR = (".h5", ".hdf5"), (".pt", ".pth"), (".npz", ".npy"), (".zarr",)
OF_LAYOUT = {
    "trident": HDF5,
    "clam": HDF5 + TENSOR,
    "panther": HDF5 + TENSOR,
    "stamp": HDF5,
    "moozy": HDF5,
    "slideflow": TENSOR,
    "slide2vec": (".pt", ".npz"),
    "lazyslide": ZARR,
    "tensor": TENSOR,
    "numpy": NUMPY,
}
"""Suffixes of each layout of the study file."""
OF_OTHER_THINGS = frozenset(
    {"patches", "masks", "stitches", "thumbnails", "visualization", "slide_latents"}
)
"""Folders that TRIDENT, CLAM and slide2vec write next to the features."""
COORDINATES = (".index.npz", ".coordinates.npz")
"""File names of coordinates of slideflow and slide2vec."""
MOST_FILES = 1_000_000


@dataclass(frozen=True)
class SlideFiles:
    """The files of one slide: one, or one per resolution.

    Parameters
    ----------
    paths : tuple of Path
    names : Names or None
        Names of the arrays inside, if declared by the user.
    layout : str
        Layout declared by the user; empty if it is detected.
    rows : tuple of str
        Row of each path that is a table of vectors; empty for a file of this slide alone, and
        altogether if no path is a table.
    """

    paths: tuple[Path, ...]
    names: Names | None = None
    layout: str = ""
    rows: tuple[str, ...] = ()

    @property
    def first(self) -> Path:
        """The file shown for the slide in messages."""
        return self.paths[0]

    def fingerprint(self) -> str:
        """Return text that changes if a file (or a companion file) changes."""
        parts = [f"{self.names}|{self.layout}"] if self.names or self.layout else []
        parts += [f"rows {self.rows}"] if self.in_tables else []
        for path in (p for one in self.paths for p in _parts(one)):
            status = path.stat()
            parts.append(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}")
        return "\n".join(parts)

    @property
    def in_tables(self) -> bool:
        """Whether the vector is in a table with other slides."""
        return any(self.rows)

    def read(self) -> SlidePatches:
        """Return all patches of the slide.

        Raises
        ------
        EmbeddingError
            A file cannot be used, or resolutions are inconsistent.
        """
        rows = self.rows or ("",) * len(self.paths)
        parts = [self._read_one(path, row) for path, row in zip(self.paths, rows, strict=True)]
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

    def _read_one(self, path: Path, row: str) -> SlidePatches:
        if row:
            found = read_row(path, row, self.names, self.layout)
            return replace(found, files=((len(found.features), {}),))
        found = read_file(path, self.names, self.layout)
        return replace(found, files=((len(found.features), patch_geometry(path, self.names)),))


@dataclass(frozen=True)
class Found:
    """The feature files of the folders.

    Parameters
    ----------
    files : mapping of slide name to SlideFiles
    doubled : mapping of slide name to list of Path
        Slides with several files in one folder and no preference between them.
    partial : frozenset of str
        Slides that are only in some of the folders, if folders are resolutions.
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
        A folder is missing or contains no feature file.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    declared = layout if isinstance(layout, str) and layout != "auto" else ""
    names = Names(layout.features, layout.coords) if isinstance(layout, ArrayNames) else None
    notes: list[str] = []
    doubled: dict[str, list[Path]] = {}
    per_folder: list[dict[str, tuple[Path, str]]] = []
    for folder in folders:
        try:
            if folder.is_file():
                table = read_table_of_vectors(folder, names)
                per_folder.append({slide: (folder, slide) for slide in table.rows})
                notes.append(
                    f"{folder.name} contains one vector for each of {len(table.rows)} rows"
                )
                continue
            found = _in_folder(folder, OF_LAYOUT.get(declared, PREFERENCE), notes)
        except OSError as error:
            raise EmbeddingError(f"embeddings.patches: {folder} cannot be read: {error}") from None
        doubled |= {slide: paths for slide, paths in found.items() if len(paths) > 1}
        per_folder.append({slide: (paths[0], "") for slide, paths in found.items()})
    slides = sorted({slide for found in per_folder for slide in found})
    paths = {s: tuple(found[s] for found in per_folder if s in found) for s in slides}
    partial: frozenset[str] = frozenset()
    if any(len(p) > 1 for p in paths.values()):
        partial = frozenset(s for s in slides if len(paths[s]) < len(folders))
        shown = ", ".join(f.name for f in folders)
        notes.append(
            f"patch features of {len(folders)} folders ({shown}) are concatenated by slide"
        )
    elif len(folders) > 1:
        notes.append(f"{len(folders)} folders contain different slides and are used together")
    files = {
        slide: SlideFiles(tuple(path for path, _ in places), names, declared, _rows(places))
        for slide, places in paths.items()
        if slide not in partial
    }
    return Found(files, doubled, partial, tuple(notes))


def _rows(places: Sequence[tuple[Path, str]]) -> tuple[str, ...]:
    rows = tuple(row for _, row in places)
    return rows if any(rows) else ()


def _in_folder(folder: Path, suffixes: Sequence[str], notes: list[str]) -> dict[str, list[Path]]:
    """Return slide name -> its files below one folder, the preferred kind of each."""
    if not folder.is_dir():
        raise EmbeddingError(f"embeddings.patches: there is no folder {folder}")
    if is_store(folder) and folder.suffix.lower() in suffixes:
        return {slide_name(folder.name): [folder]}
    found: dict[str, list[Path]] = {}
    for path in _feature_files(folder, suffixes):
        found.setdefault(slide_name(path.name[: -len(path.suffix)]), []).append(path)
    if not found:
        pickles = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICKLES]
        if pickles:
            raise refuse_pickle(pickles[0].name)
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:3]) or "nothing"
        raise EmbeddingError(
            f"embeddings.patches: {folder} contains no {', '.join(suffixes)} file (it contains "
            f"{inside}). To do: give the folder with one file per slide, or to a table of slide "
            "vectors (.h5ad, .parquet, .csv)"
        )
    twins = 0
    for slide, paths in found.items():
        kept = _preferred(paths)
        twins += len(kept) < len(paths)
        found[slide] = kept
    if twins:
        notes.append(
            f"{twins} slides have more than one kind of file in {folder.name}. HDF5 files are "
            "preferred to tensors, and tensors to numpy files (`embeddings: {layout: ...}` "
            "overrides this)"
        )
    return found


def _preferred(paths: list[Path]) -> list[Path]:
    """Select the most informative kind among duplicates in a folder (or CLAM's pair of folders)."""
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
        stores = [d for d in inside if is_store(Path(place) / d)]
        inside[:] = [d for d in inside if d not in stores]
        seen += len(names)
        if seen > MOST_FILES:
            raise EmbeddingError(
                f"embeddings.patches: {folder} contains more than {MOST_FILES:,} files. To do: "
                "give the folder with one file per slide"
            )
        for name in sorted([*names, *stores]):
            lower = name.lower()
            if name.startswith(".") or lower.endswith(COORDINATES):
                continue
            path = Path(place) / name
            if lower.endswith(tuple(suffixes)) and (path.is_file() or name in stores):
                yield path


def _parts(path: Path) -> Iterator[Path]:
    """Yield the files of a slide: its own, those of a store, and companion files."""
    if is_store(path):
        yield from store_files(path)
        return
    yield path
    for tool in SIDECARS:
        yield from tool.files(path)
    twin = path.parent.with_name("h5_files") / f"{path.stem}.h5"
    if path.parent.name == "pt_files" and path.suffix.lower() in TENSOR and twin.is_file():
        yield twin


def first_readable(files: Sequence[SlideFiles]) -> SlidePatches | None:
    """Return the patches of the first readable slide; None if there is none."""
    for one in files:
        try:
            return one.read()
        except EmbeddingError:
            continue
    return None
