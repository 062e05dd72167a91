"""Simulated trials: treatments by lot, a known interaction, and nothing else changed."""

import numpy as np
import pandas as pd
import pytest
import yaml

from outcome.errors import InputError
from outcome.simulation.rehearsal import rehearse
from outcome.simulation.simulate import (
    Simulation,
    draw_outcomes,
    draw_patients,
    draw_slides,
    draw_tissues,
    draw_treatment,
    draw_truth,
    simulate,
)
from outcome.statistics.interaction import treatment_interaction
from outcome.study import Study

SMALL = {"patients": 30, "patches": 5, "dimension": 16, "seed": 4}


def test_a_treatment_without_effect_changes_nothing_else(tmp_path):
    simulate(tmp_path / "plain", Simulation(**SMALL))
    simulate(tmp_path / "trial", Simulation(**SMALL, treatment_effect=0.0))
    plain, trial = (pd.read_csv(tmp_path / name / "cohort.csv") for name in ("plain", "trial"))
    pd.testing.assert_frame_equal(plain, trial.drop(columns="arm"))
    assert trial.drop_duplicates("patient_id")["arm"].value_counts().to_dict() == {
        "control": 15,
        "drug": 15,
    }
    for file in (tmp_path / "plain").rglob("*.h5"):
        assert (
            file.read_bytes()
            == (tmp_path / "trial" / file.relative_to(tmp_path / "plain")).read_bytes()
        )
    assert "treatment" not in (tmp_path / "plain" / "study.yaml").read_text()
    study = yaml.safe_load((tmp_path / "trial" / "study.yaml").read_text())
    assert study["treatment"] == {"column": "arm", "reference": "control", "randomised": True}


def test_the_interaction_is_the_one_that_was_asked_for():
    s = Simulation(
        patients=2000, patches=40, informative=0.5, report_effect=0.0, stage_effect=0.0,
        age_effect=0.0, event_rate=0.9, treatment_effect=-0.5, interaction=-0.6,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    patients = draw_patients(s, rng)
    slides = draw_slides(s, patients, rng)
    score = draw_truth(
        s, patients, slides, [draw_tissues(s, patients, row, rng) for row in slides.itertuples()]
    )
    arm = draw_treatment(s, score)
    seen = draw_outcomes(s, score, rng)
    image = score["image"] / s.image_effect
    found = treatment_interaction(
        arm["arm"] == "drug", image, seen["os_event"], time=seen["os_days"]
    )
    assert np.abs((found.coef - [-0.5, 0.65, -0.6]) / found.se).max() < 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"interaction": 0.5}, "needs treatment_effect"),
     ({"interaction": 0.5, "treatment_effect": 0.0, "image_effect": 0.0}, "image_effect")],
)  # fmt: skip
def test_an_interaction_without_its_parts_is_refused(asked, said):
    with pytest.raises(InputError, match=said):
        Simulation(**asked)


def test_a_rehearsal_can_leave_the_reference_arm_out(tmp_path):
    """Treated patients' images tell their outcome; with a share of 0 no other patients' do."""
    path = simulate(tmp_path / "trial", Simulation(**SMALL | {"patients": 200}, treatment_effect=0))
    study = Study.read(path)
    rehearse(
        tmp_path / "out", study, Simulation(**SMALL, informative=1.0), image_c=0.7,
        reference_share=0.0,
    )  # fmt: skip
    table = pd.read_csv(path.parent / "cohort.csv").drop_duplicates("patient_id")
    table = table.merge(pd.read_csv(tmp_path / "out" / "truth.csv"), on="patient_id")
    score = table["image"] / table["image"].std()
    found = treatment_interaction(
        table["arm"] == "drug", score, table["os_event"], time=table["os_days"]
    )
    assert abs(found.coef[1]) < 3 * found.se[1]
    assert found.coef[2] > 3 * found.se[2]
    with pytest.raises(InputError, match="declares a `treatment`"):
        rehearse(tmp_path / "no", study.model_copy(update={"treatment": None}), reference_share=0.5)
