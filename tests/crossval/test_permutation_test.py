from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from outcome.crossval.executors import LocalProcesses
from outcome.crossval.permutation_test import (
    check_permutations,
    permutation_notes,
    permutation_p_value,
    permutation_test,
)
from outcome.dataset.exchanged_inputs import exchanged_input
from outcome.dataset.study_data import prepare
from outcome.errors import InputError
from outcome.progress import no_progress
from outcome.study import Arm, Study
from outcome.training.linear_models import design_rows


@pytest.fixture(scope="module")
def study(simulated):
    """Three inputs, two of which two arms have; linear models of two folds."""
    folder, settings = simulated
    arms = ["image", "image+report", "image+report+clinical"]
    return Study.parse(settings | {"arms": arms}, folder=folder)


@pytest.fixture(scope="module")
def study_data(study, simulated):
    return prepare(study, simulated[0] / "cache")


def with_arms(study, *names):
    return study.model_copy(update={"arms": tuple(a for a in study.arms if a.name in names)})


def refits(study, study_data, *, exchanged="report"):
    return permutation_test(
        study, study_data, n=2, exchanged=exchanged, networks=False, device="cpu", jobs=1,
        progress=lambda done, total: no_progress("", done, total),
    )  # fmt: skip


def test_a_statistic_without_a_value_has_no_p_and_one_that_could_not_be_drawn_counts_against():
    assert np.isnan(permutation_p_value(np.nan, np.zeros(199)))
    assert permutation_p_value(1.0, np.zeros(199)) == 1 / 200
    assert permutation_p_value(1.0, np.r_[np.nan, np.zeros(198)]) == 2 / 200


@pytest.mark.parametrize("name", ["image", "report", "clinical"])
def test_an_exchanged_input_is_another_patients_and_all_else_stays(study, study_data, name):
    ids = study_data.cohort.patients.index.tolist()
    source = dict(zip(ids, ids[1:] + ids[:1], strict=True))
    changed = exchanged_input(study, study_data, name, source)
    fold = study_data.folds[0]
    # Clinical values are coded by the development patients, whose values are others now.
    inputs = [i for i in ("image", "report") if i != name] + ["clinical"] * (name != "clinical")
    before = design_rows(study_data, study, inputs, fold, ids)
    after = design_rows(changed, study, inputs, fold, ids)
    for now, then in zip(after, before, strict=True):
        np.testing.assert_array_equal(now, then)
    if name == "clinical":
        columns = [c for c in study_data.cohort.patients if c.startswith("column:")]
        now, then = changed.cohort.patients[columns], study_data.cohort.patients[columns]
        assert (
            now.loc[ids].to_numpy().tolist() == then.loc[list(source.values())].to_numpy().tolist()
        )
    else:
        (own,) = design_rows(study_data, study, [name], fold, list(source.values()))
        (exchanged,) = design_rows(changed, study, [name], fold, ids)
        np.testing.assert_array_equal(exchanged, own)
        assert changed.content(ids[0], [name]) == study_data.content(ids[1], [name])
    outcome = list(study.endpoint.outcome_columns)
    now, then = changed.cohort.patients[outcome], study_data.cohort.patients[outcome]
    pd.testing.assert_frame_equal(now, then)
    assert changed.folds == study_data.folds


def test_permuted_inputs_of_the_arms_that_have_it(study, study_data, monkeypatch):
    study = with_arms(study, "image", "image+report")
    found = refits(study, study_data)
    assert found["arm"].tolist() == ["image+report"]
    assert found["exchanged"].tolist() == ["report"]
    assert found["statistic"].tolist() == ["harrell_c"]
    assert found["p_value"].isin([1 / 3, 2 / 3, 1.0]).all()
    assert (found["permuted_mean"] != found["observed"]).all()
    assert "2 permutations of the input report" in permutation_notes(found)[0]
    # Processes finish in any order.
    in_order = LocalProcesses.map
    monkeypatch.setattr(
        LocalProcesses, "map", lambda self, *what: reversed(list(in_order(self, *what)))
    )
    pd.testing.assert_frame_equal(found, refits(study, study_data))


def test_an_input_that_decides_the_outcome_is_found(study, study_data):
    """The clinical value is the outcome itself."""
    patients = study_data.cohort.patients
    name = study.covariates.numeric[0]
    told = patients.assign(**{f"column:{name}": patients["time"].astype(str)})
    covariates = study.covariates.model_copy(update={"numeric": (name,), "categorical": ()})
    arm = Arm(name="clinical", inputs=("clinical",))
    study = study.model_copy(update={"covariates": covariates, "arms": (arm,)})
    data = replace(study_data, cohort=replace(study_data.cohort, patients=told))
    found = refits(study, data, exchanged="clinical").iloc[0]
    assert found["observed"] > 0.95
    assert found["permuted_mean"] < 0.8
    assert found["p_value"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("n", "inputs", "said"),
    [
        (20, [], "at least 199"),
        (0, ["report"], "at least 199"),
        (199, ["genes"], "there is no input 'genes'"),
        (199, ["reports"], "there is no input 'reports'. To do: write report"),
        (199, ["image"], "every arm has the input 'image'"),
    ],
)
def test_what_cannot_be_permuted_is_an_error(study, n, inputs, said):
    with pytest.raises(InputError, match=said):
        check_permutations(study, n, inputs)


def test_an_input_of_no_arm_is_an_error(study):
    with pytest.raises(InputError, match="no arm has the input 'report'"):
        check_permutations(with_arms(study, "image"), 199, ["report"])
