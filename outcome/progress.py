"""Progress reports of long computations."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Self

__all__ = ["CountProgress", "Progress", "ProgressLines", "as_progress", "both", "no_progress"]

Progress = Callable[[str, int, int], None]
"""Called with the name of the stage, the number of finished items, and the number of all items."""

CountProgress = Callable[[int, int], None]
"""Called with the number of finished items and of all items."""

SHARE = 0.05
"""A line is written when this fraction of a stage is done since the last line,"""
SHORTEST = 5.0
"""but not before so many seconds have passed,"""
LONGEST = 60.0
"""and at the latest after so many."""


def no_progress(*_: object) -> None:
    """Report nothing."""


def as_progress(progress: Progress | bool) -> Progress:
    """Return the receiver of progress reports that a caller has asked for.

    Parameters
    ----------
    progress : callable or bool
        True writes lines to stderr, False reports nothing.
    """
    if not isinstance(progress, bool):
        return progress
    return ProgressLines(partial(print, file=sys.stderr)) if progress else no_progress


def both(first: Progress, second: Progress) -> Progress:
    """Report to two receivers."""

    def report(stage: str, done: int, total: int) -> None:
        first(stage, done, total)
        second(stage, done, total)

    return report


@dataclass(frozen=True)
class _Stage:
    """Progress of one stage.

    `first` is the number of items already done when the stage began. Items of an earlier run took
    no time and are not used to estimate the remaining time.
    """

    name: str
    first: int
    done: int
    total: int
    began: float

    def line(self, now: float) -> str:
        elapsed = now - self.began
        text = f"{self.name} {self.done}/{self.total} ({self.done / self.total:.0%})"
        text += f", elapsed {duration(elapsed)}"
        if self.first < self.done < self.total:
            left = elapsed * (self.total - self.done) / (self.done - self.first)
            text += f", left {duration(left)}"
        return text


class ProgressLines:
    """Progress as lines of text, for logs: stage, done/total, elapsed and remaining time.

    A line is written at the end of a stage, for every 5% (at most one in five seconds), and at
    least once a minute, even if no item is finished. Use it as a context manager: a thread monitors
    the time.

    Parameters
    ----------
    write : callable
        Called with each line; from two threads, but never at the same time.
    clock : callable
        Seconds, from any origin.

    Examples
    --------
    >>> with ProgressLines(print) as progress:
    ...     progress("training", 0, 2)
    ...     progress("training", 2, 2)
    training 2/2 (100%), elapsed 0:00
    """

    def __init__(
        self, write: Callable[[str], None], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._write, self._clock = write, clock
        self._stage: _Stage | None = None
        self._written_at, self._written_done = 0.0, 0
        self._lock, self._stop = Lock(), Event()
        self._watch = Thread(target=self._write_every_minute, daemon=True)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Record the progress of a stage, and write a line if one is due."""
        with self._lock:
            known, now = self._stage, self._clock()
            if known is None or known.name != stage or known.total != total or done < known.done:
                self._stage = known = _Stage(stage, done, done, total, now)
                self._written_at, self._written_done = now, done
                ended = total > 0 and done == total
            else:
                self._stage = replace(known, done=done)
                ended = known.done < total == done
            since = now - self._written_at
            step = done - self._written_done >= SHARE * total and done > self._written_done
            if ended or since >= LONGEST or (step and since >= SHORTEST):
                self._write_line(now)

    def tick(self) -> None:
        """Write a line if a minute has passed since the last one."""
        with self._lock:
            now, stage = self._clock(), self._stage
            unfinished = stage is not None and stage.done < stage.total
            if unfinished and now - self._written_at >= LONGEST:
                self._write_line(now)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._watch.join()

    def _write_every_minute(self) -> None:
        while not self._stop.wait(1.0):
            self.tick()

    def _write_line(self, now: float) -> None:
        if self._stage is None or not self._stage.total:
            return
        self._written_at, self._written_done = now, self._stage.done
        self._write(self._stage.line(now))


def duration(seconds: float) -> str:
    """Write a time as hours, minutes and seconds.

    Examples
    --------
    >>> duration(65.4), duration(3 * 3600 + 62)
    ('1:05', '3:01:02')
    """
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
