"""Files made to do harm, or that claim what they do not hold: refused, with their name."""

import io
import os
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from outcome.embeddings.patches.readers import read_file
from outcome.errors import EmbeddingError

FUZZER = Path(__file__).parents[2] / "benchmarks" / "fuzz_readers.py"


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def tensor_zip(path, description, block=b"\0" * 64, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("x/data.pkl", description)
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/data/0", block)


@pytest.mark.parametrize("kind", ["stream", "zip", "npy", "npz", "inside a dictionary"])
def test_pickles_are_never_run(tmp_path, kind):
    mark = tmp_path / "harm"
    path = tmp_path / {"npy": "s.npy", "npz": "s.npz"}.get(kind, "s.pt")
    if kind == "stream":
        path.write_bytes(pickle.dumps(Bomb(mark), protocol=2))
    elif kind == "zip":
        tensor_zip(path, pickle.dumps(Bomb(mark)))
    elif kind == "inside a dictionary":
        torch.save({"features": torch.ones(2, 2), "extra": Bomb(mark)}, path)
    elif kind == "npy":
        np.save(path, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    else:
        np.savez(path, features=np.array([Bomb(mark)], dtype=object))
    with pytest.raises(EmbeddingError, match=r"s\.(pt|npy|npz)"):
        read_file(path)
    assert not mark.exists()


def test_the_bomb_would_have_gone_off(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "harm")))
    assert (tmp_path / "harm").exists()


def linked(path, link):
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["features"] = np.ones((3, 4), np.float32)
    with h5py.File(path, "w") as file:
        file["features"] = link


def elsewhere(path):
    path.with_name("raw.bin").write_bytes(b"\1" * 96)
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (3, 4), "<f8", external=[("raw.bin", 0, 96)])


def virtual(path):
    linked(path, h5py.SoftLink("/x"))
    layout = h5py.VirtualLayout((3, 4), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "features", (3, 4))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("features", layout)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: linked(p, h5py.ExternalLink("other.h5", "features")),
        lambda p: linked(p, h5py.ExternalLink("/etc/passwd", "features")),
        lambda p: linked(p, h5py.SoftLink("/features")),
        elsewhere,
        virtual,
    ],
    ids=["external", "absolute", "circular", "raw data", "virtual"],
)
def test_nothing_outside_the_file_is_read(tmp_path, make):
    make(tmp_path / "s.h5")
    with pytest.raises(EmbeddingError, match=r"another place|another file"):
        read_file(tmp_path / "s.h5")


def claim_hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (10**9, 1024), np.float16, chunks=(64, 1024))


def claim_one_chunk(path):
    with h5py.File(path, "w") as file:
        chunk = {"chunks": (1 << 20, 512), "maxshape": (None, 512), "compression": "gzip"}
        file.create_dataset("features", (2, 512), np.float16, **chunk)


def claim_overflow(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (1 << 62, 1 << 62), np.float64, chunks=(1, 8))


def header(shape):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return out.getvalue()


def claim_npz(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", header((10**5, 512)) + bytes(4 * 512 * 10**5))


def claim_tensor(path, shape=(10**9, 1024), strides=(1024, 1)):
    torch.save(torch.zeros(2, 8), path)
    with zipfile.ZipFile(path) as archive:
        description = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    old = b"K\x02K\x08\x86"
    assert old in description
    new = b"".join(pickle.dumps(n, 2)[2:-1] for n in shape) + b"\x86"
    tensor_zip(path, description.replace(old, new))


# fmt: off
CLAIMS = {
    "hdf5 rows": ("s.h5", claim_hdf5),
    "hdf5 chunk": ("s.h5", claim_one_chunk),
    "hdf5 overflow": ("s.h5", claim_overflow),
    "npy rows": ("s.npy", lambda p: p.write_bytes(header((10**9, 1024)) + b"\0" * 99)),
    "npy overflow": ("s.npy", lambda p: p.write_bytes(header((2**62, 2**62)) + b"\0" * 99)),
    "npy negative": ("s.npy", lambda p: p.write_bytes(header((-3, 8)) + b"\0" * 96)),
    "npz bomb": ("s.npz", claim_npz),
    "tensor rows": ("s.pt", claim_tensor),
    "tensor expanded": ("s.pt", lambda p: torch.save(torch.ones(1).expand(9999, 9999), p)),
    "tensor deflated": ("s.pt", lambda p: tensor_zip(p, b"\x80\x02N.", kind=zipfile.ZIP_DEFLATED)),
}
# fmt: on


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_memory_is_taken_for_a_claim(tmp_path, claim):
    name, make = CLAIMS[claim]
    make(tmp_path / name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EmbeddingError, match=name.replace(".", r"\.")):
        read_file(tmp_path / name)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < (64 << 20) + 4 * (tmp_path / name).stat().st_size


def shared_tuples(depth):
    """A dictionary whose key is a tuple of two equal tuples, and so on: 2 ** depth hashes."""
    twice = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(depth))
    return b"\x80\x02}K\x01" + b"\x85" + twice + b"K\x01s."


