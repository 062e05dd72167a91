"""scikit-learn's own checks, on one vector per patient; those that do not apply are named."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from outcome import MILClassifier, MILCox

WORDS = "the same error in the library's own words"
NOT_CLASSIFIER = {
    "check_array_api_input": "array API of other libraries",
    "check_classifiers_train": "long; what it checks is in test_mil_classifier.py",
    "check_dtype_object": WORDS,
    "check_estimators_empty_data_messages": WORDS,
    "check_fit2d_1feature": WORDS,
    "check_n_features_in_after_fitting": WORDS,
    "check_supervised_y_2d": "a column of labels is taken without a warning",
}
WITHOUT_FIT = {
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
}
"""The others fit on numbers, and the outcomes of a Cox model are times and events."""


def checks(estimator):
    found = estimator_checks_generator(estimator)
    return [(getattr(check, "func", check).__name__, check) for _, check in found]


CLASSIFIER = MILClassifier(aggregator="linear", inner_folds=2)
APPLY = [(n, c) for n, c in checks(CLASSIFIER) if n not in NOT_CLASSIFIER]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", [c for _, c in APPLY], ids=[n for n, _ in APPLY])
def test_the_classifier_passes(check):
    check(CLASSIFIER)


def test_every_check_that_is_left_out_is_still_one():
    assert set(NOT_CLASSIFIER) <= {n for n, _ in checks(CLASSIFIER)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(WITHOUT_FIT))
def test_the_cox_model_passes(name):
    estimator = MILCox()
    for check in [c for n, c in checks(estimator) if n == name]:
        check(estimator)
