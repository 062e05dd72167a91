import pandas as pd
import pytest

from outcome.cohort.drafting.guess_columns import guess
from outcome.tables.ids import slide_name


def table(**columns):
    return pd.DataFrame({"patient_id": [f"p{k}" for k in range(6)], **columns}, dtype=str)


@pytest.mark.parametrize(
    ("name", "censored"),
    [
        ("alive", True), ("vital_status_alive", True), ("living", True), ("censored", True),
        ("uncensored", False), ("event", False), ("dead", False),
    ],
)  # fmt: skip
def test_which_way_round_a_status_is_coded(name, censored):
    found = guess(table(os_days=list("123456"), **{name: list("010101")}), ())
    assert found.event == name
    assert found.censored is censored


def test_a_column_of_roles_is_no_column_of_folds():
    times = {"os_days": list("123456"), "event": list("010101")}
    roles = ["train", "train", "train", "val", "test", "test"]
    assert guess(table(**times, split=roles), ()).folds == ()
    assert guess(table(**times, split=list("001122")), ()).folds == ("split",)


@pytest.mark.parametrize("name", ["S1", "S1.svs", "S1.h5", "S1.svs.h5", "S1.PT"])
def test_a_slide_has_one_name(name):
    assert slide_name(name) == "S1"


def test_dots_of_an_id_stay():
    assert slide_name("TCGA-A1-0001-01Z.4F2.svs") == "TCGA-A1-0001-01Z.4F2"
