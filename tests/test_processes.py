"""Worker processes end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outcome.processes import in_processes

PARENT = """
import sys, time
import joblib
from outcome.processes import in_processes
for process in in_processes((joblib.delayed(time.sleep)(120) for _ in range(4)), 2):
    pass
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's process list")
def test_workers_end_with_a_parent_that_was_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True) as parent:
        _wait(lambda: len(_workers(parent.pid)) == 2, "two workers have begun")
        group = set(_members(parent.pid))
        os.kill(parent.pid, signal.SIGKILL)
    try:
        _wait(lambda: not _members(parent.pid), f"no process of {group} is left")
    finally:
        for left in _members(parent.pid):
            os.kill(left, signal.SIGKILL)


def test_workers_live_while_their_parent_does():
    import joblib

    calls = (joblib.delayed(_parent_after)(1.5) for _ in range(2))
    assert list(in_processes(calls, 2)) == [os.getpid()] * 2


def _parent_after(seconds):
    time.sleep(seconds)
    return os.getppid()


def _wait(reached, what):
    for _ in range(600):
        if reached():
            return
        time.sleep(0.1)
    raise AssertionError(f"not reached: {what}")


def _members(session):
    """Processes of a session, without those that have ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.name))
    return found


def _workers(session):
    """Those of them that sleep in a task: they have two threads more, or one that watches."""
    found = []
    for pid in _members(session):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text()
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        except OSError:
            continue
        if "loky" in words and "tracker" not in words and threads > 1:
            found.append(pid)
    return found