# What PyTorch would follow to the end of memory, of time, or of its stack.
FOLLOWED = {
    "memory": (b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x10\x85R.", "would import"),
    "time": (shared_tuples(60), "refers back to a tuple"),
    "stack": (b"\x80\x02})" + b"\x85" * 500_000 + b"K\x01s.", "contains more than a tensor"),
    "numbers elsewhere": (b"\x80\x02cnumpy\nfromfile\n)R.", "would import"),
}


@pytest.mark.parametrize("content", FOLLOWED)
def test_descriptions_that_pytorch_must_not_follow(tmp_path, content):
    description, message = FOLLOWED[content]
    tensor_zip(tmp_path / "s.pt", description)
    with pytest.raises(EmbeddingError, match=message):
        read_file(tmp_path / "s.pt")


def test_a_tensor_cannot_reach_beyond_its_block(tmp_path):
    """A block said to be larger than it is: its neighbours in memory would be read as numbers."""
    torch.save(torch.ones(2, 64), tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as archive:
        description = archive.read("whole/data.pkl")
        block = archive.read("whole/data/0")
    claimed = description.replace(b"K\x80", b"M\xff\x7f").replace(b"K\x02K@", b"M\0\x02K@")
    assert claimed != description
    tensor_zip(tmp_path / "s.pt", claimed, block)
    with pytest.raises(EmbeddingError, match=r"s\.pt"):
        read_file(tmp_path / "s.pt")


@pytest.mark.parametrize("old", [False, True])
def test_a_tensor_of_which_one_bit_is_wrong(tmp_path, old):
    """An archive has checksums, the older format has none."""
    path = tmp_path / "s.pt"
    x = torch.arange(64.0).reshape(4, 16)
    torch.save(x, path, _use_new_zipfile_serialization=not old)
    content = bytearray(path.read_bytes())
    content[content.index(x.numpy().tobytes()) + 40] ^= 1
    path.write_bytes(content)
    if old:
        assert (read_file(path).features != x.numpy()).sum() == 1
    else:
        with pytest.raises(EmbeddingError, match="disagrees with its checksum"):
            read_file(path)


def test_a_stream_whose_numbers_are_not_read(tmp_path):
    """Without its list of blocks, a tensor would hold what happened to be in memory."""
    path = tmp_path / "s.pt"
    torch.save(torch.ones(4, 16), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    keys = content.rindex(b"\x80\x02]q\x00")
    path.write_bytes(content[: keys + 5] + b"." + content[keys + 5 :])
    with pytest.raises(EmbeddingError, match="has data after its tensors"):
        read_file(path)


def test_a_heap_of_text_that_does_not_end(tmp_path):
    """The HDF5 library walks over it for ever."""
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((3, 4), np.float32)
        file.attrs["encoder"] = "musk"
    content = path.read_bytes()
    heap = content.index(b"GCOL")
    path.write_bytes(content[: heap + 16] + b"\0" * 16 + content[heap + 32 :])
    with pytest.raises(EmbeddingError, match="a heap of text does not end"):
        read_file(path)


def test_reading_takes_little_more_memory_than_the_file(tmp_path):
    """Measured in a process of its own, for every kind of file."""
    x = np.random.default_rng(0).normal(size=(20_000, 512)).astype(np.float16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = x
    torch.save(torch.from_numpy(x), tmp_path / "b.pt")
    np.save(tmp_path / "c.npy", x)
    code = (
        "import resource, sys; from pathlib import Path; import h5py\n"
        "from outcome.embeddings.patches.readers import read_file\n"
        "if sys.argv[1].endswith('.pt'): import torch\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = peak(); path = Path(sys.argv[1]); read_file(path)\n"
        "print((peak() - before) / path.stat().st_size)"
    )
    for path in tmp_path.iterdir():
        words = [sys.executable, "-c", code, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert float(done.stdout) < 4, path.name


def test_the_fuzzer_finds_nothing():
    """A few inputs of each kind; the benchmarks say what many found."""
    words = [sys.executable, str(FUZZER), "--inputs", "10", "--seed", "900000"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 findings" in done.stdout
