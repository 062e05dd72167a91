"""Evaluation with delayed entry: one pair rule everywhere, and reasons for what is left out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcome import evaluate
from outcome.errors import PredictionsError
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.delayed_entry import SHARES, TREATMENT, WEIGHTS
from outcome.evaluation.fold_metrics import harrell_in_fold, pairs_in_fold
from outcome.evaluation.outcome_kinds import table_outcome
from outcome.predictions import DeclaredColumns, Predictions, read_external
from outcome.statistics.concordance import harrell
from outcome.statistics.cox import fit_cox
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.risk_sets import number_at_risk


def registry(n=240, *, seed=0, competing=False):
    """Predictions in two folds of patients who lived to enter."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=4 * n)
    time = 30 * rng.exponential(size=4 * n) / np.exp(risk)
    entry = np.where(rng.random(4 * n) < 0.6, rng.uniform(0, 30, 4 * n), 0.0)
    stop = entry + rng.uniform(5, 60, 4 * n)
    seen = np.flatnonzero(time > entry)[:n]
    event = (time <= stop).astype(int)[seen]
    if competing:
        event[event == 0] = rng.integers(0, 2, (event == 0).sum()) * 2
    return pd.DataFrame(
        {
            "arm": "score", "patient_id": [f"p{i:03d}" for i in range(n)], "repeat": 0,
            "fold": rng.integers(0, 2, n), "entry": entry[seen],
            "time": np.minimum(time, stop)[seen], "event": event, "risk": risk[seen],
            "survival_20": 1 / (1 + np.exp(risk[seen])), "site": rng.choice(["x", "y"], n),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return registry()


@pytest.fixture(scope="module")
def found(table):
    return evaluate(table, horizons=[20], covariates=["site"], n_resamples=60)


def test_concordance_is_that_of_the_folds(table, found):
    metrics = found.metrics.set_index("metric")
    own = [
        harrell(f["time"], f["event"], f["risk"], entry=f["entry"])
        for _, f in table.groupby("fold")
    ]
    assert metrics.loc["harrell_c", "estimate"] == pytest.approx(np.mean([c.c for c in own]))
    pooled = sum(c.agreeing for c in own) / sum(c.comparable for c in own)
    assert metrics.loc["harrell_c_pairs", "estimate"] == pytest.approx(pooled)
    low, c, high = metrics.loc["harrell_c", ["lower_fixed", "estimate", "upper_fixed"]]
    assert low < c < high


def test_what_is_not_defined_is_left_out_with_the_reason(found):
    metrics = found.metrics.set_index("metric")
    for name, why in (
        ("uno_c", WEIGHTS), ("auc_20", WEIGHTS), ("mean_auc", WEIGHTS), ("brier_20", WEIGHTS),
        ("calibration_ratio_20", SHARES),
    ):  # fmt: skip
        assert np.isnan(metrics.loc[name, "estimate"])
        assert metrics.loc[name, "note"] == why
    assert not {"auc_over_time", "decision_curves", "best_cuts"} & set(found.tables)
    assert "group" not in set(found.tables.get("calibration", pd.DataFrame({"kind": []}))["kind"])
    assert any("came under observation after the origin" in note for note in found.notes)
    assert not any("uno_c" in warning for warning in found.warnings)


def test_curves_and_models_use_risk_sets(table, found):
    groups = found.risk_groups.set_index("group")
    cut = table.groupby("fold")["risk"].transform("median")
    high = table["risk"] > cut
    fit = fit_cox(table["time"], table["event"], high, strata=table["fold"], entry=table["entry"])
    assert groups.loc["high", "hazard_ratio"] == pytest.approx(float(np.exp(fit.coef[0])))
    at = found.survival_at.set_index("group").loc["high"]
    mine = table[high]
    curve = kaplan_meier(mine["time"], mine["event"], mine["entry"])
    assert at["survival"] == pytest.approx(float(curve.at(20)))
    assert at["n_risk"] == number_at_risk(mine["time"], 20, mine["entry"])
    follow = found.follow_up.iloc[0]
    assert follow["entered_late"] == (table["entry"] > 0).sum()
    assert follow["at_risk_20"] == number_at_risk(table["time"], 20, table["entry"])
    slope = found.metrics.set_index("metric").loc["calibration_slope", "estimate"]
    x = np.log(-np.log(table["survival_20"]))
    own = fit_cox(table["time"], table["event"], x, entry=table["entry"])
    assert slope == pytest.approx(float(own.coef[0]))


def test_pairs_of_each_patient_follow_the_pair_rule(table):
    _, (arm,) = read_arms(Predictions(table))
    fold = arm.folds[0]
    later = (fold.time[:, None] < fold.time[None, :]) & (fold.entry[None, :] < fold.time[:, None])
    pairs = later & fold.event[:, None]
    value = pairs_in_fold(fold)
    assert value.size == pairs.sum()
    counts = pairs.sum(0) + pairs.sum(1)
    factor = value.size_influence[counts > 0] / counts[counts > 0]
    assert factor == pytest.approx(factor[0])
    assert harrell_in_fold(fold).influence.sum() == pytest.approx(0, abs=1e-12)


def test_entry_at_the_origin_is_no_delay(table):
    first = table[table["entry"] == 0]
    plain = evaluate(first.drop(columns="entry"), n_resamples=20)
    late = evaluate(first, n_resamples=20)
    columns = ["estimate", "lower", "upper", "lower_fixed", "upper_fixed"]
    for metric in ("harrell_c", "harrell_c_pairs"):
        one, two = (e.metrics.set_index("metric").loc[metric, columns] for e in (plain, late))
        assert two.astype(float).tolist() == pytest.approx(one.astype(float).tolist())
    numbers = plain.risk_groups.select_dtypes("number")
    assert late.risk_groups[numbers.columns].to_numpy() == pytest.approx(
        numbers.to_numpy(), nan_ok=True
    )


def test_competing_events_with_entry():
    table = registry(120, seed=3, competing=True)
    found = evaluate(table, horizons=[20], n_resamples=0)
    assert found.incidence["gray_p"].isna().all()
    at = found.incidence.query("cause == 1 and group == 'high'").iloc[0]
    assert 0 < at["lower"] < at["incidence"] < at["upper"] < 1
    sizes = found.risk_groups.set_index("group")["n"]
    curve = found.incidence_curves.iloc[0]
    assert curve["n"] == sizes[curve["group"]]


def test_tables_name_their_entry(table):
    other = table.drop(columns="site").rename(columns={"entry": "enrolled"})
    read = read_external(
        [Path("t")], frames={Path("t"): other}, declared=DeclaredColumns(entry="enrolled")
    )
    assert read.predictions.table["entry"].tolist() == pytest.approx(table["entry"].tolist())
    assert any("observation begins at 'enrolled'" in note for note in read.notes)
    wrong = table.assign(entry=table["time"].where(table.index < 2, table["entry"]))
    with pytest.raises(
        PredictionsError, match=r"not before the end of follow-up: 2, e\.g\. p000, p001"
    ):
        evaluate(wrong, n_resamples=0)
    with pytest.raises(PredictionsError, match="cannot be evaluated with a column entry"):
        table_outcome(Predictions(table), landmark=20)
    with pytest.raises(PredictionsError, match="unknown under delayed entry"):
        evaluate(table, risk_groups="maxstat", n_resamples=0)


def test_the_command_takes_the_column(outcome, tmp_path, table):
    path = tmp_path / "p.csv"
    table.to_csv(path, index=False)
    done = outcome("evaluate", path, "--entry", "enrolled", "--out", tmp_path / "e")
    assert done.code == 2
    assert "p.csv has no column: 1, e.g. enrolled" in done.err


def test_what_has_no_risk_sets_with_entry_is_left_out():
    """Treatment effects, with a warning, and subdistribution hazard ratios."""
    table = registry(120, competing=True).assign(drug=np.tile(["yes", "no"], 60))
    treatment = {"column": "drug", "reference": "no", "randomised": True}
    settings = {"horizons": [20], "n_resamples": 20, "treatment": treatment}
    late = evaluate(table, **settings)
    assert not [name for name in late.tables if name.startswith(("treatment_", "subdist"))]
    assert TREATMENT in late.warnings
    # The same table without entry has both.
    early = set(evaluate(table.drop(columns="entry"), **settings).tables)
    assert {"subdistribution", "treatment_interaction", "treatment_effects"} <= early
