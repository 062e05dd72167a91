import numpy as np

from outcome.crossval.permutation_test import permutation_p_value


def test_a_statistic_without_a_value_has_no_p_and_one_that_could_not_be_drawn_counts_against():
    assert np.isnan(permutation_p_value(np.nan, np.zeros(199)))
    assert permutation_p_value(1.0, np.zeros(199)) == 1 / 200
    assert permutation_p_value(1.0, np.r_[np.nan, np.zeros(198)]) == 2 / 200
