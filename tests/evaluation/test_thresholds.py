"""Folds of one class: metrics that divide by the number of a class skip them."""

import numpy as np
import pandas as pd
import pytest

from outcome.crossval.tune_metrics import tune_metrics
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.decision_curve import decision_curves
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.outcome_kinds import table_outcome
from outcome.evaluation.roc_curves import MEAN, roc_curves
from outcome.outcomes import Outcomes
from outcome.predictions import Predictions

SPECIFICITY, SENSITIVITY = "specificity_at_90_sensitivity", "sensitivity_at_90_specificity"


def folds(**labels):
    """Distinct risks in the folds that are named, with these labels."""
    rng = np.random.default_rng(3)
    rows = [
        pd.DataFrame({"fold": fold, "label": label, "risk": rng.permutation(len(label)) / 10})
        for fold, label in labels.items()
    ]
    table = pd.concat(rows, ignore_index=True)
    ids = [f"p{i:02}" for i in range(len(table))]
    return table.assign(arm="arm", repeat=0, patient_id=ids)


MIXED = [0, 1] * 10
ONE_CLASS = {"no positives": [0] * 30, "no negatives": [1] * 30}


def metrics(table, **options):
    found = evaluate(Predictions(table), n_resamples=50, **options).metrics
    return found.set_index("metric")


@pytest.mark.parametrize("favourable", [False, True])
@pytest.mark.parametrize("other", ONE_CLASS.values(), ids=ONE_CLASS)
@pytest.mark.parametrize("metric", ["auroc", "auprc", SENSITIVITY, SPECIFICITY])
def test_a_fold_of_one_class_is_skipped(metric, other, favourable):
    both = metrics(folds(A=MIXED, B=other), favourable=favourable).loc[metric]
    alone = metrics(folds(A=MIXED), favourable=favourable).loc[metric]
    assert both["estimate"] == pytest.approx(alone["estimate"], abs=1e-12)
    assert "1 of 2 folds skipped" in both["note"]
    assert "skipped" not in str(alone["note"])


def test_negatives_of_a_fold_without_positives_are_not_spared():
    # Fold A: nine of ten positives are at 2 or above, and one of twenty negatives is below.
    table = folds(A=[0] + [1] * 10 + [0] * 19, B=[0] * 40)
    table.loc[table["fold"] == "A", "risk"] = np.arange(30)
    found = metrics(table).loc[SPECIFICITY]
    assert found["estimate"] == pytest.approx(1 / 20)
    assert "sensitivity reached 0.900" in found["note"]
    assert "1 of 2 folds skipped" in found["note"]


@pytest.mark.parametrize("other", ONE_CLASS.values(), ids=ONE_CLASS)
def test_nothing_is_known_where_no_fold_has_both_classes(other):
    found = metrics(folds(A=other, B=other))
    for metric in ("auroc", "auprc", SENSITIVITY, SPECIFICITY):
        assert np.isnan(found.loc[metric, "estimate"])
        assert found.loc[metric, "note"]


def test_patients_without_weight_make_no_class():
    table = folds(A=MIXED, B=MIXED)
    no_weight = (table["fold"] == "B") & (table["label"] == 1)
    found = metrics(table.assign(weight=np.where(no_weight, 0.0, 1.0)))
    alone = metrics(folds(A=MIXED))
    for metric in ("auroc", "auprc", SENSITIVITY, SPECIFICITY):
        assert found.loc[metric, "estimate"] == pytest.approx(alone.loc[metric, "estimate"])
        assert "1 of 2 folds skipped" in found.loc[metric, "note"]


def test_a_fold_whose_development_patients_gave_no_threshold_is_skipped():
    table = folds(A=MIXED, B=MIXED)
    table["threshold"] = np.where(table["fold"] == "A", 0.75, np.nan)
    found = metrics(table).loc[SENSITIVITY]
    positives = table[(table["fold"] == "A") & (table["label"] == 1)]
    assert found["estimate"] == pytest.approx((positives["risk"] > 0.75).mean())
    assert "threshold from development patients; 1 of 2 folds skipped" in found["note"]


def test_a_known_threshold_judges_the_positives_of_a_fold_without_negatives():
    table = folds(A=MIXED, B=ONE_CLASS["no negatives"]).assign(threshold=0.75)
    found = metrics(table).loc[SENSITIVITY]
    positives = table[table["label"] == 1]
    assert found["estimate"] == pytest.approx((positives["risk"] > 0.75).mean())
    only = metrics(folds(B=ONE_CLASS["no negatives"]).assign(threshold=0.75)).loc[SENSITIVITY]
    assert "specificity is unknown" in only["note"]


@pytest.mark.parametrize("other", ONE_CLASS.values(), ids=ONE_CLASS)
def test_the_mean_curve_is_that_of_the_folds_with_both_classes(other):
    tables = folds(A=MIXED, B=other), folds(A=MIXED)
    curves = []
    for table in tables:
        predictions = Predictions(table)
        curves.append(roc_curves(read_arms(predictions)[1], table_outcome(predictions)))
    assert set(curves[0]["fold"]) == {"A", MEAN}
    pd.testing.assert_frame_equal(*curves)


def test_net_benefit_is_of_all_patients_and_unknown_without_weight():
    table = folds(A=MIXED, B=ONE_CLASS["no positives"])
    table["probability"] = table["risk"] / 10
    curve = decision_curves(read_arms(Predictions(table))[1], thresholds=[0.1])
    treated = table[table["probability"] >= 0.1]
    gain = (treated["label"].sum() - (1 - treated["label"]).sum() / 9) / len(table)
    assert curve.loc[curve["arm"] == "arm", "net_benefit"].item() == pytest.approx(gain)
    nothing = decision_curves(read_arms(Predictions(table.assign(weight=0.0)))[1], thresholds=[0.1])
    assert nothing["net_benefit"].isna().all()


@pytest.mark.parametrize("event", [True, False])
def test_learning_curves_are_unknown_with_one_class(event):
    found = tune_metrics(np.arange(12.0).reshape(2, 6), Outcomes(np.full(6, event)))
    assert found.isna().all(axis=None)
