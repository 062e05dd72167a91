"""Sources of the bags of a dataset: arrays in memory, or slides in the packed store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.packed_store import Packed, PackedStore
from outcome.embeddings.patches.readers.content import Raw, as_patches
from outcome.errors import EmbeddingError, Problems
from outcome.scratch import ScratchFolder
from outcome.tables.ids import slide_name

__all__ = ["ArrayBags", "BagSource", "PackedBags"]

Array = NDArray[Any]
Slides = dict[str, tuple[Array, Array | None]]

UNUSABLE = "`bags` contains vectors that cannot be used"


class BagSource(Protocol):
    """Bags of patients, divided into slides."""

    def slides(self, patient: str) -> list[str]:
        """Names of a patient's slides, in order."""
        ...

    def bag(self, patient: str) -> tuple[Array | None, Array | None]:
        """Patch vectors, shape (n, d), and their coordinates, shape (n, 2); None without."""
        ...

    def parts(self, patient: str) -> list[Array]:
        """Patch vectors of each slide."""
        ...

    def packed(
        self, patients: Sequence[str], problems: Problems
    ) -> tuple[PackedStore, dict[str, Packed]]:
        """Return the packed slides of some patients, and their store."""
        ...


class ArrayBags:
    """Arrays in memory, packed when a model is first trained on them.

    Parameters
    ----------
    arrays : mapping of patient to mapping of slide to (features, coords)
    cache : path or None
        Folder of the packed store; None for a temporary folder that is removed with this object.
    """

    def __init__(self, arrays: Mapping[str, Slides], cache: str | Path | None) -> None:
        self.arrays = arrays
        self.cache = None if cache is None else Path(cache).absolute()
        self._scratch: ScratchFolder | None = None
        self._packed: dict[str, Packed | str] = {}

    @classmethod
    def of(
        cls,
        bags: Mapping[str, Any],
        coords: Mapping[str, Any],
        cache: str | Path | None,
        problems: Problems,
    ) -> ArrayBags:
        """Divide the given bags into slides.

        Parameters
        ----------
        bags : mapping of patient to array, mapping of slide to array, or None
        coords : mapping of patient to array
        cache : path or None
        problems : Problems
            Receives problems of entries that are not arrays of finite numbers of one length.
        """
        found: dict[str, Slides] = {}
        wrong: list[str] = []
        for patient, given in bags.items():
            slides = given if isinstance(given, Mapping) else {patient: given}
            named: Slides = {}
            for slide, values in slides.items():
                if values is None:
                    continue
                array = _array(values)
                if array is None:
                    wrong.append(f"{patient} ({type(values).__name__})")
                    continue
                where = coords.get(patient)
                if isinstance(where, Mapping):
                    where = where.get(slide)
                named[slide_name(str(slide))] = (
                    array,
                    None if where is None else np.asarray(where),
                )
            found[patient] = named
        if wrong:
            problems.add(
                "Complex data not supported, nor text: `bags` holds no array of real numbers",
                wrong,
                "give arrays of shape (n, d)",
            )
        _check_numbers(found, problems)
        return cls(found, cache)

    @property
    def store(self) -> PackedStore:
        """The packed store, made on first use."""
        if self.cache is not None:
            return PackedStore(self.cache)
        if self._scratch is None:
            self._scratch = ScratchFolder()
        return PackedStore(self._scratch.path)

    def slides(self, patient: str) -> list[str]:
        """Names of a patient's slides, in order."""
        return list(self.arrays.get(patient, {}))

    def bag(self, patient: str) -> tuple[Array | None, Array | None]:
        """Patch vectors and coordinates as given; None without."""
        own = list(self.arrays.get(patient, {}).values())
        if not own:
            return None, None
        places = [c for _, c in own if c is not None]
        coords = np.concatenate(places) if len(places) == len(own) else None
        return (own[0][0] if len(own) == 1 else np.concatenate([f for f, _ in own])), coords

    def parts(self, patient: str) -> list[Array]:
        """Patch vectors of each slide as given."""
        return [features for features, _ in self.arrays.get(patient, {}).values()]

    def packed(
        self, patients: Sequence[str], problems: Problems
    ) -> tuple[PackedStore, dict[str, Packed]]:
        """Return the packed slides of some patients; each is packed once."""
        store = self.store
        wanted = {s: own for p in patients for s, own in self.arrays.get(p, {}).items()}
        for slide, (features, coords) in wanted.items():
            if slide not in self._packed:
                try:
                    self._packed[slide] = store.pack_array(slide, features, coords)
                except EmbeddingError as error:
                    self._packed[slide] = str(error)
        if bad := [found for s in wanted if isinstance(found := self._packed[s], str)]:
            problems.add(UNUSABLE, bad, "correct these arrays, or exclude the patients")
        good = {s: found for s in wanted if isinstance(found := self._packed[s], Packed)}
        return store, good

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the temporary folder; another process packs the arrays again."""
        state = {**self.__dict__, "_scratch": None}
        return state if self.cache is not None else state | {"_packed": {}}


@dataclass(frozen=True)
class PackedBags:
    """Slides in the packed store.

    Parameters
    ----------
    store : PackedStore
    named : mapping of patient to mapping of slide to Packed
    """

    store: PackedStore
    named: Mapping[str, Mapping[str, Packed]]

    def slides(self, patient: str) -> list[str]:
        """Names of a patient's slides, in order."""
        return list(self.named.get(patient, {}))

    def bag(self, patient: str) -> tuple[Array | None, Array | None]:
        """Patch vectors (memory-mapped for a single slide) and coordinates."""
        own = list(self.named.get(patient, {}).values())
        if not own:
            return None, None
        found = self.store.bag(own)
        return found.features, found.coords

    def parts(self, patient: str) -> list[Array]:
        """Patch vectors of each slide, memory-mapped."""
        return [self.store.features([slide]) for slide in self.named.get(patient, {}).values()]

    def packed(
        self, patients: Sequence[str], problems: Problems
    ) -> tuple[PackedStore, dict[str, Packed]]:
        """Return the packed slides of some patients."""
        return self.store, {s: f for p in patients for s, f in self.named.get(p, {}).items()}


def _array(values: Any) -> Array | None:
    """Return an array of real numbers; None if the value is not one."""
    try:
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "fiu" and array.ndim >= 1 else None


def _check_numbers(bags: Mapping[str, Slides], problems: Problems) -> None:
    """Check that all vectors are finite and have the same length."""
    unusable: list[str] = []
    widths: dict[str, int] = {}
    for slides in bags.values():
        for slide, (array, _) in slides.items():
            try:
                features = as_patches(Raw(array), slide).features
            except EmbeddingError as error:
                unusable.append(str(error))
                continue
            if len(features):
                widths[slide] = features.shape[1]
    if unusable:
        problems.add(UNUSABLE, unusable, "correct these arrays, or exclude the patients")
    if len(counts := Counter(widths.values()).most_common()) > 1:
        usual = counts[0][0]
        problems.add(
            f"`bags` have different numbers per patch (most have {usual})",
            [f"{bag} ({width})" for bag, width in widths.items() if width != usual],
            "give vectors of one encoder",
        )
