"""Killed at any moment, out of disk, parts on several machines: nothing lost, nothing wrong."""

import json
import os
import random
import signal
import time
from pathlib import Path
from threading import Thread

import pytest
from joblib.externals.loky import get_reusable_executor

from outcome import Study, run

TABLES = ["predictions", "development", "metrics", "risk_groups", "history"]
ARMS = "arms=[image]"
pytestmark = pytest.mark.usefixtures("unreported")


@pytest.fixture(scope="module")
def undisturbed(small, tmp_path_factory):
    """The image arm of the small study, run in peace."""
    return run(Study.read(small, [ARMS]), out=tmp_path_factory.mktemp("peace") / "run", jobs=1)


def same(folder, other):
    for name in TABLES:
        assert (folder / f"{name}.csv").read_bytes() == (other / f"{name}.csv").read_bytes(), name


def hidden(folder):
    return [str(p) for p in folder.rglob(".*")]


def test_killed_at_random_moments_and_resumed(small, undisturbed, forked, tmp_path):
    out, cache = tmp_path / "run", tmp_path / "cache"
    chance, killed = random.Random(7), 0
    for _ in range(12):
        process = forked(
            "outcome", "run", small, "--out", out, "--cache", cache, "--jobs", 1, "--set", ARMS
        )
        time.sleep(chance.uniform(0, 0.9))
        killed += process.running()
        process.kill()
    assert killed >= 6, "too few were killed while they worked"
    again = run(Study.read(small, [ARMS]), out=out, cache=cache, jobs=1)
    same(out, undisturbed.folder)
    assert again.manifest["fits"]["total"] == 6
    assert not hidden(out)
    assert not (out / "fits" / "projected").exists()


def test_a_killed_worker_is_replaced(small, undisturbed, tmp_path):
    get_reusable_executor().shutdown(kill_workers=True)  # those of other tests
    killer = Thread(target=lambda: os.kill(_worker(os.getpid()), signal.SIGKILL))
    killer.start()
    run(Study.read(small, [ARMS]), out=tmp_path / "run", jobs=2)
    killer.join()
    same(tmp_path / "run", undisturbed.folder)


def _worker(parent: int) -> int:
    """Process of a worker that has begun to work."""
    for _ in range(1200):
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().decode()
                owner = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                ticks = int((path / "stat").read_text().rpartition(")")[2].split()[11])
            except (OSError, ValueError):
                continue
            if owner == parent and "loky" in words and "tracker" not in words and ticks > 20:
                return int(path.name)
        time.sleep(0.05)
    raise AssertionError("no worker was started")


def test_a_full_disk_is_an_error_and_the_run_goes_on_when_there_is_room(
    small, undisturbed, forked, tmp_path
):
    words = ["run", small, "--out", tmp_path / "run", "--jobs", 1, "--set", ARMS]
    full = forked("outcome", *words, largest_file=20_000).wait()
    assert full.code == 2, full.err
    assert "cannot be read or written" in full.err
    assert "Traceback" not in full.err
    run(Study.read(small, [ARMS]), out=tmp_path / "run", jobs=1)
    same(tmp_path / "run", undisturbed.folder)
    assert not hidden(tmp_path / "run")


def test_parts_of_several_machines_are_joined(small, undisturbed, outcome, forked, tmp_path):
    """Two parts at the same time, on a cache that is empty at first; then the third; then all."""
    out, cache = tmp_path / "run", tmp_path / "cache"
    words = ["run", small, "--out", out, "--cache", cache, "--jobs", 1, "--set", ARMS]
    both = [forked("outcome", *words, "--shard", f"{k}/3") for k in (1, 2)]
    for process in both:
        done = process.wait()
        assert done.code == 0, done.err
    refused = outcome(*words, "--shard", "3/3", "--set", "training.epochs=5")
    assert refused.code == 2
    assert "training.epochs: 4 -> 5" in refused.err
    third = outcome(*words, "--shard", "3/3")
    assert "part 3/3 is finished; 6 of 6 fits exist" in third.out, third.err
    assert not (out / "manifest.json").exists()
    assert outcome(*words).code == 0
    same(out, undisturbed.folder)
    assert json.loads((out / "manifest.json").read_text())["fits"] == {
        "total": 6, "kept": 6, "trained": 0,
    }  # fmt: skip


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_parts_that_are_none(small, outcome, tmp_path, shard):
    done = outcome("run", small, "--out", tmp_path / "run", "--shard", shard)
    assert done.code == 2
    assert f"--shard {shard!r}: give e.g. 3/25" in done.err


def test_what_has_changed_is_named_and_refitted(small, undisturbed, tmp_path):
    study = Study.read(small, [ARMS])
    first = run(study, out=tmp_path / "run", jobs=1)
    assert first.manifest["changed"] == []
    again = run(Study.read(small, [ARMS, "training.epochs=3"]), out=tmp_path / "run", jobs=1)
    assert again.manifest["changed"] == ["training.epochs: 4 -> 3"]
    assert again.manifest["fits"] == {"total": 6, "kept": 0, "trained": 6}
    assert any("training.epochs: 4 -> 3. 6 fits were trained and 0 kept" in n for n in again.notes)
    report_only = Study.read(small, [ARMS, "training.epochs=3", "risk_groups=tertiles"])
    third = run(report_only, out=tmp_path / "run", jobs=1)
    assert third.manifest["changed"] == ["risk_groups: median -> tertiles"]
    assert third.manifest["fits"] == {"total": 6, "kept": 6, "trained": 0}
    back = run(study, out=tmp_path / "run", jobs=1)
    assert back.manifest["fits"]["kept"] == 6
    same(tmp_path / "run", undisturbed.folder)
