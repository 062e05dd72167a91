import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from outcome.embeddings.patches.packed_store import FORMAT, PackedStore
from outcome.embeddings.reports.vectors import read_reports  # noqa: F401 - imported before the clock starts

COMMAND = [sys.executable, "-c", "from outcome.cli import main; main()"]


def features(cache):
    return {p.name: p.read_bytes() for p in Path(cache).rglob("*.npy")}


@pytest.fixture(scope="module")
def packed(small, tmp_path_factory):
    """What packing in peace makes."""
    from outcome import Study
    from outcome.dataset.study_data import prepare

    cache = tmp_path_factory.mktemp("packed")
    prepare(Study.read(small), cache)
    return features(cache)


def test_pack_says_what_it_made_and_packs_nothing_twice(small, outcome, tmp_path, packed):
    done = outcome("pack", small, "--cache", tmp_path, "--jobs", 2)
    assert done.code == 0, done.err
    assert "77 slides" in done.out
    assert f"cache: {tmp_path}" in done.out
    assert features(tmp_path) == packed
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")}
    assert outcome("pack", small, "--cache", tmp_path).code == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")} == times


def test_two_processes_pack_together_and_killed_ones_leave_nothing_wrong(
    small, forked, tmp_path, packed
):
    words = ["outcome", "pack", small, "--cache", tmp_path, "--jobs", 1]
    both = [forked(*words) for _ in range(2)]
    while not list(tmp_path.rglob("*.json")) and any(p.running() for p in both):
        time.sleep(0.001)
    time.sleep(random.Random(3).uniform(0, 0.05))
    for process in both:
        process.kill()
    (tmp_path / f"patches-{FORMAT}" / "00").mkdir(exist_ok=True, parents=True)
    left = tmp_path / f"patches-{FORMAT}" / "00" / ".half.npy.0"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    again = [forked(*words) for _ in range(2)]
    assert [p.wait().code for p in again] == [0, 0]
    assert features(tmp_path) == packed
    assert not left.exists()


def test_a_store_file_that_lost_its_end_is_packed_again(small, tmp_path):
    source = sorted(small.parent.rglob("SIM-*.h5"))[0]
    store = PackedStore(tmp_path)
    first = store.pack(source)
    whole = np.array(store.features([first]))
    file = next(tmp_path.rglob("*.features.npy"))
    file.write_bytes(file.read_bytes()[:200])
    assert store.known(source) is None
    assert store.pack(source) == first
    np.testing.assert_array_equal(store.features([first]), whole)


def test_doctor_names_versions_device_precision_and_threads(outcome, tmp_path):
    done = outcome("doctor", "--cache", tmp_path / "not" / "yet")
    assert done.code == 0, done.err
    for word in ("torch", "device", "precision", "threads", "slide-outcome", "GiB free"):
        assert word in done.out
    assert "no problems found" in done.out


def test_doctor_finds_the_distribution_of_the_same_name(tmp_path):
    """A real installation of the metadata, beside ours."""
    stranger = tmp_path / "outcome-1.3.0.dist-info"
    stranger.mkdir()
    (stranger / "METADATA").write_text("Metadata-Version: 2.1\nName: outcome\nVersion: 1.3.0\n")
    done = subprocess.run(
        [*COMMAND, "doctor"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "the distribution 'outcome' (1.3.0)" in done.stderr
    assert "a separate environment" in done.stderr
