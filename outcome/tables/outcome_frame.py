"""Outcomes given in Python, converted to columns of a cohort table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from outcome.errors import InputError

__all__ = ["label_codes", "outcome_frame"]

HOW = (
    "give a Surv array (sksurv.util.Surv.from_arrays(event, time)), a DataFrame with columns `time`"
    " and `event`, or an array of labels"
)


def outcome_frame(y: Any, name: str = "y") -> pd.DataFrame:
    """Return outcomes as a table with the columns `time` and `event`, or `label`.

    Parameters
    ----------
    y : structured array, DataFrame (or mapping of columns) or array of labels
        A structured array has two fields of any name, first the event and then the time, as made by
        `sksurv.util.Surv`; codes of the event may be 0 (censored), 1 (event) and 2 (competing
        event). A DataFrame has columns `time` and `event`, or `label`, and keeps its index, a
        column `patient_id` and, with times, a column `entry` (start of observation, if delayed);
        other columns are dropped.
    name : str
        Name of the argument, for messages.

    Returns
    -------
    DataFrame

    Raises
    ------
    InputError
        `y` has another form.

    Examples
    --------
    >>> from sksurv.util import Surv
    >>> outcome_frame(Surv.from_arrays([True, False], [12.0, 30.0]))
       time  event
    0  12.0      1
    1  30.0      0
    """
    if isinstance(y, Mapping):
        y = pd.DataFrame(dict(y))
    if isinstance(y, pd.DataFrame):
        return _of_table(y, name)
    values = np.asarray(y)
    fields = values.dtype.names or ()
    if len(fields) == 2 and values.ndim == 1:
        event, time = values[fields[0]], values[fields[1]]
        if event.dtype.kind not in "biu" and event.dtype.kind != "f":
            raise InputError(
                f"`{name}`: field {fields[0]!r} is not an event indicator. To do: {HOW}"
            )
        return pd.DataFrame({"time": time.astype(float), "event": event.astype(int)})
    if fields or values.ndim != 1 or values.dtype.kind == "V":
        column = values.ndim == 2 and values.shape[1] == 1 and not fields
        if not column:
            raise InputError(f"`{name}` has {_described(values)}. To do: {HOW}")
        values = values[:, 0]
    return pd.DataFrame({"label": values})


def _described(values: Any) -> str:
    fields = values.dtype.names
    return f"fields {', '.join(fields)}" if fields else f"shape {values.shape}"


def _of_table(table: pd.DataFrame, name: str) -> pd.DataFrame:
    ids = [c for c in ("patient_id",) if c in table]
    for columns in (["time", "event"], ["label"]):
        if all(c in table for c in columns):
            late = [c for c in ("entry",) if c in table and "time" in columns]
            found = table[[*ids, *late, *columns]].copy()
            if "event" in found and pd.api.types.is_bool_dtype(found["event"]):
                found["event"] = found["event"].astype(int)
            return found
    have = ", ".join(map(str, table.columns[:12]))
    raise InputError(
        f"`{name}` has no columns `time` and `event`, or `label`; it has {have}. To do: rename"
        " them, e.g. y.rename(columns={'pfi_days': 'time', 'pfi_event': 'event'})"
    )


def label_codes(labels: pd.Series, positive: Any = None) -> tuple[list[Any], pd.Series]:
    """Return the two classes, the positive one last, and labels as 0, 1 or missing.

    Parameters
    ----------
    labels : Series
    positive : optional
        The positive class; by default the last one in sorted order.

    Raises
    ------
    InputError
        There are not two classes, or the positive one is not among them.
    """
    known = labels[labels.notna()]
    classes = np.unique(known.to_numpy()).tolist()
    if known.dtype.kind == "f" and len(classes) > 2 and not (known % 1 == 0).all():
        raise InputError("`y` is continuous, but labels of two classes are needed")
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:5]))
        n = f"{len(classes)} class" + ("es" if len(classes) != 1 else "")
        only = ""
        if len(classes) > 2:  # wording of scikit-learn
            only = ". Only binary classification is supported. The type of the target is multiclass"
        raise InputError(f"`y` has {n} ({shown}), but two are needed: yes and no{only}")
    if positive is not None:
        if positive not in classes:
            raise InputError(f"`positive` is {positive!r}, but the labels are {classes}")
        classes = [c for c in classes if c != positive] + [positive]
    codes = labels.map({classes[0]: 0, classes[1]: 1})
    return classes, codes
