"""Slides of a study: what is refused, what is reported, what is left out."""

from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import pytest

from outcome.cohort import Cohort, read_cohort
from outcome.embeddings.patches.join import join_slides
from outcome.embeddings.patches.packed_store import PackedStore
from outcome.errors import CohortError, Problems
from outcome.study import Study

GRID = np.array([[0, 0], [256, 0], [0, 256], [256, 256]])
N = 6


def features(slide):
    seed = sum(map(ord, slide))
    return np.random.default_rng(seed).normal(size=(len(GRID), 6)).astype(np.float32)


def write(folder, slide, coords=GRID, attributes=(), x=None):
    folder.mkdir(exist_ok=True, parents=True)
    with h5py.File(folder / f"{slide}.h5", "w") as file:
        file["features"] = features(slide) if x is None else x
        if coords is not None:
            file["coords"] = coords
            file["coords"].attrs.update(dict(attributes))


class Joined(NamedTuple):
    cohort: Cohort
    slides: dict
    store: PackedStore
    notes: list


@pytest.fixture
def study(tmp_path):
    """Write slides by `write_slide(i, slide)` and join them with the cohort."""

    def read(write_slide, slides=None, **embeddings):
        ids = [f"P{i:02d}" for i in range(N)]
        slides = slides or [(p, f"{p}-S1") for p in ids]
        rng = np.random.default_rng(0)
        known = {p: (rng.uniform(1, 60), i % 2) for i, p in enumerate(dict(slides))}
        rows = [(p, s, *known[p]) for p, s in slides]
        table = pd.DataFrame(rows, columns=["patient_id", "slide_id", "t", "e"])
        table.to_csv(tmp_path / "cohort.csv", index=False)
        for i, (_, slide) in enumerate(slides):
            write_slide(i, slide)
        parsed = Study.parse(
            {
                "name": "case",
                "cohort": "cohort.csv",
                "endpoint": {"kind": "survival", "time": "t", "event": "e", "unit": "months"},
                "embeddings": {"patches": "features", **embeddings},
                "arms": ["image"],
            },
            folder=tmp_path,
        )
        problems, notes, store = Problems("case"), [], PackedStore(tmp_path / "cache")
        cohort = read_cohort(parsed, problems)
        cohort, packed = join_slides(
            parsed, cohort, store, notes, problems, jobs=1, progress=lambda done, total: None
        )
        problems.raise_if_any(CohortError)
        return Joined(cohort, packed, store, notes)

    return read


