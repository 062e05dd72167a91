"""Reads a run folder once; optional files may be missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from outcome.errors import PredictionsError, Problems, RunFolderError
from outcome.evaluation.crossfit_estimates import InnerModelTables
from outcome.evaluation.evaluation import PatientTables
from outcome.evaluation.study_tables import STUDY_TABLES
from outcome.predictions import read_predictions
from outcome.run_folder.folder import Run
from outcome.run_folder.pseudonyms import Pseudonyms
from outcome.tables.treatment import TREATMENT, TreatmentAssignment

__all__ = [
    "made_of_covariates",
    "read_development",
    "read_inner_models",
    "read_manifest",
    "read_run",
    "read_treatment",
]

FORMAT = 1
_TEXT = {
    *("arm", "baseline", "metric", "group", "step", "reason", "note"),
    *("endpoint", "stratum", "fold", "outer_fold", "model", "statistic"),
    *("variable", "level", "term", "kind", "covariate", "group_a", "group_b", "scale"),
    *("patient_id", "role", "exchanged", "variance", "no_verdict", "untested"),
    *("treatment", "measure"),
}
_NEEDS = {
    "cohort_flow.csv": {"step", "patients"},
    "metrics.csv": {"arm", "metric", "estimate"},
    "comparisons.csv": {"arm", "baseline", "metric", "difference"},
    "risk_groups.csv": {"arm", "group", "n"},
    "history.csv": {"arm", "epoch"},
    "splits.csv": {"patient_id", "outer_fold", "role"},
    "permutations.csv": {"arm", "statistic", "p_value"},
    "input_permutations.csv": {"arm", "exchanged", "statistic", "p_value"},
}
_NEEDS |= {f"{name}.csv": set() for name in STUDY_TABLES}
_BY_ENDPOINT = ("metrics.csv", "comparisons.csv", "risk_groups.csv")


def read_run(folder: Path, *, show_ids: bool = False) -> Run:
    """Read a run folder.

    Parameters
    ----------
    folder : Path
        Folder of `outcome run`.
    show_ids : bool
        Keep patient ids in notes, warnings and file names.

    Raises
    ------
    RunFolderError
        The folder has no manifest or no predictions, or they cannot be read.
    """
    folder = Path(folder)
    manifest = read_manifest(folder / "manifest.json")
    if not (folder / "predictions.csv").is_file():
        raise RunFolderError(f"{folder} has no predictions.csv: run the study first")
    predictions = read_predictions(folder / "predictions.csv")
    if predictions.table.empty:
        raise PredictionsError(f"{folder / 'predictions.csv'} contains no patients")
    problems: list[str] = []
    tables = {name: _read_table(folder / name, needs, problems) for name, needs in _NEEDS.items()}
    if not show_ids:
        hide = Pseudonyms(predictions.table["patient_id"], tables["splits.csv"])
        manifest = {k: v if k in _STRUCTURE else hide.inside(v) for k, v in manifest.items()}
        for table in tables.values():
            for column in {"reason", "note"} & set(table.columns):
                table[column] = table[column].map(hide.inside)
    spec = manifest.get("endpoint")
    name = str(spec.get("name") or "") if isinstance(spec, Mapping) else ""
    others = {}
    for file in _BY_ENDPOINT:
        tables[file], others[file] = _primary_first(tables[file], name)
    patients = _patient_tables(folder, manifest, problems)
    covariates, acquisition, left_out = patients.of(predictions)
    return Run(
        folder, manifest, predictions, tables, problems, show_ids, others, patients, covariates,
        acquisition, left_out,
    )  # fmt: skip


def read_development(folder: Path, problems: Problems) -> pd.DataFrame | None:
    """Read the out-of-fold scores of development patients; None if the folder has none."""
    path = folder / "development.csv"
    names = ("arm", "repeat", "fold", "patient_id")
    table = _read_plain(path, names, problems)
    if table is None:
        return None
    if missing := sorted({*names, "risk"} - set(table.columns)):
        problems.add(
            f"{path} has no column", missing, "run the study again; nothing is trained again"
        )
        return None
    risk = pd.to_numeric(table["risk"], errors="coerce")
    if (bad := ~np.isfinite(risk)).any():
        problems.add(f"{path}: risk is not a finite number", table.loc[bad, "patient_id"].tolist())
    return pd.DataFrame(table.assign(risk=risk))


def read_inner_models(folder: Path, problems: Problems) -> InnerModelTables | None:
    """Read scores by inner models and the folds of patients; None if one of them is missing."""
    names = ("arm", "patient_id", "repeat", "fold", "inner_fold")
    scores = _read_plain(folder / "inner_scores.csv", names, problems)
    names = ("patient_id", "repeat", "outer_fold", "role", "inner_fold")
    splits = _read_plain(folder / "splits.csv", names, problems)
    return None if scores is None or splits is None else InnerModelTables(scores, splits)


def _read_plain(path: Path, text: Sequence[str], problems: Problems) -> pd.DataFrame | None:
    """Read a table with these columns as text; None if there is no such file."""
    if not path.is_file():
        return None
    types: dict[str, type[str]] = dict.fromkeys(text, str)
    try:
        # The stubs support dtype by column only for some combinations of options.
        table = pd.read_csv(path, dtype=types, keep_default_na=False, float_precision="round_trip")  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        problems.add(f"{path} cannot be read: {(str(error).splitlines() or [''])[0]}")
        return None
    return pd.DataFrame(table)


def _primary_first(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide a table into the rows of the primary endpoint and all others."""
    if "endpoint" not in table:
        return table, table.iloc[:0]
    mine = table["endpoint"] == ""
    if not mine.any():
        mine = table["endpoint"].isin(["primary", name])
    return table[mine].reset_index(drop=True), table[~mine].reset_index(drop=True)


