"""Exceptions that a caller may want to catch.

Messages name an argument as `out=`; the commands print it as an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = [
    "BundleError",
    "CohortError",
    "EmbeddingError",
    "InputError",
    "LeakageError",
    "PredictionsError",
    "Problems",
    "RunFolderError",
    "StudyError",
]


class InputError(ValueError):
    """The input is invalid and the user can correct it; the commands exit with status 2."""


class StudyError(InputError):
    """The study file is invalid."""


class CohortError(InputError):
    """The cohort table is inconsistent, or does not agree with the study file."""


class EmbeddingError(InputError):
    """Patch or report embeddings are missing, damaged or inconsistent."""


class LeakageError(InputError):
    """A patient has two roles in one fold, or the inputs contain the outcome."""


class PredictionsError(InputError):
    """A table of predictions cannot be evaluated."""


class RunFolderError(InputError):
    """A folder contains files that this run must not overwrite or combine with its own."""


class BundleError(InputError):
    """A trained model cannot be read, or does not match the data."""


class Problems:
    """Collects problems, so that the user sees all of them at once.

    Examples
    --------
    >>> problems = Problems("cohort.csv")
    >>> problems.add("column 'time' is negative", ["p1", "p2", "p3", "p4"], "correct these rows")
    >>> print(problems.message())
    cohort.csv: 1 problem
      - column 'time' is negative: 4, e.g. p1, p2, p3. To do: correct these rows
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.found: list[str] = []
        self._taken: list[type[InputError]] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, what: str, examples: Sequence[object] = (), remedy: str = "") -> None:
        """Note one problem.

        Parameters
        ----------
        what : str
            What is wrong, with file and column.
        examples : sequence
            All affected items. They are counted, and at most three are shown.
        remedy : str
            What to do about it.
        """
        text = what
        if examples:
            shown = ", ".join(_short(e) for e in list(examples)[:3])
            text += f": {len(examples)}, e.g. {shown}"
        if remedy:
            text += f". To do: {remedy}"
        self.found.append(text)

    def extend(self, others: Iterable[str]) -> None:
        """Add problems from another collection."""
        self.found.extend(others)

    def take(self, error: InputError) -> None:
        """Add an error. If it is the only one, `raise_if_any` keeps its class."""
        self.found.append(str(error))
        self._taken.append(type(error))

    def message(self) -> str:
        """All problems, one a line."""
        n = len(self.found)
        head = f"{self.where}: {n} problem{'s' if n != 1 else ''}"
        return "\n".join([head, *(f"  - {p}" for p in self.found)])

    def raise_if_any(self, kind: type[InputError]) -> None:
        """Raise `kind` with every problem, if there is one."""
        if self.found:
            kinds = set(self._taken) if len(self._taken) == len(self.found) else set()
            raise (kinds.pop() if len(kinds) == 1 else kind)(self.message())


def _short(value: object, limit: int = 80) -> str:
    """One line of at most `limit` characters; control characters are made visible."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
    return text if len(text) <= limit else text[: limit - 3] + "..."
