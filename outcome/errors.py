"""Every exception that a caller may want to catch.

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
    """The input is wrong and the user can mend it; the commands exit with status 2."""


class StudyError(InputError):
    """The study file cannot be understood."""


class CohortError(InputError):
    """The cohort table contradicts itself, or what the study file says of it."""


class EmbeddingError(InputError):
    """Patch or report embeddings are missing, damaged or do not belong together."""


class LeakageError(InputError):
    """A patient would be in two roles of one fold, or the outcome is hidden in the inputs."""


class PredictionsError(InputError):
    """A table of predictions cannot be evaluated."""


class RunFolderError(InputError):
    """A run folder holds something that this run must not overwrite or mix with."""


class BundleError(InputError):
    """A trained model cannot be read, or does not fit what it is to be used on."""


class Problems:
    """Collects what is wrong, so that the user sees all of it at once.

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
            Everything concerned; it is counted, and at most three are shown.
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
        """Take over problems found elsewhere."""
        self.found.extend(others)

    def take(self, error: InputError) -> None:
        """Take over an error; where there is nothing else, `raise_if_any` keeps its class."""
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
