"""Conversion of report texts to a file of vectors: chunking, encoding, resuming."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.reports.chunking import chunks
from outcome.embeddings.reports.encoders import TextEncoder, make_encoder
from outcome.embeddings.reports.study_texts import study_texts
from outcome.errors import EmbeddingError
from outcome.progress import CountProgress, no_progress
from outcome.study import ReportTexts

__all__ = ["Embedded", "cached_vectors", "embed_texts"]

GROUP = 64
"""Number of patients encoded together; an interrupted run repeats at most one group."""
FORMAT = 1


@dataclass(frozen=True)
class Embedded:
    """Summary of the written file.

    Parameters
    ----------
    patients, chunks : int
    dimension : int
    encoded : int
        Patients whose text was encoded now; the others existed already.
    """

    patients: int
    chunks: int
    dimension: int
    encoded: int


def embed_texts(
    texts: Mapping[str, str],
    encoder: TextEncoder,
    out: Path,
    *,
    limit: int | None = None,
    progress: CountProgress = no_progress,
) -> Embedded:
    """Write a dataset (chunks, d) per patient, with the settings as attributes of the file.

    Parameters
    ----------
    texts : mapping of patient to str
    encoder : TextEncoder
    out : Path
        An existing file with the same settings is updated: only new and changed texts are encoded.
        Unfinished work is kept in a file in the same folder.
    limit : int, optional
        Maximum length of a chunk, if it should be shorter than the limit of the encoder.
    progress : callable
        Called with the number of finished patients, and of all patients.

    Raises
    ------
    EmbeddingError
        There is no text; `out` is another file, or was made with other settings; or a patient's
        id cannot name a dataset.
    """
    limit = min(limit or encoder.limit, encoder.limit)
    about = {
        **encoder.about(),
        "chunking": f"whole sentences, at most {limit} {encoder.unit} per chunk",
        "format": str(FORMAT),
    }
    if not texts:
        raise EmbeddingError("there is no report text to encode")
    if bad := [p for p in texts if "/" in p or p in (".", "..") or "\0" in p]:
        raise EmbeddingError(f"patient ids that cannot name a dataset: {', '.join(bad[:3])}")
    wanted = {p: _digest(texts[p]) for p in sorted(texts)}
    known = _known(out, about) if out.exists() else {}
    part = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    progress(0, len(wanted))
    with _open(part, about) as file:
        for stale in [p for p in file if file[p].attrs.get("text") != wanted.get(p)]:
            del file[stale]
        encoded, groups = 0, [list(wanted)[i : i + GROUP] for i in range(0, len(wanted), GROUP)]
        for number, group in enumerate(groups):
            absent = {p for p in group if p not in file}
            _copy(out, file, {p for p in absent if known.get(p) == wanted[p]})
            if waiting := [p for p in group if p not in file]:
                # All texts of a group are encoded together, because rounding may depend on the
                # other texts.
                vectors = _encode([texts[p] for p in group], encoder, limit)
                _write(file, dict(zip(group, vectors, strict=True)), waiting, wanted)
            encoded += len(waiting)
            progress(min((number + 1) * GROUP, len(wanted)), len(wanted))
        shapes = [file[p].shape for p in file]
    part.replace(out)
    return Embedded(len(wanted), sum(n for n, _ in shapes), shapes[0][1], encoded)


def _write(
    file: h5py.File,
    vectors: Mapping[str, NDArray[np.float32]],
    patients: Sequence[str],
    digests: Mapping[str, str],
) -> None:
    for patient in patients:
        data = file.create_dataset(patient, data=vectors[patient])
        data.attrs["text"] = digests[patient]
    file.flush()


def cached_vectors(
    source: ReportTexts, patient_column: str, folder: Path, progress: CountProgress
) -> Path:
    """Encode the texts of a study on first use; return the file in the cache.

    Raises
    ------
    EmbeddingError
        The texts cannot be read, or the encoder is not available.
    """
    texts = study_texts(source, patient_column).texts
    about = [
        sorted(texts.items()),
        source.encoder,
        _stamp(source.encoder.partition(":")[2]),
        source.weights,
        _stamp(source.weights or ""),
        str(source.tokenizer),
        source.chunk_length,
        FORMAT,
    ]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]
    path = folder / f"{key}.h5"
    if not path.is_file():
        encoder = make_encoder(source.encoder, weights=source.weights, tokenizer=source.tokenizer)
        embed_texts(texts, encoder, path, limit=source.chunk_length, progress=progress)
    return path


def _stamp(place: str) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of a local model."""
    path = Path(place) if place else Path("/nowhere")
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(f), f.stat()) for f in files if f.is_file()]
    return [(name, s.st_size, s.st_mtime_ns) for name, s in stats]


def _encode(texts: Sequence[str], encoder: TextEncoder, limit: int) -> list[NDArray[np.float32]]:
    parts = [chunks(text, limit, encoder.lengths) for text in texts]
    vectors = encoder.encode([chunk for report in parts for chunk in report])
    if not np.isfinite(vectors).all():
        raise EmbeddingError("the encoder returned NaN or infinite numbers; try without fp16")
    ends = np.cumsum([len(p) for p in parts])
    return np.split(vectors, ends[:-1])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _open(part: Path, about: Mapping[str, str]) -> h5py.File:
    """Open the file of an interrupted run, or start again if it has other settings."""
    if part.is_file():
        try:
            file = h5py.File(part, "a")
            if {k: str(v) for k, v in file.attrs.items()} == dict(about):
                return file
            file.close()
        except OSError:
            pass
        part.unlink()
    file = h5py.File(part, "w")
    file.attrs.update(about)
    return file


def _known(out: Path, about: Mapping[str, str]) -> dict[str, str]:
    """Patients of a finished file, and the hash of the text of each."""
    try:
        with h5py.File(out, "r") as file:
            found = {k: str(v) for k, v in file.attrs.items()}
            if found == dict(about):
                return {p: str(file[p].attrs.get("text", "")) for p in file}
    except OSError:
        raise EmbeddingError(
            f"{out} exists and is not a file of vectors; give another file"
        ) from None
    differing = [k for k in about if found.get(k) != about[k]]
    raise EmbeddingError(
        f"{out} exists and was made with other settings ({', '.join(differing)}); give another "
        "file with `out=`, or remove it"
    )


def _copy(out: Path, file: h5py.File, patients: set[str]) -> None:
    if patients:
        with h5py.File(out, "r") as old:
            for patient in sorted(patients):
                old.copy(patient, file)
