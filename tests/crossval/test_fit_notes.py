from math import nan

import pandas as pd

from outcome.crossval.arm_fold import ArmFold
from outcome.crossval.fit_notes import fit_notes, fit_warnings
from outcome.risk.recalibration import LogisticCalibration


def fold(name, *, slope=1.0, inner=5, few=False, groups=("low", "high"), repeat=0, cut_p=nan):
    test = pd.DataFrame({"arm": "image", "risk_group": list(groups)})
    return ArmFold(
        arm="image", repeat=repeat, fold=name, development=pd.DataFrame(), test=test,
        inner_scores=pd.DataFrame(), history=pd.DataFrame(), models=[],
        calibration=LogisticCalibration(0.0, slope), cuts={},
        cut_p=cut_p, inner_folds=inner, few=few,
    )  # fmt: skip


def test_a_slope_of_zero_is_warned_of():
    (warning,) = fit_warnings([fold("0"), fold("1", slope=0.0), fold("2")])
    assert warning.startswith(
        "arm image, fold 1 of 3: the development scores showed no association"
    )
    assert "all its patients receive the same predicted risk" in warning
    assert fit_warnings([fold("0")]) == []


def test_few_events_and_fewer_inner_folds_are_noted():
    notes = fit_notes([fold("0", inner=3), fold("1", inner=2, few=True), fold("2")], asked=5)
    assert notes[0].startswith("folds 0, 1 of 3: 2 or 3 inner folds instead of 5")
    assert notes[1].startswith("fold 1 of 3: too few")


def test_shares_of_risk_groups_are_of_test_patients():
    notes = fit_notes([fold("0", groups=["low"] * 3), fold("1", groups=["high"])], asked=5)
    assert notes == ["arm image, test patients per risk group: low 75%, high 25%"]


def test_folds_of_several_repeats_are_named_with_their_repeat():
    (warning,) = fit_warnings([fold("0", slope=0.0), fold("1", slope=0.0, repeat=1)])
    assert "repeat/folds 0/0, 1/1 of 2" in warning


def test_maximally_selected_cuts_are_told_with_their_corrected_p():
    notes = fit_notes([fold("0", cut_p=0.0312), fold("1", cut_p=0.4)], asked=5)
    assert notes[0].endswith("p corrected for the selection, per fold: 0.031, 0.4")
