"""Figures from arrays, tables of predictions and evaluations."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sksurv.util import Surv

from outcome import InputError, evaluate, metrics, plotting
from outcome.statistics.logrank import logrank


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    risk = rng.normal(size=60)
    y = Surv.from_arrays(rng.uniform(size=60) < 0.8, np.exp(4 - risk + rng.normal(size=60)))
    return y, risk


@pytest.fixture(scope="module")
def predictions(scored):
    y, risk = scored
    table = pd.DataFrame({
        "patient_id": [f"{i:03d}" for i in range(60)], "time": y["time"],
        "event": y["event"].astype(int), "fold": np.arange(60) % 2, "risk": risk,
        "survival_50": 1 / (1 + np.exp(risk)), "risk_group": np.where(risk > 0, "high", "low"),
    })  # fmt: skip
    return pd.concat([table.assign(arm="image"), table.assign(arm="both", risk=risk**3)])


def test_kaplan_meier_has_the_log_rank_test(scored, ax):
    y, risk = scored
    groups = np.where(risk > 0, "high", "low")
    assert plotting.kaplan_meier(y, groups, ax, unit="days") is ax
    p = logrank(y["time"], y["event"], groups).p
    note = ax.get_legend().get_title().get_text()
    assert note == ("log-rank p < 0.001" if p < 0.001 else f"log-rank p = {p:.2g}")
    assert [t.get_text()[:4] for t in ax.get_legend().get_texts()] == ["low ", "high"]


def test_kaplan_meier_of_everybody_and_of_predictions(scored, predictions, ax):
    y, _ = scored
    plotting.kaplan_meier(y, ax=ax)
    assert "all patients  (n = 60" in ax.get_legend().get_texts()[0].get_text()
    other = plotting.kaplan_meier(predictions, arm="both", ax=Figure().subplots())
    assert len(other.get_legend().get_texts()) == 2
    with pytest.raises(InputError, match="choose one of the arms with `arm=`: image, both"):
        plotting.kaplan_meier(predictions)
    with pytest.raises(InputError, match="has 60 different values"):
        plotting.kaplan_meier(y, scored[1])
    with pytest.raises(InputError, match="`groups` has 2 entries for 60"):
        plotting.kaplan_meier(y, ["a", "b"])
    with pytest.raises(InputError, match="the outcomes are labels"):
        plotting.kaplan_meier([0, 1] * 5)


def test_auc_over_time_draws_what_the_evaluation_has(predictions, ax):
    evaluation = evaluate(predictions, n_resamples=0)
    plotting.auc_over_time(evaluation, ax=ax)
    other = plotting.auc_over_time(predictions, ax=Figure().subplots())
    for one, two in zip(ax.lines, other.lines, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), two.get_xydata())


def test_calibration_and_decision_curves(scored, predictions, ax):
    y, risk = scored
    plotting.calibration(predictions, arm="image", ax=ax, horizon=50)
    p = 1 - 1 / (1 + np.exp(risk))
    other = plotting.calibration(y, p, Figure().subplots(), horizon=50)
    np.testing.assert_allclose(ax.lines[2].get_xydata(), other.lines[2].get_xydata())
    drawn = plotting.decision_curve(y, {"image": p}, Figure().subplots(), horizon=50)
    assert [t.get_text() for t in drawn.get_legend().get_texts()] == [
        "treat none", "treat all", "image",
    ]  # fmt: skip
    evaluation = evaluate(predictions, horizons=[50], n_resamples=0)
    plotting.calibration(evaluation, arm="both", ax=Figure().subplots())
    plotting.decision_curve(evaluation, ax=Figure().subplots())
    with pytest.raises(InputError, match="give `probability` with the outcomes"):
        plotting.calibration(y)
    with pytest.raises(InputError, match="no predicted probabilities at 70"):
        plotting.calibration(predictions, arm="image", horizon=70)


def test_a_forest_of_an_evaluation_of_metrics_and_of_differences(scored, predictions, ax):
    y, risk = scored
    evaluation = evaluate(predictions, n_resamples=20)
    plotting.forest(evaluation, ax)
    assert ax.get_xlabel() == "C-index"
    assert ax.lines[0].get_xdata()[0] == 0.5
    assert [t.get_text() for t in ax.get_yticklabels()] == ["image", "both"]
    differences = plotting.forest(evaluation.comparisons, Figure().subplots(), metric="uno_c")
    assert differences.get_xlabel() == "difference in Uno’s C"
    assert differences.lines[0].get_xdata()[0] == 0
    plotting.forest(evaluation.risk_groups, Figure().subplots(), log=True)
    single = {"ours": metrics.harrell_c(y, risk, n_resamples=20)}
    assert plotting.forest(single, Figure().subplots()).get_xlabel() == "C-index"
    with pytest.raises(InputError, match="there is no metric 'auroc'; metrics are harrell_c"):
        plotting.forest(evaluation, metric="auroc")
    with pytest.raises(InputError, match=r"no metric 'c_index'\. Did you mean 'harrell_c'"):
        plotting.forest(evaluation, metric="c_index")
    with pytest.raises(InputError, match="needs the columns label, estimate, lower and upper"):
        plotting.forest(pd.DataFrame({"a": [1]}))


def test_the_results_of_a_study_are_taken_as_a_whole(predictions, ax):
    results = SimpleNamespace(
        predictions=predictions, evaluation=evaluate(predictions, horizons=[50], n_resamples=0)
    )
    plotting.kaplan_meier(results, arm="image", ax=ax)
    for draw in (plotting.forest, plotting.auc_over_time, plotting.decision_curve):
        assert draw(results, ax=Figure().subplots()).get_xlabel()


def test_the_unit_is_that_of_the_results(predictions, ax):
    evaluation = evaluate(predictions, unit="months", n_resamples=0)
    results = SimpleNamespace(predictions=predictions, evaluation=evaluation)
    assert plotting.kaplan_meier(results, arm="image", ax=ax).get_xlabel() == "Time (months)"
    drawn = plotting.auc_over_time(evaluation, ax=Figure().subplots())
    assert "months" in drawn.get_xlabel()
    other = plotting.auc_over_time(evaluation, ax=Figure().subplots(), unit="years")
    assert "years" in other.get_xlabel()


def test_what_an_evaluation_lacks_is_named(predictions):
    evaluation = evaluate(predictions.drop(columns="survival_50"), n_resamples=0)
    with pytest.raises(InputError, match=r"To do: give the predictions, e.g. `result.predictions`"):
        plotting.kaplan_meier(evaluation, arm="image")
    with pytest.raises(InputError, match=r"`survival_<horizon>`.*`survival_365`"):
        plotting.decision_curve(evaluation)
    with pytest.raises(InputError, match=r"`survival_<horizon>`.*`survival_365`"):
        plotting.calibration(evaluation, arm="image")
    labels = predictions.assign(label=predictions["event"]).drop(
        columns=["time", "event", "survival_50"]
    )
    with pytest.raises(InputError, match=r"'auc_over_time': .*times and events"):
        plotting.auc_over_time(evaluate(labels, n_resamples=0))


def test_attention_is_drawn_where_the_patches_are(ax):
    places = 256 * np.argwhere(np.ones((4, 3)))
    plotting.attention_map(places, np.arange(12) / 66, ax)
    squares = ax.collections[0]
    np.testing.assert_array_equal(squares.get_paths()[5].vertices[0], places[5])
    assert squares.get_array().max() == 100
    signed = plotting.attention_map(
        places, np.arange(12) - 6.0, Figure().subplots(), kind="contribution"
    )
    assert signed.collections[0].get_clim()[0] == -signed.collections[0].get_clim()[1]
    with pytest.raises(
        InputError, match=r"`coords` has shape \(12, 2\) and `values` has shape \(3,\)"
    ):
        plotting.attention_map(places, [1, 2, 3])
    with pytest.raises(InputError, match="contains NaN"):
        plotting.attention_map(np.full((2, 2), np.nan), [1, 2])


def test_without_axes_a_figure_is_made(scored):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    y, risk = scored
    made = plotting.auc_over_time(y, risk)
    assert made.get_figure() in [plt.figure(n) for n in plt.get_fignums()]
    plt.close(made.get_figure())
