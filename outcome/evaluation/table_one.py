"""Table 1: characteristics of the patients, by outcome, fold or site."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

__all__ = ["CHARACTERISTIC_COLUMNS", "characteristics", "characteristics_tables"]

CHARACTERISTIC_COLUMNS = [
    "variable", "level", "group", "n", "count", "share", "median", "lower", "upper",
]  # fmt: skip
MOST_LEVELS = 12
MOST_SITES = 8
MOST_FOLDS = 10


def characteristics_tables(
    covariates: pd.DataFrame,
    acquisition: pd.DataFrame,
    *,
    status: pd.Series,
    order: Sequence[str],
    fold: pd.Series,
) -> dict[str, pd.DataFrame]:
    """Describe the patients by outcome, by test fold and by site.

    Parameters
    ----------
    covariates, acquisition : DataFrame
        `patient_id` and variables; numbers are numeric columns. In `acquisition`, `site` defines
        groups, and `report missing` (1 = missing) is shown as a category.
    status : Series
        Outcome of each patient in words, by patient id.
    order : sequence of str
        These words, in the order of the columns.
    fold : Series
        Test fold of each patient in the first repeat, by patient id.

    Returns
    -------
    dict of str to DataFrame
        `characteristics`, `characteristics_by_fold` and `characteristics_by_site`: as far as they
        apply.
    """
    known = covariates.set_index("patient_id")
    gathered = acquisition.set_index("patient_id")
    table = known.join(gathered[[c for c in gathered if c not in known]])
    if "report missing" in table:
        table["report"] = table.pop("report missing").map({0: "yes", 1: "no"})
    if table.empty or not len(table.columns):
        return {}
    numeric = [str(c) for c in table if pd.api.types.is_numeric_dtype(table[c])]
    status = status.reindex(table.index)
    words = [w for w in order if w]
    found = {"characteristics": characteristics(table, status, order=words, numeric=numeric)}
    with_status = table.assign(outcome=status)
    if 1 < fold.nunique() <= MOST_FOLDS:
        found["characteristics_by_fold"] = characteristics(
            with_status, fold, order=fold.unique().tolist(), numeric=numeric
        )
    if "site" in table:
        site = table["site"]
        largest = site.value_counts().index[:MOST_SITES]
        place = site.where(site.isin(largest) | site.isna(), "all others")
        sites = sorted(place.dropna().unique(), key=lambda s: (s == "all others", s))
        found["characteristics_by_site"] = characteristics(
            with_status.drop(columns="site"), place, order=sites, numeric=numeric
        )
    return found


def characteristics(
    covariates: pd.DataFrame,
    group: pd.Series,
    *,
    order: Sequence[str] = (),
    numeric: Sequence[str] = (),
) -> pd.DataFrame:
    """Describe each variable in all patients and in each group.

    No p values: the table describes the sample and tests no hypothesis (STROBE).

    Parameters
    ----------
    covariates : DataFrame
        Indexed by patient; a column per variable, missing values as NaN.
    group : Series
        Group of each patient, with the same index; missing for patients in no group.
    order : sequence of str
        Groups in the order of the rows; by default in order of appearance. Groups without patients
        are skipped.
    numeric : sequence of str
        Variables described by median and quartiles; all others by counts of their levels, at
        most twelve, the rarer ones together as `others`.

    Returns
    -------
    DataFrame
        `CHARACTERISTIC_COLUMNS`: group `""` is all patients; level `""` is a number, level
        `missing` counts patients without a value. `n` is the number of patients of the group with a
        value, and the denominator of `share` (for `missing`: the whole group).
    """
    of = group.reindex(covariates.index)
    present = of.dropna().drop_duplicates().tolist()
    groups = [("", pd.Series(True, index=covariates.index))]
    groups += [(str(g), of == g) for g in (order or present) if g in present]
    rows: list[list[object]] = []
    for name in covariates:
        values = covariates[name]
        counted = None if name in numeric else _levels(values)
        for label, chosen in groups:
            mine = values[chosen]
            known = mine.dropna()
            gone = len(mine) - len(known)
            if counted is None:
                q = known.astype(float).quantile([0.5, 0.25, 0.75]).tolist()
                rows.append([name, "", label, len(known), None, None, *q])
            else:
                rows += _counts(str(name), label, counted[chosen].dropna(), counted)
            if values.isna().any():
                share = gone / len(mine) if len(mine) else None
                rows.append([name, "missing", label, len(mine), gone, share, None, None, None])
    table = pd.DataFrame(rows, columns=CHARACTERISTIC_COLUMNS)
    for column in CHARACTERISTIC_COLUMNS[3:]:
        table[column] = pd.to_numeric(table[column])
    return table


def _levels(values: pd.Series) -> pd.Series:
    """Return the levels as text; rare levels beyond twelve are combined."""
    text = values.astype("string")
    common = text.value_counts()
    if len(common) <= MOST_LEVELS:
        return text
    kept = sorted(common.index, key=lambda v: (-common[v], v))[: MOST_LEVELS - 1]
    return text.where(text.isin(kept) | text.isna(), "others")


def _counts(name: str, label: str, mine: pd.Series, everybody: pd.Series) -> list[list[object]]:
    order = sorted(everybody.dropna().unique(), key=lambda v: (v == "others", v))
    n = len(mine)
    rows: list[list[object]] = []
    for level in order:
        count = int((mine == level).sum())
        share = count / n if n else None
        rows.append([name, level, label, n, count, share, None, None, None])
    return rows
