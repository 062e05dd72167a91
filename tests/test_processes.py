"""Worker processes end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pytest

from outcome.processes import in_processes

PARENT = """
import time
import joblib
from outcome.processes import in_processes

def work():
    print("begun", flush=True)
    time.sleep(120)

for _ in in_processes((joblib.delayed(work)() for _ in range(4)), 2):
    pass
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's process list")
def test_workers_end_with_a_parent_that_was_killed():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], start_new_session=True, stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            begun = [parent.stdout.readline() for _ in range(2)]  # both workers are at work
            assert begun == ["begun\n"] * 2
            before = of_session(parent.pid)
            parent.kill()
            parent.wait()
            for _ in range(300):
                if not of_session(parent.pid):
                    break
                time.sleep(0.1)
            assert len(before) >= 3
            assert not of_session(parent.pid)
        finally:
            for process in of_session(parent.pid):
                os.kill(process, signal.SIGKILL)


def of_session(number):
    """Processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == number and state != "Z":
            found.append(int(path.name))
    return found


def test_workers_live_while_their_parent_does():
    calls = (joblib.delayed(parent_after)(1.5) for _ in range(2))
    assert list(in_processes(calls, 2)) == [os.getpid()] * 2


def parent_after(seconds):
    time.sleep(seconds)
    return os.getppid()
