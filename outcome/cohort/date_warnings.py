"""Warnings if the dates of follow-up contradict the event column or each other."""

from __future__ import annotations

import pandas as pd

from outcome.counting import plural
from outcome.endpoint import Binary
from outcome.errors import Problems
from outcome.study import Study
from outcome.tables.column_names import DEATH, words
from outcome.tables.dates import parse_dates
from outcome.tables.follow_up import FollowUp

__all__ = ["date_warnings"]


def date_warnings(
    study: Study, patients: pd.DataFrame, today: pd.Timestamp | None = None
) -> list[str]:
    """Return warnings about follow-up dates that are probably wrong.

    Parameters
    ----------
    study : Study
    patients : DataFrame
        Text columns of the cohort table with the times computed from dates, one row per patient,
        indexed by patient.
    today : Timestamp, optional
        Later dates are in the future. Default: the current date.

    Notes
    -----
    With `to: [date of the event, last contact]`, a patient with the event needs the first date, and
    a patient without the event should not have it. Patients with a competing event may have either.
    """
    found: dict[str, None] = {}
    now = pd.Timestamp.today() if today is None else today
    for endpoint in (study.endpoint, *study.secondary):
        if isinstance(endpoint, Binary):
            continue
        time = endpoint.time
        if not isinstance(time, FollowUp) or time.origin is None:
            continue
        dates = {c: parse_dates(patients[c], time.dates) for c in time.columns}
        # Cells that cannot be read are reported where the outcomes are decoded.
        event = endpoint.decode(patients, patients.index.tolist(), Problems("dates"))["event"]
        for warning in [
            *_against_events(endpoint.indicator, time, dates, event),
            *_order(time, dates, now),
        ]:
            found.setdefault(warning)
    return list(found)


def _against_events(
    indicator: str, time: FollowUp, dates: dict[str, pd.Series], event: pd.Series
) -> list[str]:
    """Compare the dates of events with the event column."""
    if len(time.to) < 2:
        return []
    first, *_, last = time.to
    has_event_date = pd.concat([dates[c] for c in time.to[:-1]], axis=1).notna().any(axis=1)
    no_date = (event == 1) & ~has_event_date & dates[last].notna()
    no_event = (event == 0) & dates[first].notna()
    named = " or ".join(map(repr, time.to[:-1]))
    return [
        *_warning(
            no_date,
            f"with the event (column {indicator!r}) and no date in {named}; the date in {last!r} "
            "is used as the time of the event",
        ),
        *_warning(
            no_event,
            f"without the event (column {indicator!r}), but with a date in {first!r}; follow-up is "
            "censored on that date",
        ),
    ]


def _order(time: FollowUp, dates: dict[str, pd.Series], today: pd.Timestamp) -> list[str]:
    """Look for dates in the future, and for contacts after death."""
    found = [w for c in time.columns for w in _warning(dates[c] > today, f"with a future {c!r}")]
    deaths = [c for c in time.to if DEATH.search(words(c))]
    for death in deaths[:1]:
        for other in (c for c in time.to if c not in deaths):
            found += _warning(
                dates[other] > dates[death],
                f"with {other!r} after {death!r}; the date in {time.to[0]!r} is used",
            )
    return found


def _warning(rows: pd.Series, what: str) -> list[str]:
    who = [str(p) for p in rows.index[rows.to_numpy(dtype=bool)]]
    if not who:
        return []
    return [f"{plural(len(who), 'patient')} {what}, e.g. {', '.join(who[:3])}. Check these dates"]
