"""Outcomes of some patients as arrays, for the training of models, calibration and cut-offs.

`outcome.endpoint` makes them from a cohort table. Nothing here depends on the kind of endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcome.errors import InputError
from outcome.statistics.ties import tie_times

__all__ = ["Outcomes"]

Rows = NDArray[np.bool_] | NDArray[np.integer[Any]] | slice


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of n patients.

    Parameters
    ----------
    event : bool array, shape (n,)
        Whether the event of interest was observed (by the horizon, if there is one), or the label
        is positive.
    time : float array, shape (n,), optional
        Follow-up, in the unit of the endpoint. None for a label and for an event by a horizon.
        Times that differ only by rounding are made equal: `outcome.statistics.ties`.
    code : int array, shape (n,), optional
        0 censored, 1 event, 2 competing event; by default 1 where `event`, else 0.
    strata : str array, shape (n,), optional
        Groups with their own baseline hazard; by default all are in the group `""`.
    weight : float array, shape (n,), optional
        Weight of the patient in a logistic likelihood, 0 if the outcome is unknown. None for equal
        weights.
    favourable : bool
        The event, or the positive label, is the better outcome (a response).
    entry : float array, shape (n,), optional
        Start of observation (delayed entry, left truncation), from the origin of `time`. A patient
        is at risk only after it. None if all patients are observed from the origin.

    Examples
    --------
    >>> outcomes = Outcomes(np.array([True, False]), np.array([12.0, 30.0]))
    >>> outcomes.to_surv()
    array([( True, 12.), (False, 30.)],
          dtype=[('event', '?'), ('time', '<f8')])
    >>> Outcomes.from_surv(outcomes.to_surv()).time
    array([12., 30.])
    """

    event: NDArray[np.bool_]
    time: NDArray[np.float64] | None = None
    code: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    strata: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))
    weight: NDArray[np.float64] | None = None
    favourable: bool = False
    entry: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.time is not None and self.entry is None:
            object.__setattr__(self, "time", tie_times(self.time))
        elif self.time is not None and self.entry is not None:
            time, entry = np.split(tie_times(np.concatenate([self.time, self.entry])), 2)
            object.__setattr__(self, "time", time)
            object.__setattr__(self, "entry", entry)
        if not len(self.code):
            object.__setattr__(self, "code", self.event.astype(np.int64))
        if not len(self.strata):
            object.__setattr__(self, "strata", np.full(len(self.event), ""))

    def __len__(self) -> int:
        return len(self.event)

    def __getitem__(self, rows: Rows) -> Outcomes:
        """Return the outcomes of some of the patients."""
        return Outcomes(
            self.event[rows],
            None if self.time is None else self.time[rows],
            self.code[rows],
            self.strata[rows],
            None if self.weight is None else self.weight[rows],
            self.favourable,
            None if self.entry is None else self.entry[rows],
        )

    @property
    def worse(self) -> NDArray[np.bool_]:
        """Whether the patient has the worse of the two outcomes, shape (n,)."""
        return np.asarray(self.event != self.favourable)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight of each patient, shape (n,); 1 for equal weights."""
        return np.ones(len(self)) if self.weight is None else self.weight

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the outcome is known, shape (n,)."""
        return self.weights > 0

    @property
    def stratified(self) -> bool:
        """Whether the patients are divided into strata."""
        return bool((self.strata != "").any())

    def to_surv(self) -> NDArray[np.void]:
        """Return a structured array (event, time) of scikit-survival, shape (n,).

        Strata are not part of it.

        Raises
        ------
        InputError
            There are no follow-up times, or there are competing events or delayed entry, which such
            an array cannot represent.
        """
        from sksurv.util import Surv

        if self.time is None:
            raise InputError("outcomes without follow-up times cannot become a Surv array")
        if self.entry is not None:
            raise InputError("a Surv array cannot represent the delayed entry of these outcomes")
        if n := int((self.code == 2).sum()):
            raise InputError(
                f"{n} of {len(self)} patients have a competing event, which a Surv array cannot "
                "represent. To do: for a cause-specific analysis, censor them first"
            )
        found: NDArray[np.void] = Surv.from_arrays(self.event, self.time)
        return found

    @classmethod
    def from_surv(cls, y: NDArray[Any], strata: Sequence[str] | ArrayLike = ()) -> Outcomes:
        """Make outcomes from a structured array of scikit-survival, or of the same form.

        Parameters
        ----------
        y : structured array, shape (n,)
            Two fields of any name: first the event (bool), then the time (number).
        strata : array_like of str, shape (n,), optional

        Raises
        ------
        InputError
            The array has another form, a time is not positive and finite, or the strata have
            another length.
        """
        names: tuple[str, ...] = getattr(getattr(y, "dtype", None), "names", None) or ()
        if len(names) != 2 or y[names[0]].dtype != np.bool_ or y.ndim != 1:
            raise InputError(
                "this is not an array of survival outcomes. To do: make one with"
                " sksurv.util.Surv.from_arrays(event, time)"
            )
        event = np.array(y[names[0]], dtype=np.bool_)
        time = np.array(y[names[1]], dtype=np.float64)
        bad = ~(np.isfinite(time) & (time > 0))
        if bad.any():
            shown = ", ".join(f"row {i} ({time[i]:g})" for i in np.flatnonzero(bad)[:3])
            raise InputError(
                f"field {names[1]!r}: {int(bad.sum())} times are not positive numbers, e.g. {shown}"
            )
        groups = np.asarray(strata, dtype=str)
        if groups.size == 0:
            return cls(event, time)
        if groups.shape != event.shape:
            raise InputError(f"{groups.size} strata were given for {len(event)} outcomes")
        return cls(event, time, strata=groups)