def trident(of, px=256):
    return {"patch_size": px, "patch_size_level0": px * 40 // of, "target_magnification": of}


# Attributes of the slides of odd and of even numbers: one setting or two.
MIXED = {
    "magnification": (trident(20), trident(5), "magnification of their patches"),
    "size at one magnification": (trident(20), trident(20, 512), "size of their patches"),
    "micrometres": ({"tile_size_um": 256.0}, {"tile_size_um": 512.0}, "size of their patches"),
    "derived magnification": (
        trident(20),
        {"patch_size": 256, "patch_size_level0": 1024, "level0_magnification": 40},
        "magnification of their patches",
    ),
}
ALIKE = {
    "half of the files say nothing": (trident(20), {}),
    "scans at 40x and 20x": (
        trident(20),
        {"patch_size": 256, "patch_size_level0": 256, "target_magnification": 20},
    ),
    "pixels of CLAM at an unknown magnification": (
        {"patch_size": 512, "patch_level": 0}, {"patch_size": 256, "patch_level": 0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MIXED)
def test_mixed_settings_of_extraction_are_refused(tmp_path, study, case):
    *two, message = MIXED[case]
    with pytest.raises(CohortError, match=message) as error:
        study(lambda i, s: write(tmp_path / "features", s, attributes=two[i % 2]))
    assert ": 3, e.g. P" in str(error.value)


@pytest.mark.parametrize("case", ALIKE)
def test_settings_that_may_stand_side_by_side(tmp_path, study, case):
    two = ALIKE[case]
    found = study(lambda i, s: write(tmp_path / "features", s, attributes=two[i % 2]))
    assert len(found.cohort.patients) == N


def test_resolutions_are_compared_folder_by_folder(tmp_path, study):
    def both(odd):
        def write_slide(i, slide):
            write(tmp_path / "10x", slide, attributes=trident(10))
            write(tmp_path / "20x", slide, attributes=trident(odd if i % 2 else 20))

        return write_slide

    folders = ["10x", "20x"]
    assert len(study(both(20), patches=folders).cohort.patients) == N
    with pytest.raises(CohortError, match=r"most have '10\+(20|5)'"):
        study(both(5), patches=folders)


# Coordinates of every file, and whether they can be read.
COORDS = {
    "boxes": (np.hstack([GRID, GRID + 256]), True),
    "boxes with a first axis of one": (np.hstack([GRID, GRID + 256])[None], True),
    "three columns": (np.hstack([GRID, GRID[:, :1]]), False),
    "too few": (GRID[:3], False),
    "flat": (GRID.ravel(), False),
    "text": (np.array([[b"a", b"b"]] * 4), False),
    "a single number": (np.array(7.0), False),
    "a link": (h5py.ExternalLink("other.h5", "coords"), False),
}


@pytest.mark.parametrize("layout", ["auto", {"features": "features"}])
@pytest.mark.parametrize("case", COORDS)
def test_coordinates_never_stop_a_study(tmp_path, study, case, layout):
    coords, readable = COORDS[case]

    def write_slide(i, slide):
        write(tmp_path / "features", slide, coords=None)
        with h5py.File(tmp_path / "features" / f"{slide}.h5", "r+") as file:
            file["coords"] = coords

    found = study(write_slide, layout=layout)
    bag = found.store.bag(found.slides["P00"])
    notes = [n for n in found.notes if "coordinates" in n]
    if readable:
        assert sorted(bag.coords.tolist()) == sorted(GRID.tolist())
        assert not notes
    else:
        assert np.isnan(bag.coords).all()
        assert notes[0].startswith(f"coordinates of {N} slides cannot be read, e.g. P00-S1 (")


def twice(x):
    return np.concatenate([x, x])


# Coordinates and vectors of every third slide, and how many patches are counted as repeated.
REPEATED = {
    "written twice": (lambda s: (twice(GRID), twice(features(s))), "4 of 8"),
    "resumed at the third patch": (
        lambda s: (GRID[[0, 1, 2, 3, 2, 3]], features(s)[[0, 1, 2, 3, 2, 3]]),
        "2 of 6",
    ),
    "computed anew, not bit by bit": (
        lambda s: (twice(GRID), np.concatenate([features(s), features(s) * 1.001])),
        "4 of 8",
    ),
    "without coordinates": (lambda s: (None, twice(features(s))), "4 of 8"),
    "coordinates all zero": (lambda s: (twice(GRID) * 0, twice(features(s))), "4 of 8"),
    "equal vectors of empty glass": (lambda s: (GRID, np.ones((4, 6), np.float32)), ""),
    "two equal vectors without coordinates": (lambda s: (None, features(s)[[0, 1, 2, 2]]), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", REPEATED)
def test_repeated_patches_are_reported(tmp_path, study, case):
    make, count = REPEATED[case]

    def write_slide(i, slide):
        coords, x = make(slide) if i % 3 == 0 else (GRID, features(slide))
        write(tmp_path / "features", slide, coords=coords, x=x)

    notes = [n for n in study(write_slide).notes if "more than once" in n]
    if count:
        assert notes[0].startswith(
            f"2 slides contain patches more than once, e.g. P00-S1 ({count})"
        )
    else:
        assert not notes


def test_two_resolutions_of_one_place_are_not_repeated(tmp_path, study):
    def write_slide(i, slide):
        for folder in ("10x", "20x"):
            write(tmp_path / folder, slide)

    assert not [n for n in study(write_slide, patches=["10x", "20x"]).notes if "once" in n]


def tcga():
    """Two slides more than patients: a frozen section, and normal tissue that is frozen too."""
    patients = [f"TCGA-A{i % 10}-10{i:02d}" for i in range(N)]
    slides = [(p, f"{p}-01Z-00-DX1.A") for p in patients]
    return [
        *slides,
        (patients[0], f"{patients[0]}-01A-01-TS1.B"),
        (patients[1], f"{patients[1]}-11A-01-BS1.C"),
    ]


@pytest.mark.parametrize(
    ("leave_out", "slides", "reported"),
    [
        (None, N + 2, ["2 slides are frozen", "1 slides are of normal"]),
        (["normal"], N + 1, ["2 slides are frozen"]),
        ("frozen", N, ["1 slides are of normal"]),
        (["frozen", "normal"], N, []),
    ],
)
def test_frozen_and_normal_slides_of_tcga(tmp_path, study, leave_out, slides, reported):
    found = study(lambda i, s: write(tmp_path / "features", s), tcga(), tcga_leave_out=leave_out)
    assert len(found.cohort.slides) == slides
    notes = [n for n in found.notes if "TCGA" in n]
    assert len(notes) == len(reported)
    assert all(n.startswith(r) for n, r in zip(notes, reported, strict=True))
    lost = found.cohort.lost_table()
    assert len(lost) == N + 2 - slides


def test_a_patient_with_nothing_but_frozen_slides_is_missing(tmp_path, study):
    only = [
        (p, s.replace("01Z-00-DX1", "01A-01-TS1") if p.endswith("05") else s) for p, s in tcga()
    ]
    with pytest.raises(CohortError, match=r"patients without any patch: 1, e\.g\. TCGA-A5-1005"):
        study(lambda i, s: write(tmp_path / "features", s), only, tcga_leave_out="frozen")
