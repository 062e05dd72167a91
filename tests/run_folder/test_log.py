import logging

import pytest

from outcome.errors import InputError
from outcome.progress import no_progress
from outcome.run_folder.log import RunLog


def said(path):
    return [line.split("  ", 1)[1] for line in path.read_text().splitlines()]


def test_nothing_is_written_before_the_input_has_been_checked(tmp_path):
    path = tmp_path / "run.log"
    with pytest.raises(InputError), RunLog("outcome run study.yaml"):
        raise InputError("no such column")
    assert not path.exists()
    with RunLog("outcome run study.yaml") as log:
        logging.getLogger("outcome").warning("few events")
        assert not path.exists()
        log.open(path)
    assert said(path)[0].startswith("started: outcome run study.yaml; slide-outcome ")
    assert said(path)[1:] == ["warning: few events", "finished"]


def test_a_second_run_is_added_and_an_error_is_named(tmp_path):
    path = tmp_path / "run.log"
    with RunLog() as log:
        log.open(path)

    def stopped_by_a_full_disk():
        with RunLog() as log:
            log.open(path)
            log.following(no_progress)("training", 1, 1)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        stopped_by_a_full_disk()
    assert said(path)[1] == "finished"
    assert said(path)[3:] == [
        "training 1/1 (100%), elapsed 0:00", "stopped: OSError: the disk is full",
    ]  # fmt: skip
    assert not [h for h in logging.getLogger("outcome").handlers if isinstance(h, RunLog)]


def test_a_fault_of_the_program_is_logged_with_its_traceback(tmp_path):
    def fail():
        with RunLog() as log:
            log.open(tmp_path / "run.log")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    text = (tmp_path / "run.log").read_text()
    assert "Traceback" in text
    assert text.endswith("stopped: ZeroDivisionError\n")
