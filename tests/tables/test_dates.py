"""Serial numbers of Excel among dates, also where rows share a label."""

import pandas as pd

from outcome.tables.dates import parse_dates


def test_serial_numbers_stand_among_dates_and_blanks():
    column = pd.Series(
        ["41729", "", "2014-03-31", "20140401", None, "41729.5"], index=[0, 0, 1, 2, 2, 3]
    )
    found = parse_dates(column)
    assert found.index.tolist() == column.index.tolist()
    assert found.dt.strftime("%Y-%m-%d").fillna("").tolist() == [
        "2014-03-31", "", "2014-03-31", "2014-04-01", "", "2014-03-31",
    ]  # fmt: skip
    assert parse_dates(pd.Series(["", None], dtype=object)).isna().all()
