"""A classifier of bags, reports and covariates."""

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score

from outcome import InputError, MILClassifier


def test_classes_probabilities_and_scores_agree(classifier, cohort):
    data, _, labels = cohort
    assert classifier.classes_.tolist() == ["none", "relapse"]
    proba = classifier.predict_proba(data)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (classifier.predict(data) == np.where(proba[:, 1] > 0.5, "relapse", "none")).all()
    assert classifier.score(data, labels) == (classifier.predict(data) == labels).mean() > 0.8
    order = np.argsort(classifier.predict_risk(data))
    assert (np.diff(proba[order, 1]) >= -1e-12).all()
    logit = np.log(proba[:, 1] / proba[:, 0])
    np.testing.assert_allclose(classifier.decision_function(data), logit)


def test_a_patient_without_a_report_is_predicted(classifier, cohort):
    data, *_ = cohort
    lacking = [p for p in data.patients if data[p].report is None]
    assert lacking
    assert np.isfinite(classifier.predict_proba(data)).all()
    assert classifier.attention(data[lacking[0]]).sum() == pytest.approx(1)


def test_a_favourable_class_turns_the_risk_round(cohort, quick):
    data, _, labels = cohort
    worse = MILClassifier(**quick).fit(data, labels)
    better = MILClassifier(positive="none", favourable=True, **quick).fit(data, labels)
    assert better.classes_.tolist() == ["none", "relapse"]
    np.testing.assert_allclose(better.predict_risk(data), worse.predict_risk(data), atol=1e-3)
    np.testing.assert_allclose(better.predict_proba(data), worse.predict_proba(data), atol=1e-3)


def test_scorers_of_scikit_learn_take_it(cohort, quick):
    data, _, labels = cohort
    area = cross_val_score(MILClassifier(**quick), data, labels, cv=2, scoring="roc_auc")
    assert (area > 0.7).all()


def test_labels_must_be_two_classes(cohort):
    data, y, _ = cohort
    with pytest.raises(InputError, match="`y` has 1 class"):
        MILClassifier().fit(data, ["a"] * len(data))
    with pytest.raises(InputError, match="`positive` is 'c', but the labels are"):
        MILClassifier(positive="c").fit(data, ["a", "b"] * (len(data) // 2))
    with pytest.raises(InputError, match=r"MILClassifier needs labels. To do: use MILCox"):
        MILClassifier().fit(data, y)
