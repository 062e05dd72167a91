from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.kaplan_meier_plot import plot_kaplan_meier
from outcome.plotting.learning_curves import plot_loss
from outcome.plotting.palette import ARM_COLOURS, group_colours
from outcome.plotting.roc_plot import plot_roc, plot_scores
from outcome.plotting.style import shorten
from outcome.plotting.time_axis import readable_unit


def axes():
    return Figure(figsize=(4, 3)).add_subplot()


def texts(ax):
    return [t.get_text() for t in ax.texts]


def legend(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def save(ax):
    ax.get_figure().savefig(io.BytesIO(), format="svg", bbox_inches="tight")


@pytest.fixture
def followed():
    rng = np.random.default_rng(1)
    group = np.repeat(["high", "low"], 30)
    time = rng.exponential(np.where(group == "low", 900, 400)).round() + 1
    event = rng.integers(0, 2, 60)
    return pd.DataFrame({"time": time, "event": event, "risk_group": group})


def test_numbers_at_risk_are_just_before_the_time():
    # two of the four leave at 4: they are still at risk just before it
    table = pd.DataFrame({"time": [1.0, 4.0, 4.0, 8.0], "event": [1, 1, 0, 0], "risk_group": "low"})
    ax = plot_kaplan_meier(table, axes())
    ticks = [float(t) for t in ax.get_xticks()]
    counts = dict(zip(ticks, map(int, texts(ax)[-len(ticks) :]), strict=True))
    assert [counts[t] for t in (0.0, 4.0, 8.0)] == [4, 3, 1]


def test_kaplan_meier_steps_are_the_product_limit():
    table = pd.DataFrame({"time": [1.0, 2.0, 2.0, 4.0], "event": [1, 1, 0, 1], "risk_group": "low"})
    ax = plot_kaplan_meier(table, axes(), unit="months")
    steps = dict(zip(*ax.lines[0].get_data(), strict=True))
    assert steps[1.0] == pytest.approx(3 / 4)
    assert steps[2.0] == pytest.approx(3 / 4 * 2 / 3)
    assert steps[4.0] == pytest.approx(0)
    assert ax.get_xlabel() == "Time (months)"


def test_times_are_shown_in_the_unit_that_reads_best():
    table = pd.DataFrame({"time": [365.25, 3652.5], "event": [1, 0], "risk_group": "low"})
    ax = plot_kaplan_meier(table, axes(), unit="days", time_unit="auto")
    assert ax.get_xlabel() == "Time (years)"
    assert ax.get_xlim()[1] == pytest.approx(10.0)
    steps = dict(zip(*ax.lines[0].get_data(), strict=True))
    assert steps[1.0] == pytest.approx(0.5)
    asked = plot_kaplan_meier(table, axes(), unit="days", time_unit="months")
    assert asked.get_xlim()[1] == pytest.approx(120.0)


@pytest.mark.parametrize(
    ("unit", "longest", "shown"),
    [("days", 180, "days"), ("days", 1800, "months"), ("days", 1830, "years"),
     ("months", 180, "months"), ("months", 181, "years"), ("years", 0.1, "years"), ("", 9, "")],
)  # fmt: skip
def test_units_of_time(unit, longest, shown):
    assert readable_unit(unit, longest)[0] == shown


def test_curves_are_solid_and_the_last_mark_is_whole(followed):
    ax = plot_kaplan_meier(followed, axes())
    curves = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    assert [line.get_linestyle() for line in curves] == ["-", "-"]
    marks = [line for line in ax.lines if line.get_marker() == "|"]
    assert marks
    assert not any(line.get_clip_on() for line in marks)


def test_kaplan_meier_says_n_and_events_low_first(followed):
    ax = plot_kaplan_meier(followed, axes(), unit="days")
    counts = followed.groupby("risk_group")["event"].sum()
    assert legend(ax) == [
        f"low  (n = 30, events = {counts['low']})",
        f"high  (n = 30, events = {counts['high']})",
    ]
    assert texts(ax)[0] == "At risk"
    assert "30" in texts(ax)
    save(ax)


def test_an_empty_group_is_listed_and_not_drawn(followed):
    low = followed[followed["risk_group"] == "low"]
    ax = plot_kaplan_meier(low, axes(), groups=["low", "intermediate", "high"])
    assert "high  (n = 0, events = 0)" in legend(ax)
    save(ax)


@pytest.mark.parametrize("events", [0, 1])
def test_kaplan_meier_of_one_patient(events):
    table = pd.DataFrame({"time": [5.0], "event": [events], "risk_group": "low"})
    save(plot_kaplan_meier(table, axes()))


def test_a_competing_event_ends_the_follow_up():
    table = pd.DataFrame({"time": [1.0, 2.0, 3.0], "event": [1, 2, 1], "risk_group": "low"})
    assert legend(plot_kaplan_meier(table, axes())) == ["low  (n = 3, events = 2)"]


def test_long_labels_break_after_a_plus():
    assert shorten("image+report+clinical", 14) == "image+report+\nclinical"
    assert shorten("", 14) == ""
    assert shorten("late fusion of log hazards", 14) == "late fusion of\nlog hazards"
    assert shorten("z" * 200, 10) == "z" * 10 + "\n" + "z" * 9 + "…"
    assert shorten("a+" * 40, 10, 1) == "a+a+a+a+a…"


def test_group_colours_do_not_depend_on_which_groups_are_there():
    assert group_colours(["low", "high"])["high"] == group_colours(["high"])["high"]
    three = group_colours(["low", "intermediate", "high"])
    assert three["low"] == group_colours(["low"])["low"]
    assert len(set(group_colours(["a", "b", "c", "d"]).values())) == 4


def test_forest_writes_estimates_and_what_cannot_be_estimated():
    rows = pd.DataFrame(
        {
            "label": ["image", "x" * 200, "none"],
            "estimate": [0.61, 0.7, np.nan],
            "lower": [0.5, np.nan, np.nan],
            "upper": [0.72, np.nan, np.nan],
        }
    )
    ax = plot_forest(rows, axes(), xlabel="C-index", reference=0.5)
    assert texts(ax) == ["0.61 (0.50 to 0.72)", "0.70", "not estimable"]
    assert max(len(t.get_text()) for t in ax.get_yticklabels()) < 60
    save(ax)


def test_roc_draws_the_folds_and_their_mean():
    curves = pd.DataFrame(
        {"repeat": ["0"] * 4 + [""] * 2, "fold": ["0", "0", "1", "1", "mean", "mean"],
         "stratum": 0, "fpr": [0.0, 1] * 3, "tpr": [0.0, 1] * 3}
    )  # fmt: skip
    ax = plot_roc(curves, axes(), label="image")
    assert len([line for line in ax.lines if line.get_alpha()]) == 2
    assert len([line for line in ax.lines if line.get_label() == "image"]) == 1
    mean = plot_roc(curves, axes(), each_fold=False)
    assert not [line for line in mean.lines if line.get_alpha()]
    save(ax)


def test_scores_of_one_class_are_drawn():
    table = pd.DataFrame(
        {"outcome": 1, "lower": [0.0, 0.5], "upper": [0.5, 1.0], "share": [0.5, 0.5], "n": 2}
    )
    ax = plot_scores(table, axes(), xlabel="p", names=("no", "yes"), colours=("#000000", "#111111"))
    assert legend(ax) == ["yes  (n = 2)"]
    save(ax)


def test_loss_mean_stops_where_a_fold_stops():
    history = pd.DataFrame(
        {"fold": [0, 0, 0, 1, 1], "epoch": [1, 2, 3, 1, 2], "tune_loss": [3.0, 2, 1, 5, 4]}
    )
    ax = plot_loss(history, axes(), chosen=[2], title="image")
    mean = next(line for line in ax.lines if line.get_label() == "tuning")
    assert np.asarray(mean.get_ydata()).tolist() == [4.0, 3.0]
    save(ax)


def test_ranking_of_tune_patients_has_an_axis_of_its_own():
    history = pd.DataFrame({"fold": 0, "epoch": [1, 2], "tune_loss": [3.0, 2.0]})
    assert len(plot_loss(history, axes()).figure.axes) == 1
    ax = plot_loss(history.assign(tune_concordance=[0.6, np.nan]), axes())
    right = ax.figure.axes[1]
    assert (right.get_ylabel(), right.get_ylim()) == ("C-index", (0, 1))
    assert right.lines[0].get_ydata().tolist() == [0.6]
    assert "C-index of tuning patients (right)" in legend(ax)
    save(ax)


def test_drawing_changes_no_global_setting(followed):
    before = dict(mpl.rcParams)
    save(plot_kaplan_meier(followed, axes()))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("paper", ["#ffffff", "#14171a"])
def test_arm_colours_stand_out(paper):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    groups = group_colours(["a", "b", "c", "d"]) | group_colours(["low", "intermediate", "high"])
    for colour in {*ARM_COLOURS, *groups.values()}:
        high, low = sorted([luminance(colour), luminance(paper)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3
