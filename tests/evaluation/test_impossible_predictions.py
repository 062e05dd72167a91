"""Predictions that contradict each other are reported; possible ones are not."""

import numpy as np
import pandas as pd
import pytest

from outcome.evaluation.evaluation import evaluate
from outcome.predictions import Predictions

N = 60


def table(**columns):
    """Risks from 0 to 1, in two folds, with the survival that they mean."""
    rng = np.random.default_rng(5)
    risk = rng.permutation(N) / N
    rows = pd.DataFrame({"arm": "ours", "patient_id": [f"P{i:03}" for i in range(N)], "repeat": 0})
    rows = rows.assign(fold=np.arange(N) % 2, risk=risk, event=rng.integers(0, 2, N))
    rows["time"] = rng.uniform(1, 36, N).round(2)
    for h in (6, 12, 24):
        rows[f"survival_{h}"] = np.exp(-h / 20 * np.exp(risk))
    return rows.assign(**columns)


def warnings(rows, **options):
    found = evaluate(Predictions(rows), n_resamples=0, **options)
    return [w for w in found.warnings if "rises" in w or "contradict" in w]


def test_possible_predictions_are_not_reported():
    rows = table()
    assert warnings(rows, horizons=[6, 12], unit="months") == []
    own = np.exp(-rows["time"] / 20 * np.exp(rows["risk"]))
    assert warnings(rows.assign(survival_at_time=own)) == []
    same = rows["survival_6"]
    assert warnings(rows.assign(survival_12=same, survival_24=same - 1e-17)) == []
    assert warnings(rows.assign(survival_6=0.5, survival_12=0.5, survival_24=0.5)) == []
    assert warnings(rows.assign(risk=1.0)) == []


def test_survival_that_rises_for_everybody():
    (found,) = warnings(table(survival_6=0.5, survival_12=0.9, survival_24=0.9), horizons=[6, 12])
    assert "rises with time for 60 of 60 patients, e.g. P000 (0.5 at 6 and 0.9 at 12)" in found
    assert "probability of no event" in found


@pytest.mark.parametrize("reported", [(), (6.0,), (24.0,)])
def test_survival_that_rises_for_one_patient_whatever_is_reported(reported):
    rows = table()
    rows.loc[7, "survival_24"] = 0.99
    (found,) = warnings(rows, horizons=reported)
    assert "for 1 of 60 patients, e.g. P007 (" in found
    assert "0.99 at 24" in found


def test_a_gap_hides_no_rise():
    rows = table()
    rows.loc[3, ["survival_6", "survival_12", "survival_24"]] = [0.2, np.nan, 0.7]
    rows.loc[4, ["survival_6", "survival_12", "survival_24"]] = [np.nan, np.nan, 0.7]
    (found,) = warnings(rows)
    assert "for 1 of 59 patients, e.g. P003 (0.2 at 6 and 0.7 at 24)" in found


def test_survival_at_the_own_time_is_on_the_same_curve():
    rows = table(time=8.0)
    between = (rows["survival_6"] + rows["survival_12"]) / 2
    assert warnings(rows.assign(survival_at_time=between)) == []
    (found,) = warnings(rows.assign(survival_at_time=rows["survival_6"] + 0.01))
    assert "at 8" in found
    # At a horizon, an event of that time may be counted on one side only.
    assert warnings(rows.assign(time=12.0, survival_at_time=rows["survival_12"] + 0.05)) == []


def test_event_probabilities_in_place_of_survival():
    rows = table()
    wrong = {c: 1 - rows[c] for c in rows if c.startswith("survival_")}
    rises, order = warnings(rows.assign(**wrong))
    assert "60 of 60 patients" in rises
    assert "folds 0, 1 of 2: survival_6, survival_12, survival_24 and risk contradict" in order


def test_a_risk_of_the_wrong_sign_in_one_fold():
    rows = table()
    rows["risk"] = np.where(rows["fold"] == 1, -rows["risk"], rows["risk"])
    (found,) = warnings(rows)
    assert found.startswith("arm ours, fold 1 of 2: survival_6")


def test_only_pairs_of_one_fold_and_stratum_count():
    # Fold and stratum shift the risks against the probabilities; within them the order is right.
    rows = table(strata=np.where(np.arange(N) < 30, "a", "b"))
    shift = 10.0 * (rows["fold"] == 1) + 20.0 * (rows["strata"] == "a")
    for h in (6, 12, 24):
        rows[f"survival_{h}"] = rows[f"survival_{h}"] * np.where(shift > 0, 1.0, 0.3)
    assert warnings(rows.assign(risk=rows["risk"] + shift)) == []


@pytest.mark.parametrize("favourable", [False, True])
def test_a_probability_of_the_other_label(favourable):
    rows = table()[["arm", "patient_id", "repeat", "fold", "risk"]]
    rows["label"] = np.arange(N) // 2 % 2
    p = 1 / (1 + np.exp(-rows["risk"]))
    right, wrong = (1 - p, p) if favourable else (p, 1 - p)
    assert warnings(rows.assign(probability=right), favourable=favourable) == []
    (found,) = warnings(rows.assign(probability=wrong), favourable=favourable)
    assert "folds 0, 1 of 2: probability and risk contradict each other" in found


def test_the_event_by_a_horizon():
    rows = table()[["arm", "patient_id", "repeat", "fold", "risk", "time", "event"]]
    rows["survival_12"] = 0.5 + rows["risk"] / 3
    (found,) = warnings(rows, landmark=12.0)
    assert "survival_12 and risk contradict" in found


def test_few_pairs_say_nothing():
    rows = table().head(6)
    assert warnings(rows.assign(risk=-rows["risk"])) == []
