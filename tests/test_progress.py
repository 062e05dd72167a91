import threading

from outcome.progress import ProgressLines, as_progress, no_progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def lines_of(reports):
    """Lines that reports of (seconds, stage, done, total) give; a stage of None is a tick."""
    clock, lines = Clock(), []
    progress = ProgressLines(lines.append, clock=clock)
    for clock.now, stage, done, total in reports:
        if stage is None:
            progress.tick()
        else:
            progress(stage, done, total)
    return lines


def test_a_line_every_five_percent_but_not_more_often_than_every_five_seconds():
    slow = lines_of([(6 * k, "training", k, 100) for k in range(101)])
    assert len(slow) == 20
    assert slow[0] == "training 5/100 (5%), elapsed 0:30, left 9:30"
    assert slow[-1] == "training 100/100 (100%), elapsed 10:00"
    fast = lines_of([(0.1 * k, "training", k, 100) for k in range(101)])
    assert fast == ["training 50/100 (50%), elapsed 0:05, left 0:05", fast[-1]]
    assert fast[-1].startswith("training 100/100 (100%)")


def test_a_line_every_minute_while_nothing_is_finished():
    ticks = [(k, None, 0, 0) for k in range(1, 200)]
    lines = lines_of([(0, "training", 3, 30), *ticks])
    assert lines == [
        "training 3/30 (10%), elapsed 1:00",
        "training 3/30 (10%), elapsed 2:00",
        "training 3/30 (10%), elapsed 3:00",
    ]
    assert lines_of([(0, "training", 30, 30), *ticks]) == ["training 30/30 (100%), elapsed 0:00"]


def test_fits_of_an_earlier_run_say_nothing_about_the_time_left():
    lines = lines_of([(0, "training", 20, 30), (60, "training", 21, 30)])
    assert lines == ["training 21/30 (70%), elapsed 1:00, left 9:00"]


def test_stages_begin_anew_and_empty_ones_are_silent():
    lines = lines_of(
        [
            (0, "projecting", 0, 0), (1, "projecting", 0, 2), (9, "projecting", 2, 2),
            (100, "projecting", 0, 2), (4000, "projecting", 2, 2),
        ]
    )  # fmt: skip
    assert lines == [
        "projecting 2/2 (100%), elapsed 0:08",
        "projecting 2/2 (100%), elapsed 1:05:00",
    ]


def test_no_thread_is_left():
    before = threading.active_count()
    with ProgressLines(lambda line: None) as progress:
        progress("training", 0, 1)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_progress_can_be_asked_for_with_true(capsys):
    as_progress(True)("training", 0, 2)
    shown = as_progress(True)
    shown("training", 0, 2)
    shown("training", 2, 2)
    assert capsys.readouterr().err == "training 2/2 (100%), elapsed 0:00\n"
    assert as_progress(False) is no_progress
    assert as_progress(print) is print
