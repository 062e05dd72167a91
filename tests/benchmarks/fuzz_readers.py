"""Damaged files for every reader: a right result or an InputError, never anything else.

    python tests/benchmarks/fuzz_readers.py --inputs 8000 [--only torch] [--seed 0]

Each kind of file is written whole, then spoiled: bits flipped, bytes replaced, cut, inserted,
doubled or set to the largest numbers. Of a folder that `outcome import` reads, one file is spoiled;
one time in ten it is removed, emptied or replaced by a folder. Inputs are read in child processes,
which may die of them: a crash, a read of more than 10 s, memory beyond 4 times the file plus
64 MiB, or another exception than InputError is a finding. The same seed spoils the same bytes.
Counts are in `reports/benchmarks.md`.
"""

import argparse
import importlib.util
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
import yaml

from outcome.cohort import read_cohort
from outcome.cohort.drafting.drafts import write_draft
from outcome.cohort.drafting.importers import LAYOUTS, Source, draft_import
from outcome.cohort.split_files import read_split_files
from outcome.embeddings.patches.find import SlideFiles
from outcome.embeddings.patches.readers import read_table_of_vectors
from outcome.errors import InputError, Problems
from outcome.study import Study
from outcome.tables import read_table as tables

TESTS = Path(__file__).parents[1]


