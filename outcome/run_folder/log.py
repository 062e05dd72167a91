"""The log of a run: `run.log` in the run folder."""

from __future__ import annotations

import logging
import os
import platform
import traceback
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from outcome.errors import InputError
from outcome.progress import Progress, ProgressLines, both

__all__ = ["LOG", "RunLog"]

LOG = "run.log"
LOGGER = logging.getLogger("outcome")


class RunLog(logging.Handler):
    """Writes a log file of a run: the command, messages, progress, and how it ended.

    A run folder is created only after the input has been checked. Earlier lines are kept in memory
    until `open`; if the input is invalid, nothing is written. A resumed run appends to the file.

    Parameters
    ----------
    command : str
        Command line, written at the beginning of the log.

    Examples
    --------
    >>> import tempfile
    >>> from outcome.progress import no_progress
    >>> path = Path(tempfile.mkdtemp()) / "run.log"
    >>> with RunLog("outcome run study.yaml") as log:
    ...     progress = log.following(no_progress)
    ...     log.open(path)
    ...     progress("training", 2, 2)
    >>> [line.split("  ")[1] for line in path.read_text().splitlines()][-2:]
    ['training 2/2 (100%), elapsed 0:00', 'finished']
    """

    def __init__(self, command: str = "") -> None:
        super().__init__(logging.WARNING)
        self._path: Path | None = None
        self._waiting: list[str] = []
        self._lines = ProgressLines(self.write)
        self.write(
            f"started: {command or 'from Python'}; slide-outcome {version('slide-outcome')}, "
            f"host {platform.node()}, process {os.getpid()}"
        )

    def open(self, path: Path) -> None:
        """Write to this file from now on, beginning with the kept lines."""
        self._path = path
        self._append(self._waiting)
        self._waiting = []

    def write(self, text: str) -> None:
        """Add a line with the current time."""
        line = f"{datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')}  {text}"
        if self._path is None:
            self._waiting.append(line)
        else:
            self._append([line])

    def note(self, text: str) -> None:
        """Add a line, and log it with the logger `outcome` at level info."""
        self.write(text)
        LOGGER.info(text)

    def emit(self, record: logging.LogRecord) -> None:
        """Add a warning of the library."""
        self.write(f"{record.levelname.lower()}: {record.getMessage()}")

    def following(self, progress: Progress) -> Progress:
        """Return a progress function that also writes lines to this log."""
        return both(progress, self._lines)

    def __enter__(self) -> Self:
        LOGGER.addHandler(self)
        self._lines.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.__exit__(kind, error, trace)
        LOGGER.removeHandler(self)
        if error is None:
            self.write("finished")
        else:
            if isinstance(error, Exception) and not isinstance(error, InputError | OSError):
                self.write("".join(traceback.format_exception(error)).rstrip())
            self.write(f"stopped: {type(error).__name__}: {error}".rstrip(": "))

    def _append(self, lines: list[str]) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
