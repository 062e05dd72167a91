"""A Cox model of bags: predictions, curves, attention, and the tools of the field around it."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sksurv.metrics import concordance_index_censored, integrated_brier_score
from sksurv.util import Surv

from outcome import InputError, MILCox, PatientSample, SlideDataset
from outcome.models import PrototypePool
from outcome.study import Training


def test_the_defaults_are_those_of_a_study():
    training = Training().model_dump()
    model = MILCox()
    assert {k: v for k, v in training.items() if k != "seed"} == {
        k: getattr(model, k) for k in training if k != "seed"
    }


def test_higher_risk_is_worse_and_the_order_of_patients_does_not_matter(cox, cohort, quick):
    data, y, _ = cohort
    risk = cox.predict(data)
    assert cox.score(data, y) > 0.75
    assert cox.score(data, y) == concordance_index_censored(y["event"], y["time"], risk)[0]
    mixed = np.random.default_rng(1).permutation(len(data))
    again = MILCox(**quick).fit(data[mixed], y[mixed])
    np.testing.assert_array_equal(again.predict(data), risk)
    np.testing.assert_array_equal(cox.predict(data[[5, 3]]), risk[[5, 3]])


def test_curves_are_those_of_scikit_survival(cox, cohort):
    data, y, _ = cohort
    curves = cox.predict_survival_function(data)
    times = np.quantile(y["time"], [0.2, 0.5])
    values = np.array([[f(t) for t in times] for f in curves])
    assert 0 <= integrated_brier_score(y, y, values, times) < 0.25
    hazard = cox.predict_cumulative_hazard_function(data)
    np.testing.assert_allclose(np.exp(-np.array([f(times) for f in hazard])), values)
    grid = cox.predict_survival_function(data, return_array=True)
    assert grid.shape == (len(data), len(cox.unique_times_))
    assert (np.diff(grid, axis=1) <= 0).all()
    by_risk = np.argsort(cox.predict(data))
    assert (np.diff(values[by_risk, 1]) <= 1e-12).all()


def test_attention_is_per_patch_and_follows_their_order(cox, cohort):
    data, *_ = cohort
    bag = data[0].patches
    weights = cox.attention(bag)
    assert weights.shape == (len(bag),)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(cox.attention(bag[::-1]), weights[::-1], rtol=1e-6)
    np.testing.assert_array_equal(cox.attention(data[0]), weights)
    assert cox.contributions(data[0]).shape == weights.shape


def test_risk_groups_are_cut_where_training_has_cut(cox, cohort):
    data, *_ = cohort
    groups = cox.predict_risk_group(data)
    risk = cox.predict(data)
    assert set(groups) == {"low", "high"}
    assert risk[groups == "low"].max() <= cox.bundle_.cuts[""][0] < risk[groups == "high"].min()


def test_it_runs_in_the_tools_of_scikit_learn(cohort, quick):
    data, y, _ = cohort
    model = MILCox(**quick)
    scores = cross_val_score(model, data, y, cv=2)
    # A list of samples is taken as well; the settings are those of the model above.
    search = GridSearchCV(model, {"components": [4]}, cv=2, refit=False).fit(list(data), y)
    found = [search.cv_results_[f"split{k}_test_score"][0] for k in (0, 1)]
    assert found == scores.tolist()


def test_clone_and_pickle(cox, cohort):
    data, *_ = cohort
    assert not hasattr(clone(cox), "bundle_")
    assert clone(cox).get_params() == cox.get_params()
    again = pickle.loads(pickle.dumps(cox))
    np.testing.assert_array_equal(again.predict(data), cox.predict(data))
    with pytest.raises(NotFittedError):
        clone(cox).predict(data)


def test_a_table_of_outcomes_is_matched_by_patient(cox, cohort, quick):
    data, y, _ = cohort
    table = pd.DataFrame({"time": y["time"], "event": y["event"]}, index=data.patients)
    same = MILCox(**quick).fit(data, table.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(same.predict(data), cox.predict(data))


def test_strata_are_a_column_of_the_covariates(cohort, quick):
    data, y, _ = cohort
    model = MILCox("image+clinical", strata="stage", **quick).fit(data, y)
    assert model.bundle_.covariates.categorical == ()  # not a covariate as well
    assert model.bundle_.strata == ("I", "II")
    first = model.predict_survival_function(data)[0]
    own = y["time"][data.covariates["stage"] == data.covariates["stage"].iloc[0]]
    assert first.x[-1] == pytest.approx(own.max())


def test_a_competing_event_ends_follow_up(cohort, quick):
    data, y, _ = cohort
    code = np.where(y["event"], 1, 2)
    table = pd.DataFrame({"time": y["time"], "event": code}, index=data.patients)
    model = MILCox(aggregator="linear", inner_folds=2).fit(data, table)
    assert model.bundle_.calibration.baselines[""][2].max() > 0


def test_what_a_study_would_refuse_is_refused_in_its_words(cohort):
    data, y, labels = cohort
    late = Surv.from_arrays(y["event"], np.where(np.arange(len(y)) == 3, -1.0, y["time"]))
    with pytest.raises(InputError, match=r"column 'time' is zero or negative: 1, e.g. p"):
        MILCox().fit(data, late)
    few = Surv.from_arrays(np.arange(len(y)) < 5, y["time"])
    with pytest.raises(InputError, match="there are 5 events; a final model needs 10"):
        MILCox().fit(data, few)
    with pytest.raises(InputError, match="needs times and events"):
        MILCox().fit(data, labels)
    gaps = pd.DataFrame({"time": y["time"], "event": 1}, index=data.patients)
    gaps.loc["p03", "time"] = np.nan
    with pytest.raises(InputError, match=r"`y` is missing for patients: 1, e.g. p03"):
        MILCox().fit(data, gaps)
    with pytest.raises(InputError, match="y is None"):
        MILCox().fit(data)
    with pytest.raises(InputError, match="the data have no `reports`"):
        MILCox("report").fit([s.patches for s in data], y)
    with pytest.raises(InputError, match=r"'epochs'.*greater than or equal to 1"):
        MILCox(epochs=0).fit(data, y)
    with pytest.raises(InputError, match="`strata` is 'type', but the covariates have no such"):
        MILCox(strata="type").fit(data, y)
    broken = {p: np.full((3, 6), np.nan) if p == "p03" else data[p].patches for p in data.patients}
    with pytest.raises(InputError, match="p03: 3 of 3 patches contain NaN"):
        MILCox().fit(broken, y)
    lacking = {p: None if p == "p03" else data[p].patches for p in data.patients}
    with pytest.raises(InputError, match=r"patients without any patch: 1, e.g. p03"):
        MILCox().fit(lacking, y)
    with pytest.raises(InputError, match="`y` has 3 rows for 44 patients"):
        MILCox().fit(data, y[:3])


def test_new_patients_must_be_like_those_of_training(cox):
    with pytest.raises(
        InputError, match="1 bag has 5 numbers per patch; the model was trained on 6"
    ):
        cox.predict([np.zeros((3, 5))])
    with pytest.raises(InputError, match=r"one array of shape \(7, 6\).*for one patient, \[X\]"):
        cox.predict(np.zeros((7, 6)))
    with pytest.raises(InputError, match="`bag` has no patches"):
        cox.attention(PatientSample(None, None))
    with pytest.raises(InputError, match="the model needs `bags`"):
        cox.predict(SlideDataset(reports=[np.zeros(5)]))


def test_an_aggregator_without_weights_says_so(cohort, quick):
    data, y, _ = cohort
    model = MILCox(aggregator=PrototypePool, **quick).fit(data, y)
    with pytest.raises(InputError, match=r"no attention weights.*`contributions`"):
        model.attention(data[0])
    assert np.isfinite(model.contributions(data[0])).all()


def test_messages_speak_of_arrays_not_of_files(cox, cohort, quick):
    data, y, _ = cohort
    narrow = [sample.patches[:, :4] for sample in data]
    with pytest.raises(InputError, match=r"3 bags have 4 numbers per patch; .* on 6"):
        cox.predict(narrow[:3])
    mixed = [*narrow[:2], *(sample.patches for sample in data[2:])]
    with pytest.raises(InputError, match=r"different numbers per patch \(most have 6\)"):
        MILCox(**quick).fit(mixed, y)


def test_options_are_checked_before_anything_is_read(cohort, quick):
    data, y, _ = cohort
    with pytest.raises(InputError, match="'attention' has no option 'foo'") as raised:
        MILCox(**quick, options={"foo": 1}).fit(data, y)
    assert "study" not in str(raised.value).lower()
    assert type(raised.value) is InputError
