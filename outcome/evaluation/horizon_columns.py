"""Names of columns with a horizon, and columns read as numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import Problems

__all__ = ["horizon_columns", "horizon_name", "number_column"]

_PREFIX = "survival_"


def horizon_name(horizon: float) -> str:
    """Write a horizon as in the names of columns and metrics.

    Examples
    --------
    >>> horizon_name(365.0), horizon_name(2.5)
    ('365', '2.5')
    """
    return str(int(horizon)) if float(horizon).is_integer() else repr(float(horizon))


def horizon_columns(table: pd.DataFrame) -> dict[float, str]:
    """Horizon of each column `survival_<h>`, ascending."""
    found = {}
    for name in map(str, table.columns):
        if name.startswith(_PREFIX):
            try:
                found[float(name.removeprefix(_PREFIX))] = name
            except ValueError:
                continue  # survival_at_time and the like
    return dict(sorted(found.items()))


def number_column(
    table: pd.DataFrame,
    name: str,
    problems: Problems,
    *,
    low: float = -np.inf,
    high: float = np.inf,
) -> NDArray[np.float64]:
    """Read a column as numbers: NaN if empty or absent, a problem if invalid.

    Parameters
    ----------
    low, high : float
        Bounds, inclusive.
    """
    if name not in table:
        return np.full(len(table), np.nan)
    raw = table[name]
    if raw.dtype == bool:
        return raw.to_numpy(dtype=np.float64)
    values = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64)
    empty = raw.isna().to_numpy() | (raw.astype(str).str.strip() == "").to_numpy()
    ids = table["patient_id"].astype(str).to_numpy()
    wrong = (np.isnan(values) & ~empty) | np.isinf(values)
    if wrong.any():
        problems.add(f"{name} is not a number", ids[wrong].tolist())
    if (outside := (values < low) | (values > high)).any():
        bounds = f"outside [{low:g}, {high:g}]" if np.isfinite(high) else f"below {low:g}"
        problems.add(f"{name} is {bounds}", ids[outside].tolist())
    return values
