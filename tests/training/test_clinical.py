import numpy as np
import pandas as pd
import pytest

from outcome.study import Covariates
from outcome.training.clinical import ClinicalCoding


def table(**columns):
    return pd.DataFrame({f"column:{name}": values for name, values in columns.items()})


def test_numbers_are_imputed_by_the_median_and_marked():
    rows = table(age=["50", "60", "70", "NA", "", "nan", "", "N/A", "100"])
    coding = ClinicalCoding.fit(rows, Covariates(numeric=("age",)))
    assert coding.features == ["age", "age missing"]
    coded = coding(rows)
    assert coded[3, 0] == coded[4, 0]
    assert coded[:, 1].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0]
    np.testing.assert_allclose(coded[:, 0].mean(), 0, atol=1e-12)
    median = coding.numeric["age"][0]
    assert median == 65


def test_levels_rare_or_never_seen_are_the_reference():
    rows = table(stage=["I"] * 10 + ["II"] * 6 + ["III"] * 2 + [""] * 5)
    coding = ClinicalCoding.fit(rows, Covariates(categorical=("stage",)))
    assert coding.features == ["stage=(missing)", "stage=II"]
    coded = coding(table(stage=["I", "II", "III", "IV", ""]))
    assert coded.tolist() == [[0, 0], [0, 1], [0, 0], [0, 0], [1, 0]]


def test_test_patients_change_nothing_that_was_fitted():
    development = table(age=["1", "2", "3"])
    coding = ClinicalCoding.fit(development, Covariates(numeric=("age",)))
    alone = coding(table(age=["5"]))
    beside = coding(table(age=["5", "5000"]))
    assert alone[0, 0] == beside[0, 0]


@pytest.mark.parametrize("constant", ["3", ""])
def test_a_constant_column_is_finite(constant):
    rows = table(age=[constant] * 4)
    assert np.isfinite(ClinicalCoding.fit(rows, Covariates(numeric=("age",)))(rows)).all()
