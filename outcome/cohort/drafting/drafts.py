"""Drafts of study files, from guesses (`init`) or files of other tools (`import`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.drafting.endpoint_section import UNDECLARED
from outcome.cohort.split_files import GivenFold
from outcome.cohort.table import Cohort, read_cohort
from outcome.counting import plural
from outcome.errors import InputError, Problems
from outcome.study import Study
from outcome.yamlfile import dump_yaml

__all__ = ["Draft", "endpoint_comments", "write_draft"]


@dataclass(frozen=True)
class Draft:
    """A study file and its accompanying files, not yet written.

    Parameters
    ----------
    study : mapping
        Sections in the order in which they are written.
    comments : mapping of section to str
        Comment written next to a section.
    cohort : DataFrame or None
        Written under the name given in the study file; None if the table of the user is used.
    folds : sequence of GivenFold
        Written as `splits.csv`.
    others : mapping of file name to DataFrame
    understood : sequence of str
        Findings, for the user.
    """

    study: Mapping[str, Any]
    comments: Mapping[str, str] = field(default_factory=dict)
    cohort: pd.DataFrame | None = None
    folds: Sequence[GivenFold] = ()
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    understood: Sequence[str] = ()


def endpoint_comments(endpoint: Mapping[str, Any]) -> str:
    """Explain how an endpoint section is read."""
    if endpoint["kind"] == "binary":
        return "`positive` is the code whose risk is predicted; `favourable: true` for a response"
    if "censored" in endpoint:
        return "in this column 1 = censored; use `event:` for a column in which 1 = event"
    return "in this column 1 = event; use `censored:` for a column in which 1 = censored"


def write_draft(draft: Draft, folder: Path, name: str = "study.yaml") -> tuple[Path, list[str]]:
    """Write a draft; nothing is overwritten.

    Parameters
    ----------
    draft : Draft
    folder : Path
        Created if it does not exist.
    name : str
        Of the study file.

    Returns
    -------
    path : Path
        The study file.
    problems : list of str
        Problems that `outcome check` will report for the table, as far as known without the
        features.

    Raises
    ------
    InputError
        A file with this name exists.
    """
    files: dict[str, str] = {}
    if draft.cohort is not None:
        files[str(draft.study["cohort"])] = draft.cohort.to_csv(index=False)
    if draft.folds:
        files["splits.csv"] = _splits(draft.folds).to_csv(index=False)
    files |= {other: table.to_csv(index=False) for other, table in draft.others.items()}
    files[name] = _text(draft)
    if there := [f for f in files if (folder / f).exists()]:
        raise InputError(
            f"{folder / there[0]} already exists. To do: give another place with `out=`, or "
            "remove it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder / name, _problems(folder / name, draft.study)


def relative(path: Path, folder: Path) -> str:
    """Return a path relative to a study file in `folder`."""
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def counts(cohort: Cohort) -> str:
    """Describe the numbers of patients, slides and events of a table."""
    known = cohort.outcome.notna()
    events = int(cohort.outcome[known].sum())
    word = "events" if "event" in cohort.patients else "positive patients"
    slides = f", {plural(len(cohort.slides), 'slide')}" if len(cohort.slides) else ""
    return f"{plural(len(cohort.patients), 'patient')}{slides}, {events} {word}"


def _problems(path: Path, spec: Mapping[str, Any]) -> list[str]:
    endpoint = spec["endpoint"]
    open_codes = [c for c, v in endpoint.get("event_codes", {}).items() if v == UNDECLARED]
    if open_codes or endpoint.get("positive") == UNDECLARED:
        named = f" ({', '.join(open_codes[:10])})" if open_codes else ""
        return [
            f"codes of the outcome{named} are not declared; replace each {UNDECLARED} under "
            f"`endpoint` in {path}"
        ]
    time = endpoint.get("time")
    if isinstance(time, Mapping) and time.get("dates") == UNDECLARED:
        return [
            f"dates such as 03/04/2015 can be read in two ways; replace {UNDECLARED} after "
            f"`dates` by day-first or month-first in {path}"
        ]
    try:
        study = Study.read(path)
    except InputError as error:
        return str(error).splitlines()
    problems = Problems("table")
    cohort = read_cohort(study, problems)
    return [*problems.found, *(cohort.warnings if cohort is not None else ())]


def understood_cohort(path: Path) -> str:
    """Return the counts of the table of a written study; empty if it cannot be read."""
    try:
        cohort = read_cohort(Study.read(path), Problems("table"))
    except InputError:
        return ""
    return counts(cohort) if cohort is not None else ""


def _text(draft: Draft) -> str:
    lines = []
    for key, value in draft.study.items():
        if comment := draft.comments.get(key):
            lines += [f"# {line}" for line in comment.splitlines()]
        if isinstance(value, dict):
            lines.append(f"{key}:")
            for inner, content in value.items():
                lines.append(
                    f"  {dump_yaml(inner, inline=True)}: {dump_yaml(content, inline=True)}"
                )
        else:
            lines.append(f"{key}: {dump_yaml(value, inline=True)}")
    return "\n".join(lines) + "\n"


def _splits(folds: Sequence[GivenFold]) -> pd.DataFrame:
    rows = [
        (patient, fold.repeat, fold.name, role)
        for fold in folds
        for role, who in (("test", fold.test), ("development", fold.development))
        for patient in sorted(who)
    ]
    return pd.DataFrame(rows, columns=["patient_id", "repeat", "outer_fold", "role"])