def writers_in(path):
    """A module of the tests, for the files that it writes as other tools do."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


writers = writers_in(TESTS / "embeddings" / "patches" / "writers.py")
importers = writers_in(TESTS / "cohort" / "test_importers.py")

HANG, ROOM, BATCH = 10, 64 << 20, 250
N, D = 24, 16


def hdf5(write):
    def make(folder):
        path = folder / "slide.h5"
        with h5py.File(path, "w") as file:
            write(file)
        return path

    return make


def features(dtype=np.float16):
    return np.random.default_rng(0).normal(size=(N, D)).astype(dtype)


def trident(file):
    data = file.create_dataset("features", data=features(), chunks=(1, D))
    data.attrs.update({"name": "slide", "savetodir": "x", "encoder": "musk"})
    file.create_dataset("coords", data=np.zeros((N, 2), np.int64)).attrs["patch_size"] = 384


def clam(file):
    options = {"maxshape": (None, D), "chunks": (8, D), "compression": "gzip"}
    file.create_dataset("features", data=features(np.float32), **options)
    file.create_dataset("coords", data=np.zeros((N, 2), np.int32))


def stamp(file):
    file["feats"], file["coords"] = features(), np.zeros((N, 2), np.float32)
    file.attrs.update({"extractor": "musk", "unit": "um", "tile_size_um": 256.0})


def tensor(value, name="slide.pt", **options):
    def make(folder):
        torch.save(value, folder / name, **options)
        return folder / name

    return make


def slideflow(folder):
    tensor(torch.from_numpy(features(np.float32)))(folder)
    np.savez(folder / "slide.index.npz", np.zeros((N, 2), np.int64))
    (folder / "bags_config.json").write_text('{"extractor": {"class": "musk"}, "tile_px": 256}')
    return folder / "slide.index.npz"


def numpy_file(folder):
    np.save(folder / "slide.npy", features())
    return folder / "slide.npy"


def numpy_archive(folder):
    np.savez_compressed(folder / "slide.npz", features=features(), coords=np.zeros((N, 2)))
    return folder / "slide.npz"


def pickled_objects(folder):
    np.save(folder / "slide.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    return folder / "slide.npy"


def pickled_code(folder):
    (folder / "slide.pt").write_bytes(pickle.dumps((os.path.join, BytesIO, [1, 2, {"a": "b"}])))
    return folder / "slide.pt"


def tool(write, inside):
    """A file of a tool, from the writers of the tests; `inside` is the one that is spoiled."""

    def make(folder):
        write(folder, "slide", features().astype(np.float64), np.arange(2 * N).reshape(N, 2))
        return folder / inside

    return make


def vector_table(write, name):
    def make(folder):
        write(folder / name, {f"S{i}": v.astype(np.float64) for i, v in enumerate(features())})
        return folder / name

    return make


TABLE = pd.DataFrame(
    {
        "patient_id": [f"P-{i:03d}" for i in range(20)],
        "slide_id": [f"P-{i:03d}.A.svs" for i in range(20)],
        "t": np.arange(20) * 17.5 + 3,
        "e": np.arange(20) % 2,
        "site": ["Köln", "Łódź"] * 10,
        "fold": np.arange(20) % 4,
    }
)
STUDY = {
    "name": "x",
    "cohort": "c.csv",
    "endpoint": {"kind": "survival", "time": "t", "event": "e", "horizons": [100, 200.5]},
    "embeddings": {"patches": ["a", "b"]},
    "covariates": {"numeric": ["t2"], "categorical": ["site"]},
    "split": {"folds": 5, "site": "site"},
}


def table(suffix, **options):
    def make(folder):
        path = folder / f"cohort{suffix}"
        if suffix == ".xlsx":
            TABLE.to_excel(path, index=False)
        elif suffix == ".parquet":
            TABLE.to_parquet(path)
        else:
            TABLE.to_csv(path, index=False, **options)
        return path

    return make


def study_file(folder):
    text = yaml.safe_dump(STUDY) + "arms: &a [image, {name: l, inputs: [image]}]\n"
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def split_table(folder):
    rows = TABLE[["patient_id"]].rename(columns={"patient_id": "case_id"})
    rows = rows.assign(fold_0=["train", "val", "test", "-1"] * 5, fold_1=["test", "train"] * 10)
    rows.to_csv(folder / "k=all.tsv", sep="\t", index=False)
    return folder / "k=all.tsv"


def read_features(path):
    path = path.with_name("slide.pt") if path.name == "slide.index.npz" else path
    found = SlideFiles((path,)).read()
    n = len(found.features)
    assert found.features.ndim == 2
    assert found.features.dtype.kind == "f"
    assert found.coords.shape == (n, 2)
    assert np.isfinite(found.features.astype(np.float32)).all()


def read_vectors(path):
    table = read_table_of_vectors(path)
    assert table.features.shape == (len(table.ids), table.features.shape[1])
    found = SlideFiles((path,), rows=(next(iter(table.rows)),)).read()
    assert np.isfinite(found.features.astype(np.float32)).all()


def read_store(path):
    read_features(next(p for p in path.parents if p.suffix == ".zarr"))


def read_slide2vec(path):
    root = path.parents[1]
    read_features(root / "tile_embeddings" / "slide.pt")


def read_slide2vec_regions(path):
    read_features(path.with_name("slide.pt"))


def read_table(path):
    study = Study.parse({**STUDY, "covariates": {}, "cohort": str(path)}, folder=path.parent)
    cohort = read_cohort(study, Problems("table"))
    assert cohort is None or cohort.patients.index.is_unique
    tables.read_table(path)


def read_splits(path):
    for fold in read_split_files(path, "auto", frozenset(TABLE["patient_id"]), {})[0]:
        assert not fold.test & fold.development


def read_study(path):
    Study.read(path).to_yaml()


def imported(write):
    """The files of a tool, any of which is spoiled."""

    def make(folder):
        (folder / "theirs").mkdir()
        write(folder / "theirs")
        return folder / "theirs"

    return make


def read_import(layout):
    """Import, write the study and read its cohort, as `outcome import` does."""
    options = {
        "positive": "pos" if layout == "patho-bench" else "tumor",
        "columns": {"stamp": {"time": "day", "event": "status"}}.get(layout, {}),
    }

    def read(folder):
        path = folder / "cdr.xlsx" if layout == "tcga-cdr" else folder
        files = [f"{case}-A.x" for case in importers.CASES]
        draft = draft_import(layout, Source(path, **options), "x", ["features"], files)
        with tempfile.TemporaryDirectory() as name:
            study, problems = write_draft(draft, Path(name) / "out")
            if problems:  # said to the user, whose study cannot run yet
                raise InputError("\n".join(problems))
            cohort = read_cohort(Study.read(study), Problems("table"))
            assert cohort.patients.index.is_unique
            for fold in draft.folds:
                assert not fold.test & fold.development

    return read


F32 = torch.from_numpy(features(np.float32))
STORE = "slide.zarr/tables/musk_tiles"
OLD = {"_use_new_zipfile_serialization": False}
KINDS = {
    "hdf5-trident": (hdf5(trident), read_features),
    "hdf5-clam": (hdf5(clam), read_features),
    "hdf5-stamp": (hdf5(stamp), read_features),
    "torch-tensor": (tensor(F32), read_features),
    "torch-bfloat16": (tensor(F32.bfloat16()), read_features),
    "torch-dictionary": (tensor({"features": F32, "coords": F32[:, :2]}), read_features),
    "torch-before-1.6": (tensor(F32, **OLD), read_features),
    "slideflow-index": (slideflow, read_features),
    "npy": (numpy_file, read_features),
    "npz": (numpy_archive, read_features),
    "slide2vec-about": (
        tool(writers.slide2vec, "tile_embeddings/slide.meta.json"),
        read_slide2vec,
    ),
    "slide2vec-coords": (
        tool(writers.slide2vec, "tiles/slide.coordinates.npz"),
        read_slide2vec,
    ),
    "zarr-root": (tool(writers.lazyslide, "slide.zarr/zarr.json"), read_store),
    "zarr-table": (tool(writers.lazyslide, f"{STORE}/zarr.json"), read_store),
    "zarr-array": (tool(writers.lazyslide, f"{STORE}/X/zarr.json"), read_store),
    "zarr-chunk": (tool(writers.lazyslide, f"{STORE}/X/c/0/0"), read_store),
    "zarr-array-2": (tool(writers.lazyslide_format_2, f"{STORE}/X/.zarray"), read_store),
    "zarr-tiles": (
        tool(writers.lazyslide, "slide.zarr/shapes/tiles/shapes.parquet"),
        read_store,
    ),
    "vectors-h5ad": (vector_table(writers.h5ad, "v.h5ad"), read_vectors),
    "vectors-h5ad-gzip": (vector_table(writers.h5ad_gzip, "v.h5ad"), read_vectors),
    "vectors-h5ad-sparse": (vector_table(writers.h5ad_sparse, "v.h5ad"), read_vectors),
    "slide2vec-regions": (
        tool(
            lambda folder, slide, x, _: writers.slide2vec_regions(folder, slide, x[None]),
            "hierarchical_embeddings/slide.meta.json",
        ),
        read_slide2vec_regions,
    ),
    "vectors-parquet": (vector_table(writers.parquet, "v.parquet"), read_vectors),
    "vectors-csv": (vector_table(writers.csv, "v.csv"), read_vectors),
    "vectors-stamp": (vector_table(writers.stamp_2_0, "v.h5"), read_vectors),
    "npy-objects": (pickled_objects, read_features),
    "pickle": (pickled_code, read_features),
    "csv": (table(".csv"), read_table),
    "csv-semicolons": (table(".csv", sep=";", decimal=",", encoding="utf-8-sig"), read_table),
    "tsv": (table(".tsv", sep="\t"), read_table),
    "xlsx": (table(".xlsx"), read_table),
    "parquet": (table(".parquet"), read_table),
    "study": (study_file, read_study),
    "splits": (split_table, read_splits),
    **{
        f"import-{layout}": (
            imported(getattr(importers, layout.replace("-", "_"))),
            read_import(layout),
        )
        for layout in LAYOUTS
    },
}
HOSTILE = ("npy-objects", "pickle")


TYPED = b"0123456789,;\"'\n\t\r{}[]()&*:-+=@.eE #|!<>/\\_naif"


def spoil(content: bytes, rng) -> bytes:
    """Spoil a file; of a zip, half of the times a member, in a new and valid zip."""
    if content[:2] != b"PK" or rng.random() < 0.5:
        return spoil_bytes(content, rng)
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        members = old.infolist()
        chosen = int(rng.integers(len(members)))
        for i, member in enumerate(members):
            inside = old.read(member)
            kind = member.compress_type
            new.writestr(member.filename, spoil_bytes(inside, rng) if i == chosen else inside, kind)
    return out.getvalue()


def spoil_bytes(content: bytes, rng) -> bytes:
    data = bytearray(content)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3, 6]))):
        where = int(rng.integers(len(data) + 1)) if data else 0
        # The beginning of a binary file says most.
        where = where if rng.random() < 0.6 else min(where, int(rng.integers(1, 600)))
        length = int(rng.integers(1, 9))
        typed = bytes(rng.choice(list(TYPED), length).tolist())
        old = bytes(data[where : where + 1]) or b" "
        again = bytes(data[where // 2 : where // 2 + int(rng.integers(400))])
        stop = where + length
        changes = [
            (where + 1, bytes([old[0] ^ (1 << int(rng.integers(8)))])),
            (where + 1, bytes([old[0] ^ (1 << int(rng.integers(8)))])),
            (stop, rng.bytes(length)),
            (stop, typed),
            (where, typed),
            (stop, b""),
            (where, again),
            (stop, b"\xff" * length),
            (stop, b"\0" * length),
            (len(data) if rng.random() < 0.3 else stop, b""),
        ]
        end, new = changes[int(rng.integers(len(changes)))]
        data[where:end] = new
    return bytes(data)


def spoil_folder(files, rng):
    """Spoil one of the files of a folder; returns what is there in its place."""
    path = sorted(files)[int(rng.integers(len(files)))]
    content = spoil(files[path], rng)
    change = ("remove", "folder", "empty")[int(rng.integers(3))] if rng.random() < 0.1 else ""
    if change in ("remove", "folder"):
        path.unlink()
    if change == "folder":
        path.mkdir()
    elif not change or change == "empty":
        path.write_bytes(b"" if change else content)
    return path


def one(path, whole, read, seed):
    """Spoil and read one input; returns how it was taken, and what is wrong with that."""
    rng = np.random.default_rng(seed)
    if path.is_dir():
        spoiled = spoil_folder(whole, rng)
    else:
        spoiled = path
        path.write_bytes(spoil(whole[path], rng))
    size = sum(p.stat().st_size for p in whole if p.is_file())
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    taken, trouble = "read", ""
    try:
        read(path)
    except InputError as error:
        taken = "refused"
        trouble = "" if str(error).strip() else "an empty message"
    except Exception:  # noqa: BLE001
        trouble = traceback.format_exc(limit=-3)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if grown > ROOM + 4 * size:
        trouble = f"memory grew by {grown:,} bytes at {size:,} bytes of files"
    if time.monotonic() - started > HANG:
        trouble = "it took too long"
    if spoiled.is_dir():
        shutil.rmtree(spoiled)
    spoiled.write_bytes(whole[spoiled])
    return taken, trouble


def child(kind, seeds, pipe):
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as name:
        make, read = KINDS[kind]
        path = make(Path(name))
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        whole = {p: p.read_bytes() for p in files if p.is_file()}
        if kind not in HOSTILE:
            read(path)
        for seed in seeds:
            signal.alarm(3 * HANG)
            os.write(pipe, f"start {seed}\n".encode())
            taken, trouble = one(path, whole, read, seed)
            os.write(pipe, f"{taken} {seed} {trouble.encode().hex()}\n".encode())


def batch(kind, seeds):
    """Read some inputs in a child; yields (seed, how it was taken, what is wrong)."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        status = 1
        try:
            os.close(reading)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            child(kind, seeds, writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    current = None
    with os.fdopen(reading) as lines:
        for line in lines:
            word, seed, *rest = line.split()
            current = int(seed) if word == "start" else None
            if word != "start":
                yield int(seed), word, bytes.fromhex(rest[0]).decode() if rest else ""
    status = os.waitpid(pid, 0)[1]
    if status:
        seed = seeds[0] if current is None else current
        whole = " at files that are not spoiled" if current is None else ""
        yield seed, "crash", f"the process died (status {status}){whole}"


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--inputs", type=int, default=8000, help="per kind of file")
    options.add_argument("--only", default="", help="kinds whose name begins so")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    findings = total = 0
    print(f"{'kind':18} {'inputs':>7} {'read':>7} {'refused':>8} {'findings':>8} {'seconds':>8}")
    for kind in [k for k in KINDS if k.startswith(asked.only)]:
        started, counts, seen = time.monotonic(), {"read": 0, "refused": 0, "bad": 0}, set()
        waiting = list(range(asked.seed, asked.seed + asked.inputs))
        while waiting:
            done = 0
            for seed, taken, trouble in batch(kind, waiting[:BATCH]):
                done += 1
                counts["bad" if trouble else taken] += 1
                gist = trouble.strip().splitlines()[-1][:160] if trouble else ""
                if trouble and gist not in seen:
                    seen.add(gist)
                    print(f"FINDING {kind} seed {seed}:\n{trouble}", flush=True)
            waiting = waiting[max(done, 1) :]
        findings += counts["bad"]
        total += sum(counts.values())
        seconds = time.monotonic() - started
        print(
            f"{kind:18} {sum(counts.values()):7} {counts['read']:7} {counts['refused']:8}"
            f" {counts['bad']:8} {seconds:8.0f}",
            flush=True,
        )
    print(f"{total} inputs, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
