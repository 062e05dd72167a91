"""Spread over inner models, patients set aside, and coverage of bounds."""

import numpy as np
import pandas as pd
import pytest
from crossfit_tables import run_tables

from outcome.errors import PredictionsError
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.crossfit_estimates import read_inner_scores
from outcome.evaluation.individual_uncertainty import (
    inner_model_spread,
    set_aside,
    survival_bounds,
)
from outcome.predictions import Predictions


def tables(**options):
    table, scores, splits = run_tables(**options)
    panel, arms = read_arms(Predictions(table), horizons=[200, 500])
    return table, scores, panel, arms, read_inner_scores(scores, splits, panel)


def test_the_spread_is_that_of_the_inner_models():
    table, scores, panel, arms, inner = tables(n=60, arms=2)
    found = inner_model_spread(panel, arms, inner, [200, 500])
    assert len(found) == 60 * 2 * 2
    row = found[(found["arm"] == "arm1") & (found["horizon"] == 500)].set_index("patient_id")
    mine = scores[scores["arm"] == "arm1"].groupby("patient_id")["survival_500"]
    for name, value in (("sd", mine.std()), ("lowest", mine.min()), ("highest", mine.max())):
        assert row[name].to_numpy() == pytest.approx(value.reindex(row.index).to_numpy())
    own = table[table["arm"] == "arm1"].set_index("patient_id")["survival_500"]
    assert row["predicted"].to_numpy() == pytest.approx(own.reindex(row.index).to_numpy())
    assert (row["inner_models"] == 3).all()
    assert inner_model_spread(panel, arms, {"arm0": inner["arm0"]}, [500])["arm"].eq("arm0").all()


def test_the_least_certain_of_each_fold_are_set_aside():
    table, _, panel, arms, inner = tables(n=90, arms=1, repeats=2)
    found = set_aside(panel, arms, inner, [200, 500]).set_index("share")
    assert found["n"].tolist() == [90, 81, 72, 63, 54, 45]
    assert (found["horizon"] == 500).all()
    assert (np.diff(found["largest_sd"]) <= 0).all()
    spread = inner_model_spread(panel, arms, inner, [500])
    half = spread[spread.groupby("fold")["sd"].rank(ascending=True) <= 15]
    rows = table[(table["repeat"] == 0) & table["patient_id"].isin(half["patient_id"])]
    assert found.loc[0.5, "events"] == rows["event"].sum()
    assert found.loc[0.5, "predicted"] == pytest.approx(1 - rows["survival_500"].mean())
    alone = set_aside(*read_arms(Predictions(rows), horizons=[500]), {}, [500])
    assert alone.empty  # no scores of inner models
    assert (found["lower"] < found["estimate"]).all()


def test_labels_have_a_spread_of_their_probability():
    _, scores, panel, arms, inner = tables(n=80, arms=1, binary=True)
    spread = inner_model_spread(panel, arms, inner, [])
    mine = scores.groupby("patient_id")["probability"].std()
    assert spread["sd"].to_numpy() == pytest.approx(mine.reindex(spread["patient_id"]).to_numpy())
    found = set_aside(panel, arms, inner, [])
    assert set(found["metric"]) == {"auroc_pairs"}
    assert found["calibration_ratio"].notna().all()


def test_coverage_counts_events_before_the_bound():
    rows = pd.DataFrame({"patient_id": list("abcdefgh"), "arm": "a", "repeat": 0, "fold": 0})
    rows = rows.assign(risk=1.0, time=np.arange(1.0, 9), event=[1, 0, 1, 0, 1, 1, 1, 0])
    bounds = rows.assign(survival_bound=[1, 9, 3.5, 9, 2, 9, 7, 1.0])
    row = survival_bounds(Predictions(bounds)).iloc[0]
    # c and f had the event before their bound; of 7 and then of 5 patients one was censored
    missed = 1 / (6 / 7) + 1 / (6 / 7 * 4 / 5)
    assert row["coverage"] == pytest.approx(1 - missed / 8)
    assert row["lower"] < row["coverage"] < row["upper"] <= 1
    assert (row["lowest_bound"], row["median_bound"], row["highest_bound"]) == (1, 5.25, 9)
    assert survival_bounds(Predictions(rows)).empty
    with pytest.raises(PredictionsError, match="survival_bound is below 0"):
        survival_bounds(Predictions(bounds.assign(survival_bound=-1.0)))
