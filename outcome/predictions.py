"""The table that training hands to evaluation: schema, reading, writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from outcome.errors import PredictionsError, Problems

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["survival", "binary"]

__all__ = ["Kind", "Predictions", "read_predictions"]


@dataclass(frozen=True)
class Predictions:
    """One row per arm, repeat and test patient.

    Parameters
    ----------
    table : DataFrame
        Columns `arm, patient_id, repeat, fold, risk, risk_group` and either `time, event` or
        `label`; optional `probability`, `strata`, `survival_<horizon>`. A higher `risk` is worse,
        everywhere. Risks are comparable only within one arm, repeat, fold and stratum.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        problems = Problems("predictions")
        have = set(self.table.columns)
        if missing := sorted({"arm", "patient_id", "repeat", "fold", "risk"} - have):
            problems.add(f"columns {missing} are missing", remedy=f"the table has {sorted(have)}")
        if "label" not in have and not {"time", "event"} <= have:
            problems.add("there is no outcome", remedy="give columns time and event, or label")
        problems.raise_if_any(PredictionsError)
        key = ["arm", "repeat", "patient_id"]
        twice = self.table.duplicated(key)
        if twice.any():
            problems.add(
                "a patient is scored more than once in one arm and repeat",
                self.table.loc[twice, "patient_id"].tolist(),
                "give one row per arm, repeat and patient",
            )
        bad = ~np.isfinite(self.table["risk"].to_numpy(dtype=float))
        if bad.any():
            problems.add("risk is not a finite number", self.table.loc[bad, "patient_id"].tolist())
        problems.raise_if_any(PredictionsError)

    @property
    def kind(self) -> Kind:
        """`survival` (time and event) or `binary` (label)."""
        return "survival" if "time" in self.table.columns else "binary"

    @property
    def arms(self) -> list[str]:
        """Arm names in the order of their first row."""
        return list(dict.fromkeys(self.table["arm"]))

    def arm(self, name: str) -> pd.DataFrame:
        """Rows of one arm, ordered by repeat, fold and patient, with a fresh index."""
        rows = self.table[self.table["arm"] == name]
        return rows.sort_values(["repeat", "fold", "patient_id"]).reset_index(drop=True)

    def write(self, path: Path) -> None:
        """Write as CSV with every digit, so that metrics can be recomputed from the file."""
        self.table.to_csv(path, index=False)


def read_predictions(path: Path) -> Predictions:
    """Read what `Predictions.write` wrote; ids stay strings.

    Raises
    ------
    PredictionsError
        A column is missing or a value cannot be used.
    """
    table = pd.read_csv(
        path,
        dtype={"patient_id": str, "arm": str, "risk_group": str, "fold": str, "strata": str},
        keep_default_na=False,
        na_values={"risk": [""]},
        float_precision="round_trip",
    )
    return Predictions(table)
