"""A Dask scheduler and two workers, started as an institution would start them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from outcome import Study, run

COMMAND = [sys.executable, "-c", "from outcome.cli import main; main()", "run"]
DASK = [sys.executable, "-m"]


@pytest.fixture
def cluster(tmp_path):
    """Scheduler file, and a function that starts a worker."""
    file = tmp_path / "scheduler.json"
    started = []

    def start(*words):
        log = (tmp_path / f"log{len(started)}").open("w")
        process = subprocess.Popen(
            [*DASK, *map(str, words)], stdout=log, stderr=log, start_new_session=True
        )
        started.append((process, log))
        return process

    start(
        "distributed.cli.dask_scheduler", "--port", 0, "--host", "127.0.0.1", "--no-dashboard",
        "--scheduler-file", file,
    )  # fmt: skip

    def worker(threads=1):
        return start(
            "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", threads,
            "--no-dashboard", "--no-nanny", "--local-directory", tmp_path / "dask",
        )  # fmt: skip

    yield file, worker
    for process, log in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {path}")


def finished(folder):
    return len(list(folder.glob("fits/*/done")))


def test_a_study_survives_the_death_of_a_worker(small, tmp_path, cluster):
    file, worker = cluster
    wait_for(file)
    victim, _ = worker(), worker()
    settings = ["arms=[image]", "training.epochs=12"]
    words = [*COMMAND, small, "--out", tmp_path / "run", "--cluster", file]
    for setting in settings:
        words += ["--set", setting]
    with subprocess.Popen(
        [str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while finished(tmp_path / "run") < 2 and process.poll() is None:
            time.sleep(0.005)
        before = finished(tmp_path / "run")
        os.kill(victim.pid, signal.SIGKILL)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert before < 6, "the worker was killed too late"
    peace = run(Study.read(small, settings), out=tmp_path / "peace", jobs=1)
    for name in ("predictions", "development", "metrics", "history"):
        one, other = (tmp_path / f / f"{name}.csv" for f in ("run", "peace"))
        assert one.read_bytes() == other.read_bytes(), name
    assert peace.manifest["fits"]["total"] == 6


def test_a_worker_of_several_threads_is_refused(small, tmp_path, cluster):
    file, worker = cluster
    wait_for(file)
    worker(threads=2)
    words = [*COMMAND, small, "--out", tmp_path / "run", "--cluster", file, "--set", "arms=[image]"]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "start workers with one thread each" in " ".join(done.stderr.split())
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_no_scheduler(small, tmp_path, cluster):
    (tmp_path / "nobody.json").write_text(json.dumps({"address": "tcp://127.0.0.1:9"}))
    words = [*COMMAND, small, "--out", tmp_path / "run", "--cluster", tmp_path / "nobody.json"]
    env = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    done = subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, timeout=300, env=env
    )
    assert done.returncode == 2, done.stderr
    assert "no scheduler answers" in done.stderr
