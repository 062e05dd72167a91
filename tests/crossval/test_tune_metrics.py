import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from outcome.crossval.tune_metrics import Concordance, tune_metrics
from outcome.outcomes import Outcomes
from outcome.statistics.concordance import harrell


@pytest.fixture
def patients():
    rng = np.random.default_rng(0)
    time = np.round(rng.exponential(5, 80), 1) + 0.1  # ties
    event = rng.random(80) < 0.5
    raw = np.round(rng.normal(size=(7, 80)) * 40, 0)  # ties, and values that a sigmoid would tie
    return raw, time, event, np.array(["a", "b"])[rng.integers(0, 2, 80)]


@pytest.mark.parametrize("stratified", [False, True])
def test_concordance_is_that_of_the_evaluation(patients, stratified):
    raw, time, event, strata = patients
    outcomes = Outcomes(event, time, strata=strata if stratified else np.full(80, ""))
    found = tune_metrics(raw, outcomes)["tune_concordance"]
    expected = [harrell(time, event, r, group=outcomes.strata).c for r in raw]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_batches_are_put_together(patients):
    raw, time, event, _ = patients
    whole, parts = Concordance(), Concordance()
    data = [torch.from_numpy(x) for x in (raw.T.copy(), time, event)]
    whole.update(*data)
    for rows in (slice(0, 30), slice(30, 80)):
        parts.update(*(x[rows] for x in data))
    assert torch.equal(whole.compute(), parts.compute())


def test_labels_have_auroc_and_average_precision_of_known_outcomes(patients):
    raw, _, event, _ = patients
    weight = np.ones(80)
    weight[:20] = 0  # censored before the horizon
    found = tune_metrics(raw, Outcomes(event, weight=weight))
    auroc = [roc_auc_score(event[20:], r[20:]) for r in raw]
    assert found["tune_auroc"].tolist() == pytest.approx(auroc, abs=1e-12)
    precision = [average_precision_score(event[20:], r[20:]) for r in raw]
    assert found["tune_average_precision"].tolist() == pytest.approx(precision, abs=1e-6)


def test_undefined_is_nan(patients):
    raw, time, _, _ = patients
    nothing = np.zeros(80, dtype=bool)
    assert tune_metrics(raw, Outcomes(nothing, time)).isna().all(axis=None)
    assert tune_metrics(raw, Outcomes(nothing)).isna().all(axis=None)
