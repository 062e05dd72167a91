"""Figures of accuracy over time, calibration, usefulness, folds and competing events."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from outcome.evaluation.arrays import read_arms
from outcome.evaluation.survival_curves import incidence_curves
from outcome.plotting.calibration_plot import plot_calibration
from outcome.plotting.decision_curve_plot import plot_decision_curve
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.kaplan_meier_plot import plot_incidence
from outcome.plotting.over_time import plot_auc_over_time, plot_folds
from outcome.plotting.set_aside_plot import plot_set_aside
from outcome.predictions import Predictions
from outcome.statistics.aalen_johansen import cumulative_incidence

LONG = "image+report+clinical, late fusion of calibrated log hazards, everything that was recorded"

FOUR = ["q1", "q2", "q3", "q4"]


def axes():
    return Figure(figsize=(4, 3)).add_subplot()


def saved(ax):
    buffer = io.BytesIO()
    ax.get_figure().savefig(buffer, format="svg", bbox_inches="tight")
    return buffer.getvalue().decode()


def legend(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def test_forest_of_ratios_is_logarithmic_and_keeps_headings_apart():
    missing = float("nan")
    rows = pd.DataFrame(
        [
            {"label": "Univariable", "estimate": missing, "lower": missing, "upper": missing,
             "heading": True},
            {"label": "age", "estimate": 2.0, "lower": 0.5, "upper": 8.0},
            {"label": "separated", "estimate": 1e9, "lower": 1e-9, "upper": 1e30},
            {"label": "rare", "estimate": missing, "lower": missing, "upper": missing,
             "said": "too few events"},
        ]
    )  # fmt: skip
    ax = plot_forest(rows, axes(), xlabel="Hazard ratio", reference=1.0, log=True)
    said = [t.get_text() for t in ax.texts]
    assert said[0] == "2.00 (0.50 to 8.00)"
    assert said[2] == "too few events"
    assert len(said) == 3
    weights = [t.get_fontweight() for t in ax.get_yticklabels()]
    assert weights == ["bold", "normal", "normal", "normal"]
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert 1e-4 < low < high < 1e4
    saved(ax)


@pytest.mark.parametrize("n", [1, 12])
def test_auc_over_time_of_few_points_and_long_names(n):
    table = pd.DataFrame(
        {"arm": np.repeat(["image", LONG], n), "time": list(range(1, n + 1)) * 2,
         "auc": 0.7, "lower": 0.5, "upper": 0.9}
    )  # fmt: skip
    ax = plot_auc_over_time(table, axes(), unit="months")
    assert ax.get_xlabel() == "Time (months)"
    assert all(len(name) <= 35 for name in legend(ax))
    saved(ax)


def test_calibration_shows_groups_and_zooms_to_what_is_there():
    points = pd.DataFrame(
        {"kind": ["group", "group", "smooth"], "predicted": [0.1, 0.2, 0.15],
         "observed": [0.12, 0.3, 0.2], "lower": [0.05, np.nan, np.nan],
         "upper": [0.25, np.nan, np.nan]}
    )  # fmt: skip
    ax = plot_calibration(points, axes(), colour="#1e8a7e", predicted=[0.1, 0.2, np.nan])
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim()[1] == pytest.approx(0.3)
    saved(ax)


def test_what_is_unknown_beyond_follow_up_is_not_drawn():
    missing = float("nan")
    points = pd.DataFrame(
        {"kind": "group", "predicted": [0.1, 0.9], "observed": [0.12, missing],
         "lower": [0.05, missing], "upper": [0.25, missing]}
    )  # fmt: skip
    ax = plot_calibration(points, axes(), colour="#1e8a7e")
    assert [len(c.get_children()[0].get_xdata()) for c in ax.containers] == [1]
    assert ax.get_xlim()[1] == pytest.approx(0.3)
    saved(ax)
    for benefit in ([0.2, missing], [missing, missing]):
        table = pd.DataFrame({"arm": "image", "threshold": [0.1, 0.5], "net_benefit": benefit})
        saved(plot_decision_curve(table, axes()))


def test_calibration_without_groups_or_predictions_is_drawn():
    empty = pd.DataFrame(columns=["kind", "predicted", "observed", "lower", "upper"], dtype=float)
    saved(plot_calibration(empty.astype({"kind": str}), axes(), colour="#1e8a7e"))


def test_decision_curve_has_both_references():
    table = pd.DataFrame(
        {"arm": ["image"] * 3 + ["treat all"] * 3, "threshold": [0.1, 0.5, 0.9] * 2,
         "net_benefit": [0.3, 0.1, 0.0, 0.25, -0.2, -9.0]}
    )  # fmt: skip
    ax = plot_decision_curve(table, axes(), most=0.6)
    assert legend(ax) == ["treat none", "treat all", "image"]
    assert ax.get_xlim()[1] == 0.6
    assert ax.get_ylim()[0] > -1
    saved(ax)


def test_folds_are_dots_with_their_mean():
    table = pd.DataFrame(
        {"arm": ["image"] * 3 + [LONG] * 3, "estimate": [0.5, 0.6, np.nan, np.nan, np.nan, np.nan],
         "n": 20}
    )  # fmt: skip
    ax = plot_folds(
        table, axes(), ylabel="C-index", reference=0.5, means={table["arm"].iloc[0]: 0.55}
    )
    means = [line.get_ydata()[0] for line in ax.lines[1:]]
    assert means == pytest.approx([0.55])
    assert len(ax.collections[0].get_offsets()) == 2
    saved(ax)


def curves_of(table):
    rows = table.assign(arm="image", repeat=0, fold=0, risk=0.0)
    rows["patient_id"] = [f"p{i}" for i in range(len(rows))]
    return incidence_curves(read_arms(Predictions(rows))[1])


def test_incidence_is_that_of_aalen_and_johansen():
    draws = np.random.default_rng(2)
    table = pd.DataFrame(
        {"time": draws.integers(1, 40, 60).astype(float), "event": draws.integers(0, 3, 60),
         "risk_group": draws.choice(FOUR[:3], 60)}
    )  # fmt: skip
    ax = plot_incidence(curves_of(table), axes(), unit="months", groups=FOUR)
    mine = table[table["risk_group"] == "q1"]
    curve = cumulative_incidence(mine["time"], mine["event"])
    thick = [line for line in ax.lines if line.get_linewidth() == 1.8 and len(line.get_xdata())]
    drawn = dict(zip(*thick[0].get_data(), strict=True))
    for t in mine["time"].unique():
        assert drawn[t] == pytest.approx(float(curve.at(t)))
    counts = (mine["event"] == 1).sum(), (mine["event"] == 2).sum()
    assert legend(ax)[0] == f"q1  (n = {len(mine)}, events = {counts[0]}, competing = {counts[1]})"
    # A group without patients is listed, and not drawn.
    assert legend(ax)[3] == "q4  (n = 0, events = 0, competing = 0)"
    assert "At risk" in [t.get_text() for t in ax.texts]
    saved(ax)


def test_incidence_of_one_patient_without_event():
    table = pd.DataFrame({"time": [5.0], "event": [0], "risk_group": ["low"]})
    saved(plot_incidence(curves_of(table), axes()))


def test_patients_set_aside_have_a_line_for_each_arm():
    rows = pd.DataFrame({"arm": ["a", "a", "b", "b"], "share": [0, 0.5, 0, 0.5]})
    rows = rows.assign(estimate=[0.6, 0.7, 0.5, 0.5], lower=0.4, upper=0.9)
    rows["calibration_ratio"] = [1.0, 1.2, 0.9, np.nan]
    ax = plot_set_aside(rows, axes(), ylabel="C-index", reference=0.5)
    assert legend(ax) == ["a", "b"]
    assert len(ax.collections) == 2  # bands
    assert ax.get_ylabel() == "C-index"
    ratio = plot_set_aside(rows, axes(), value="calibration_ratio")
    assert not ratio.collections
    assert "svg" in saved(ratio)
