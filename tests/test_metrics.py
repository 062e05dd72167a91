"""Single metrics agree with scikit-survival, scikit-learn and the evaluation of a study."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sksurv import metrics as sksurv_metrics
from sksurv.util import Surv

from outcome import InputError, evaluate, metrics


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    risk = rng.normal(size=90)
    time = np.exp(4 - risk + rng.normal(size=90))
    return Surv.from_arrays(rng.uniform(size=90) < 0.7, time), risk


def test_they_are_those_of_scikit_survival(scored):
    y, risk = scored
    ours = {"n_resamples": 0}
    assert float(metrics.harrell_c(y, risk, **ours)) == pytest.approx(
        sksurv_metrics.concordance_index_censored(y["event"], y["time"], risk)[0]
    )
    at = float(np.quantile(y["time"], 0.5))
    assert float(metrics.auc(y, risk, at, **ours)) == pytest.approx(
        sksurv_metrics.cumulative_dynamic_auc(y, y, risk, [at])[0][0]
    )
    p = 1 / (1 + np.exp(-risk))
    assert float(metrics.brier_score(y, p, at, **ours)) == pytest.approx(
        sksurv_metrics.brier_score(y, y, 1 - p[:, None], [at])[1][0]
    )
    times = np.quantile(y["time"], [0.3, 0.5, 0.7])
    columns = np.outer(p, [0.8, 0.9, 1.0])
    assert float(metrics.integrated_brier_score(y, columns, times, **ours)) == pytest.approx(
        sksurv_metrics.integrated_brier_score(y, y, 1 - columns, times)
    )
    assert 0.5 < float(metrics.uno_c(y, risk, **ours)) < 1


def test_they_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    score = rng.uniform(size=80)
    y = np.where(rng.uniform(size=80) < score, "yes", "no")
    truth = y == "yes"
    ours = {"n_resamples": 0}
    assert float(metrics.auroc(y, score, **ours)) == pytest.approx(roc_auc_score(truth, score))
    assert float(metrics.average_precision(y, score, **ours)) == pytest.approx(
        average_precision_score(truth, score)
    )
    assert float(metrics.brier_score(y, score, **ours)) == pytest.approx(
        brier_score_loss(truth, score)
    )


def test_the_interval_is_that_of_the_evaluation(scored):
    y, risk = scored
    folds = np.arange(90) % 3
    found = metrics.harrell_c(y, risk, groups=folds, n_resamples=50, seed=2)
    table = pd.DataFrame({
        "patient_id": [f"{i:03d}" for i in range(90)], "time": y["time"], "fold": folds,
        "event": y["event"].astype(int), "risk": risk,
    })  # fmt: skip
    row = evaluate(table, n_resamples=50, seed=2).metrics.set_index("metric").loc["harrell_c"]
    assert (found.estimate, found.lower, found.upper) == tuple(row[["estimate", "lower", "upper"]])
    assert (found.n, found.events) == (90, y["event"].sum())
    assert repr(found).startswith(f"harrell_c: {found.estimate:.3f} (95% interval")


def test_what_cannot_be_measured_says_why(scored):
    y, risk = scored
    late = metrics.auc(y, risk, 2 * y["time"].max(), n_resamples=0)
    assert np.isnan(late.estimate)
    assert "not before the last follow-up" in repr(late)
    with pytest.raises(
        InputError, match="auroc is not a metric for outcomes of this kind; the metrics are harr"
    ):
        metrics.auroc(y, risk, n_resamples=0)
    with pytest.raises(InputError, match="'model' has shape"):
        metrics.harrell_c(y, risk[:3])
    with pytest.raises(InputError, match="outside 0 to 1"):
        metrics.brier_score(y, risk, 10.0)
    with pytest.raises(InputError, match="NaN"):
        metrics.harrell_c(y, np.full(90, np.nan))
    with pytest.raises(InputError, match="`groups` has shape"):
        metrics.harrell_c(y, risk, groups=[1, 2])
