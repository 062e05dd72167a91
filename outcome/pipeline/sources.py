"""Inputs of an evaluation: tables of predictions, and run folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.endpoint import Endpoint, declared_endpoint
from outcome.errors import PredictionsError, Problems, RunFolderError
from outcome.predictions import read_covariates
from outcome.run_folder.read import read_manifest
from outcome.study import Study

__all__ = ["PredictionSource", "endpoint_asked", "read_sources"]

UNITS = ("days", "months", "years")


@dataclass(frozen=True)
class PredictionSource:
    """A table of predictions, and its run.

    Parameters
    ----------
    table : Path
        CSV of predictions.
    folder : Path or None
        The run folder, if one was given.
    manifest : mapping
        Manifest of the run; empty for a table.
    study : Study or None
        Study of the run; absent in folders of `validate` and `evaluate`.
    """

    table: Path
    folder: Path | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    study: Study | None = None

    @property
    def name(self) -> str:
        """Name in the report."""
        return str(self.manifest["name"]) if self.folder else self.table.stem

    def part(self, key: str) -> dict[str, Any]:
        """Return a section of the manifest; empty if it is absent."""
        value = self.manifest.get(key)
        return dict(value) if isinstance(value, Mapping) else {}

    def covariates(self) -> pd.DataFrame:
        """Return the covariates of the run, one row per patient; without columns for a table."""
        path = self.folder / "covariates.csv" if self.folder else None
        if path is None or not path.is_file():
            return pd.DataFrame({"patient_id": pd.Series(dtype=str)})
        return read_covariates(path)

    def endpoint(self) -> Endpoint:
        """Return the endpoint of the run.

        Raises
        ------
        RunFolderError
            The manifest does not declare it.
        """
        if self.study is not None:
            return self.study.endpoint
        spec = self.part("endpoint")
        try:
            return declared_endpoint(spec.get("kind"), spec)
        except (ValueError, TypeError):
            raise RunFolderError(
                f"{self.folder}/manifest.json does not declare the endpoint (kind, unit, "
                f"horizons). To do: give {self.table} instead, and the unit of its times"
            ) from None


def read_sources(paths: Sequence[Path]) -> list[PredictionSource]:
    """Divide the paths into tables and run folders.

    Raises
    ------
    RunFolderError
        Some folders are not run folders; the message lists all.
    """
    problems, found = Problems("predictions"), []
    for path in paths:
        if not path.is_dir():
            found.append(PredictionSource(path))
            continue
        try:
            manifest = read_manifest(path / "manifest.json")
        except RunFolderError as error:
            problems.extend([str(error)])
            continue
        study = path / "study.yaml"
        read = Study.read(study) if study.is_file() else None
        found.append(PredictionSource(path / "predictions.csv", path, manifest, read))
    problems.raise_if_any(RunFolderError)
    return found


def endpoint_asked(
    sources: Sequence[PredictionSource],
    kind: str,
    *,
    unit: str | None,
    found: str | None,
    horizons: Sequence[float],
    favourable: bool,
) -> Endpoint:
    """Return the endpoint to evaluate: that of the runs, changed by the request.

    Parameters
    ----------
    sources : sequence of PredictionSource
    kind : {"survival", "binary"}
        Kind of outcome in the columns of the tables.
    unit : str, optional
        As requested.
    found : str, optional
        Unit in the name of a column.
    horizons : sequence of float
        As requested; by default those of the run.
    favourable : bool
        As requested.

    Raises
    ------
    PredictionsError
        The request and the runs contradict each other; times are never converted.
    """
    problems = Problems("evaluation")
    if unit and unit not in UNITS:
        problems.add(f"unit {unit!r} is unknown", remedy="use days, months or years")
    runs = [s for s in sources if s.folder]
    declared = [s.endpoint() for s in runs]
    units = {str(s.folder): e.unit for s, e in zip(runs, declared, strict=True) if e.unit}
    if unit and found and unit != found:
        problems.add(
            f"unit {unit} was given, but by the name of their column the times are in {found}"
        )
    for folder, theirs in units.items():
        if (unit or found or theirs) != theirs:
            said = (
                f"unit {unit}"
                if unit
                else (f"by the names of their columns, the times are in {found}")
            )
            remedy = (
                "omit the unit; times are not converted" if unit else "convert them to one unit"
            )
            problems.add(f"{said}, but the times of {folder} are in {theirs}", remedy=remedy)
    if len({e.question for e in declared}) > 1:
        problems.add("the runs have different endpoints", [e.question for e in declared])
    first = declared[0] if declared else None
    fixed = first is not None and not first.any_horizon and first.horizons
    if fixed and horizons and tuple(horizons) != fixed:
        problems.add(
            "horizons cannot be given: the endpoint of the run is the event by a fixed time"
        )
    if favourable and any(not e.unit and not e.favourable for e in declared):
        problems.add("favourable was given, but the study of the run declares the opposite")
    problems.raise_if_any(PredictionsError)
    if first is None:
        return _plain(kind, unit or found or "days", horizons, favourable=favourable)
    if first.any_horizon and horizons:
        return first.model_copy(update={"horizons": tuple(horizons)})
    return first


def _plain(kind: str, unit: str, horizons: Sequence[float], *, favourable: bool) -> Endpoint:
    name = "event" if kind == "survival" else "label"
    endpoint = declared_endpoint(kind, {"name": name, "unit": unit, "favourable": favourable})
    if not endpoint.any_horizon:
        return endpoint
    # Copied without validation, because the evaluation explains problems of horizons.
    return endpoint.model_copy(update={"horizons": tuple(horizons)})
