"""A trial from the study file to the page; what the models may see of the treatment."""

import json
import re

import pandas as pd
import pytest

from outcome import Study, run
from outcome.errors import CohortError
from outcome.evaluation.evaluation import further_tables
from outcome.run_folder.read import read_run

QUICK = ["split.folds=2", "training.epochs=2", "arms=[image, clinical]"]
TABLES = ("treatment_interaction", "treatment_effects", "treatment_differences")


@pytest.fixture(scope="module")
def trial(make_study, tmp_path_factory):
    """A study of 60 patients, one of whom has no known treatment."""
    folder = tmp_path_factory.mktemp("trial")
    path = make_study(folder / "cohort", treatment_effect=-0.5, interaction=-0.4, event_rate=0.8)
    table = pd.read_csv(path.parent / "cohort.csv", dtype=str)
    first = table["patient_id"] == table["patient_id"].iloc[0]
    table.loc[first, "arm"] = ""
    table.to_csv(path.parent / "cohort.csv", index=False)
    return path, folder / "run"


@pytest.fixture(scope="module")
def finished(trial):
    path, folder = trial
    return run(Study.read(path, QUICK), out=folder)


def test_the_run_folder_has_the_tables(finished):
    for name in TABLES:
        written = pd.read_csv(finished.folder / f"{name}.csv")
        assert len(written) == len(finished.evaluation.tables[name])
    who = pd.read_csv(finished.folder / "treatments.csv", keep_default_na=False)
    assert who["treatment"].value_counts().to_dict().keys() == {"control", "drug", ""}
    assert set(finished.evaluation.treatment_interaction["unknown"]) == {1}
    assert finished.manifest["treatment"]["randomised"] is True


def test_the_page_tells_prognostic_from_predictive(finished):
    page = finished.report.read_text()
    chapter = page[page.index('id="treatment"') :]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", chapter))
    assert "A prognostic score need not be predictive" in text
    assert "1 patients without a known treatment" not in text
    assert "1 patient without a known treatment is excluded from this chapter" in text
    assert "Treatments were randomised (as declared)" in text
    for name in ("treatment-curves-image", "treatment-effects-image", "treatment-by-score-image"):
        assert name in page or name in (finished.folder / "figures" / "drawn.txt").read_text()
    assert "Does the effect of drug depend on the score?" in page
    assert "predictive of benefit was tested by the interaction" in page


def test_checklists_point_to_the_chapter(finished):
    items = pd.read_csv(finished.folder / "checklists.csv", dtype=str)
    rows = items[items.apply(lambda r: "Treatments" in " ".join(map(str, r)), axis=1)]
    assert len(rows) == 2
    assert rows.apply(lambda r: "predictive of benefit" in " ".join(map(str, r)), axis=1).all()


def test_evaluating_the_run_gives_the_same_tables(finished, outcome, tmp_path):
    done = outcome("evaluate", finished.folder, "--out", tmp_path / "again", "--resamples", 0)
    assert done.code == 0, done.err
    for name in TABLES:
        theirs = (tmp_path / "again" / f"{name}.csv").read_text()
        assert theirs == (finished.folder / f"{name}.csv").read_text()


def test_the_folder_alone_gives_the_tables_again(finished):
    """What `outcome report` computes where a table is missing."""
    read = read_run(finished.folder)
    tables, _ = further_tables(read.predictions, read.endpoint, read.patients, n_resamples=0)
    for name in TABLES:
        theirs = (finished.folder / f"{name}.csv").read_text()
        assert tables[name].to_csv(index=False) == theirs


def test_the_score_never_sees_the_treatment(trial, finished):
    """Turned treatments refit nothing and change no score; as a covariate they do."""
    path, folder = trial
    table = pd.read_csv(path.parent / "cohort.csv", dtype=str, keep_default_na=False)
    turned = table.assign(arm=table["arm"].map({"drug": "control", "control": "drug", "": ""}))
    again = run(Study.read(path, QUICK), turned, out=folder)
    assert again.manifest["fits"]["trained"] == 0
    pd.testing.assert_frame_equal(again.predictions, finished.predictions)
    ours, theirs = (
        r.evaluation.treatment_interaction.set_index(["arm", "term"])["coef"]
        for r in (finished, again)
    )
    key = ("image", "score x treatment")
    assert theirs[key] == pytest.approx(-ours[key], rel=1e-4)

    declared = "covariates={numeric: [age], categorical: [stage, arm]}"
    seen = run(Study.read(path, [*QUICK, declared]), turned, out=folder)
    risks = [r.predictions.set_index(["arm", "patient_id"])["risk"] for r in (finished, seen)]
    pd.testing.assert_series_equal(risks[0]["image"], risks[1]["image"])
    assert not risks[0]["clinical"].equals(risks[1]["clinical"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("{column: arm, reference: placebo, randomised: true}", "the reference 'placebo'"),
        ("{column: stage, reference: I, randomised: true}", "more than two values"),
        ("{column: treated, reference: no, randomised: true}", "no column 'treated'"),
    ],
)
def test_a_wrong_declaration_names_column_and_values(trial, tmp_path, asked, said):
    study = Study.read(trial[0], [*QUICK, f"treatment={asked}"])
    with pytest.raises(CohortError, match=said) as error:
        run(study, out=tmp_path / "run")
    assert "To do" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_options_come_together(trial, outcome, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("patient_id,time,event,risk,arm\na,1,1,1,x\nb,2,1,0,y\n")
    done = outcome("evaluate", table, "--treatment", "arm", "--out", tmp_path / "out")
    assert done.code == 2
    assert "--treatment-reference" in done.err
    assert "--randomised" in done.err
    done = outcome("evaluate", table, "--randomised", "--out", tmp_path / "out")
    assert done.code == 2
    assert "--treatment COLUMN" in done.err


def test_a_table_from_elsewhere(outcome, tmp_path):
    rows = ["patient_id,time_months,event,risk,given"]
    rows += [f"p{i},{1 + i * 37 % 50},{i % 3 > 0:d},{i * 17 % 23},{'ab'[i % 2]}" for i in range(80)]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    done = outcome(
        "evaluate", tmp_path / "table.csv", "--treatment", "given", "--treatment-reference", "a",
        "--not-randomised", "--resamples", 0, "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "confounding" in " ".join(done.out.split() + done.err.split())
    about = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert about["treatment"] == {"column": "given", "reference": "a", "randomised": False}
    assert "Confounding may explain" in (tmp_path / "out" / "report.html").read_text()
    assert "given" not in about["covariates"]["categorical"]
