"""A Dask scheduler and two workers, started as an institution would start them."""

import json
import os
import signal
import time

import pytest

from outcome import Study, run


@pytest.fixture
def cluster(forked, tmp_path):
    """Scheduler file, and a function that starts a worker."""
    file = tmp_path / "scheduler.json"
    forked(
        "distributed.cli.dask_scheduler", "--port", 0, "--host", "127.0.0.1", "--no-dashboard",
        "--scheduler-file", file,
    )  # fmt: skip

    def worker(threads=1):
        return forked(
            "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", threads,
            "--no-dashboard", "--no-nanny", "--local-directory", tmp_path / "dask",
        )  # fmt: skip

    return file, worker


def wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {path}")


def finished(folder):
    return len(list(folder.glob("fits/*/done")))


@pytest.mark.usefixtures("unreported")
def test_a_study_survives_the_death_of_a_worker(small, tmp_path, cluster, forked):
    file, worker = cluster
    wait_for(file)
    victim, _ = worker(), worker()
    settings = ["arms=[image]", "training.epochs=12"]
    chosen = [word for setting in settings for word in ("--set", setting)]
    process = forked("outcome", "run", small, "--out", tmp_path / "run", "--cluster", file, *chosen)
    while finished(tmp_path / "run") < 2 and process.running():
        time.sleep(0.005)
    before = finished(tmp_path / "run")
    os.kill(victim.pid, signal.SIGKILL)
    done = process.wait()
    assert done.code == 0, done.err
    assert before < 6, "the worker was killed too late"
    peace = run(Study.read(small, settings), out=tmp_path / "peace", jobs=1)
    for name in ("predictions", "development", "metrics", "history"):
        one, other = (tmp_path / f / f"{name}.csv" for f in ("run", "peace"))
        assert one.read_bytes() == other.read_bytes(), name
    assert peace.manifest["fits"]["total"] == 6


def test_a_worker_of_several_threads_is_refused(small, tmp_path, cluster, forked):
    file, worker = cluster
    wait_for(file)
    worker(threads=2)
    words = ["--out", tmp_path / "run", "--cluster", file, "--set", "arms=[image]"]
    done = forked("outcome", "run", small, *words).wait()
    assert done.code == 2, done.err
    assert "Start workers with one thread each" in " ".join(done.err.split())
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_no_scheduler(small, tmp_path, outcome, monkeypatch):
    monkeypatch.setattr("outcome.crossval.executors.CONNECT", "1s")
    (tmp_path / "unreachable.json").write_text(json.dumps({"address": "tcp://127.0.0.1:9"}))
    words = ["--out", tmp_path / "run", "--cluster", tmp_path / "unreachable.json"]
    done = outcome("run", small, *words)
    assert done.code == 2, done.err
    assert "no scheduler answers" in done.err
