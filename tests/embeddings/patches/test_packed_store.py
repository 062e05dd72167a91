"""Precision of the packed store: what half precision would lose stays in single precision."""

import h5py
import numpy as np
import pytest

from outcome.embeddings.patches.packed_store import PackedStore, half

RNG = np.random.default_rng(3)
NOISE = RNG.normal(size=(400, 16))
ONE_OFFSET = NOISE + np.where(np.arange(16) == 5, 30_000, 0)


@pytest.mark.parametrize(
    "x",
    [
        NOISE + 30_000,
        NOISE - 30_000,
        NOISE + 1000,
        ONE_OFFSET,
        NOISE * 1e-9,
        NOISE * 1e6,
        NOISE[:1] + 30_000,
        np.full((5, 16), 1e-9),
    ],
    ids=[
        "offset", "negative", "smaller offset", "one feature", "tiny", "huge", "one vector",
        "constant and tiny",
    ],
)  # fmt: skip
def test_vectors_that_half_precision_would_spoil(tmp_path, x):
    x = x.astype(np.float32)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["features"] = x
    store = PackedStore(tmp_path / "cache")
    kept = store.features([store.pack(tmp_path / "s.h5")])
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(np.sort(kept, axis=0), np.sort(x, axis=0))


@pytest.mark.parametrize(
    "x",
    [
        NOISE,
        NOISE + 50,
        np.maximum(NOISE, 0),
        np.where(np.arange(16) == 5, 0.1, NOISE),
        np.zeros((4, 16)),
        NOISE / np.linalg.norm(NOISE, axis=1, keepdims=True),
    ],
    ids=["plain", "offset of 50", "rectified", "one constant", "zeros", "unit length"],
)
def test_ordinary_vectors_take_two_bytes_a_number(x):
    kept = half(x.astype(np.float32))
    assert kept.dtype == np.float16
    np.testing.assert_array_equal(kept, x.astype(np.float32).astype(np.float16))


def test_half_precision_stays_as_it_is():
    x = (NOISE + 1000).astype(np.float16)
    assert half(x) is x
