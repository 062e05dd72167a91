"""Numbers in text: what can be read in two ways is refused, never guessed."""

import numpy as np
import pandas as pd
import pytest

from outcome.errors import Problems
from outcome.tables.numbers import NumberFormat, as_numbers, number_format, plain_numbers, typed


def read(cells, *, semicolons=False, mark=""):
    problems, notes = Problems("t"), []
    column = pd.Series(cells, name="time")
    form = NumberFormat(mark, semicolons)
    plain = plain_numbers(column, form, problems=problems, notes=notes)
    return plain.tolist(), problems.found, notes


@pytest.mark.parametrize(
    ("cells", "options", "expected"),
    [
        (["1.5", "1e-3", "-2"], {}, ["1.5", "1e-3", "-2"]),
        (["1,5", "12"], {}, ["1.5", "12"]),
        (["0,519", "1,801"], {}, ["0.519", "1.801"]),
        (["-0,5", ",25"], {"semicolons": True}, ["-0.5", ".25"]),
        (["1.801", "12"], {}, ["1.801", "12"]),  # a comma between fields: a point is a point
        (["1.801", "12.5"], {"semicolons": True}, ["1.801", "12.5"]),
        (["1.801", "35,5"], {"semicolons": True}, ["1801", "35.5"]),
        (["1.801,25", "3"], {"semicolons": True}, ["1801.25", "3"]),
        (["1,801.25", "3"], {}, ["1801.25", "3"]),
        (["1,234,567", "3"], {}, ["1234567", "3"]),
        (["1.801"], {"semicolons": True, "mark": ","}, ["1801"]),
        (["1,801"], {"mark": "."}, ["1801"]),
        (["\u22121.5"], {}, ["-1.5"]),
        (["about 3", ""], {}, ["about 3", ""]),
    ],
)
def test_one_way_to_read(cells, options, expected):
    plain, problems, _ = read(cells, **options)
    assert plain == expected
    assert not problems


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (["1.801", "1801"], {"semicolons": True}),
        (["1,801", "954"], {}),
        (["12.345"], {"semicolons": True}),
        (["1,5", "2.5"], {}),
        (["1,234", "5,678"], {"semicolons": True}),
    ],
)
def test_two_ways_to_read_are_refused(cells, options):
    _, problems, _ = read(cells, **options)
    assert len(problems) == 1
    assert "can be read in two ways" in problems[0]


def test_what_is_read_otherwise_than_written_is_said():
    assert read(["1,5"])[2] == ["column 'time': 1 numbers are read with a decimal comma"]
    assert "thousands separator" in read(["1.801", "2,5"], semicolons=True)[2][0]
    assert read(["1.5"])[2] == []


def test_the_format_is_that_of_any_column():
    table = pd.DataFrame({"a": ["1,5", "2"], "b": ["1.801", "954"], "c": ["x", "y"]})
    assert number_format(table, semicolons=True) == NumberFormat(",", True)
    assert number_format(table.assign(d="1.5"), semicolons=True).mark == ""


def test_one_missing_cell_never_turns_numbers_into_text():
    assert typed(pd.Series(["63", "", "71"])).dtype == float
    assert typed(pd.Series(["63", "71"])).dtype == int
    assert typed(pd.Series(["63", "n"])).tolist() == ["63", "n"]
    assert typed(pd.Series(["", ""])).isna().all()


def test_every_digit_is_kept():
    values = np.random.default_rng(0).normal(size=1000)
    assert (as_numbers(pd.Series([repr(float(v)) for v in values])) == values).all()
    assert as_numbers(pd.Series(["1_0", "inf", "nan", "1e999", "0x1"])).isna().all()
