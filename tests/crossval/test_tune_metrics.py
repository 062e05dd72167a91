import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

from outcome.crossval.tune_metrics import AveragePrecision, ConcordanceIndex, RocAuc, tune_metrics
from outcome.outcomes import Outcomes
from outcome.statistics.concordance import harrell

N = 80


@pytest.fixture
def raw():
    """Outputs after seven epochs, with ties, and so large that a sigmoid would tie more."""
    return np.random.default_rng(0).integers(-40, 40, (7, N)).astype(float)


@pytest.fixture
def event():
    return np.random.default_rng(1).random(N) < 0.4


@pytest.fixture
def time():
    return np.random.default_rng(2).integers(1, 30, N).astype(float)


@pytest.mark.parametrize("groups", [1, 3])
def test_survival_has_the_concordance_of_the_evaluation(raw, event, time, groups):
    strata = np.array(["a", "b", "c"])[np.arange(N) % groups]
    found = tune_metrics(raw, Outcomes(event, time, strata=strata))
    assert list(found) == ["tune_concordance"]
    expected = [harrell(time, event, r, group=strata).c for r in raw]
    assert found["tune_concordance"].tolist() == expected


def test_weighted_labels_are_measured_as_by_scikit_learn(raw, event):
    weight = np.linspace(0, 2, N)  # of the first, nothing is known
    found = tune_metrics(raw, Outcomes(event, weight=weight))
    assert list(found) == ["tune_auroc", "tune_average_precision"]
    for name, function in (
        ("tune_auroc", roc_auc_score),
        ("tune_average_precision", average_precision_score),
    ):
        expected = [function(event, r, sample_weight=weight) for r in raw]
        assert found[name].tolist() == pytest.approx(expected, abs=1e-12)


def test_labels_are_measured_as_by_torchmetrics(event):
    score = torch.rand(N, generator=torch.Generator().manual_seed(3))
    label = torch.from_numpy(event)
    for ours, theirs in (
        (RocAuc(), BinaryAUROC()),
        (AveragePrecision(), BinaryAveragePrecision()),
    ):
        ours.update(score, label)
        theirs.update(score, label.long())
        assert float(ours.compute()) == pytest.approx(float(theirs.compute()), abs=1e-6)


def test_batches_are_put_together_and_forgotten_on_reset(raw, event, time):
    metric = ConcordanceIndex()
    seen = [torch.from_numpy(x) for x in (raw[0], time, event)]
    for _ in range(2):
        for rows in (slice(0, 30), slice(30, N)):
            metric.update(*(x[rows] for x in seen))
        assert float(metric.compute()) == harrell(time, event, raw[0]).c
        assert metric.compute().dtype == torch.float64
        metric.reset()


def test_undefined_is_nan(raw, time):
    nothing, everything = np.zeros(N, dtype=bool), np.ones(N, dtype=bool)
    assert tune_metrics(raw, Outcomes(nothing, time)).isna().all(axis=None)
    assert tune_metrics(raw, Outcomes(nothing)).isna().all(axis=None)
    assert tune_metrics(raw, Outcomes(everything))["tune_auroc"].isna().all()


def test_no_random_number_is_drawn_and_a_monotone_transform_changes_nothing(raw, event):
    state = torch.get_rng_state()
    found = tune_metrics(raw, Outcomes(event))
    assert torch.equal(torch.get_rng_state(), state)
    assert tune_metrics(raw * 1e-9 + 5, Outcomes(event)).equals(found)


def test_a_single_epoch_is_one_row(raw, event, time):
    assert tune_metrics(raw[:1], Outcomes(event, time)).shape == (1, 1)