def _patient_tables(
    folder: Path, manifest: Mapping[str, Any], problems: list[str]
) -> PatientTables:
    """Read covariates and acquisition; numeric covariates are declared or detected."""
    asked = manifest.get("covariates")
    numeric = asked.get("numeric") if isinstance(asked, Mapping) else None
    found = [_read_patients(folder / f"{n}.csv", problems) for n in ("covariates", "acquisition")]
    return PatientTables(
        found[0], found[1], numeric, made_of_covariates(manifest.get("arms")),
        read_treatment(folder, manifest, problems),
    )  # fmt: skip


def read_treatment(
    folder: Path, manifest: Mapping[str, Any], problems: list[str]
) -> TreatmentAssignment | None:
    """Read the treatments of patients; None if the run declares none.

    Parameters
    ----------
    folder : Path
    manifest : mapping
        Manifest of the run.
    problems : list of str
        Receives problems of the table.
    """
    declared = manifest.get("treatment")
    if not isinstance(declared, Mapping):
        return None
    table = _read_patients(folder / "treatments.csv", problems)
    if TREATMENT not in table:
        return None
    return TreatmentAssignment(
        table, str(declared.get("column")), str(declared.get("reference")),
        bool(declared.get("randomised")),
    )  # fmt: skip


def made_of_covariates(arms: object) -> list[str]:
    """Name the arms with only clinical inputs, from the descriptions in a manifest."""
    known = [a for a in arms if isinstance(a, Mapping)] if isinstance(arms, list) else []
    return [str(a.get("name")) for a in known if list(a.get("inputs") or []) == ["clinical"]]


def _read_patients(path: Path, problems: list[str]) -> pd.DataFrame:
    empty = pd.DataFrame({"patient_id": pd.Series(dtype=str)})
    if not path.is_file():
        return empty
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        problems.append(f"{path.name} cannot be read and is not used: {error}")
        return empty
    if "patient_id" not in table or table["patient_id"].duplicated().any():
        problems.append(f"{path.name} does not have one row for each patient_id and is not used")
        return empty
    return table


_STRUCTURE = frozenset({"name", "endpoint", "arms", "baseline", "epochs", "versions", "format"})


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a run; `RunFolderError` if there is none."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(
            f"{path.parent} is not a run folder: it has no {path.name}. "
            "Give the folder that `outcome run` wrote"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or "name" not in manifest:
        raise RunFolderError(f"{path} is not the manifest of a run: it does not name the study")
    if int(manifest.get("format") or FORMAT) > FORMAT:
        raise RunFolderError(
            f"{path} has format {manifest['format']}, this version reads up to {FORMAT}: "
            "update slide-outcome"
        )
    return manifest


def _read_table(path: Path, needs: set[str], problems: list[str]) -> pd.DataFrame:
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in sorted(needs)})
    if not path.is_file():
        return empty
    missing_numbers = ["", "NA", "NaN", "nan"]
    try:
        names = pd.read_csv(path, nrows=0).columns
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(_TEXT, str),
            keep_default_na=False,
            na_values={n: missing_numbers for n in names if n not in _TEXT},
            float_precision="round_trip",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        problems.append(f"{path.name} cannot be read and is not used: {error}")
        return empty
    if missing := sorted(needs - set(table.columns)):
        problems.append(f"{path.name} has no column {', '.join(missing)} and is not used")
        return empty
    for column in set(table.columns) - _TEXT:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table
