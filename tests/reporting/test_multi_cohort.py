"""One page over several runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from run_folders import binary_run, edit_manifest, survival_run

from outcome.errors import RunFolderError
from outcome.evaluation.mean_over_cohorts import mean_over_cohorts
from outcome.reporting.multi_cohort import write_cohorts


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    base = tmp_path_factory.mktemp("cohorts")
    folders = []
    for i, name in enumerate(["brca", "stad", "luad"]):
        ids = [f"{name}-{k:03}" for k in range(40 + 10 * i)]
        arms = {"image": ["image"], "image+report": ["image", "report"]}
        folder = survival_run(base / name, n=len(ids), ids=ids, arms=arms, name=name)
        metrics = pd.read_csv(folder / "metrics.csv")
        metrics["estimate"] += 0.02 * i
        metrics.to_csv(folder / "metrics.csv", index=False)
        folders.append(folder)
    return folders


def test_the_mean_counts_cohorts_alike():
    table = pd.DataFrame({"arm": "a", "estimate": [0.6, 0.7, np.nan], "se": [0.03, 0.04, 0.01]})
    row = mean_over_cohorts(table, "estimate", ["arm"]).iloc[0]
    half = 1.959963984540054 * np.hypot(0.03, 0.04) / 2
    assert [row["estimate"], row["lower"], row["upper"]] == pytest.approx(
        [0.65, 0.65 - half, 0.65 + half]
    )
    assert row["cohorts"] == 2
    assert mean_over_cohorts(table.iloc[:1], "estimate", ["arm"]).empty


def test_the_interval_of_the_mean_covers_it():
    rng = np.random.default_rng(11)
    truth, se = np.array([0.6, 0.65, 0.7, 0.55]), np.array([0.02, 0.05, 0.03, 0.04])
    hits = 0
    for _ in range(1000):
        table = pd.DataFrame({"arm": "a", "estimate": rng.normal(truth, se), "se": se})
        row = mean_over_cohorts(table, "estimate", ["arm"]).iloc[0]
        hits += row["lower"] <= truth.mean() <= row["upper"]
    assert 925 <= hits <= 972


def test_one_table_and_one_forest_plot(three, tmp_path, figures):
    made = write_cohorts(three, tmp_path / "page")
    scores = pd.read_csv(tmp_path / "page" / "cohorts.csv")
    image = scores[scores["arm"] == "image"]
    assert image["cohort"].tolist() == ["brca", "stad", "luad"]
    mean = made.means.set_index("arm").loc["image"]
    assert mean["estimate"] == pytest.approx(image["estimate"].mean())
    assert mean["lower"] < mean["estimate"] < mean["upper"]
    html = made.path.read_text(encoding="utf-8")
    for part in ("brca", "Mean", "3 cohorts", "Differences from the baseline"):
        assert part in html
    assert (tmp_path / "page" / "figures" / "cohorts-image.svg").is_file()
    assert "No patient id occurs in two cohorts." in html
    # Again into the same folder; but never over a run.
    write_cohorts(three[:2], tmp_path / "page")
    with pytest.raises(RunFolderError, match="contains other files"):
        write_cohorts(three, three[0])


def test_an_arm_that_some_cohorts_lack_is_said_to_be_so(three, tmp_path):
    other = survival_run(tmp_path / "small", n=40, arms={"image": ["image"]}, name="small")
    html = write_cohorts([*three, other], tmp_path / "page").path.read_text(encoding="utf-8")
    assert "“image+report” could not be evaluated in every cohort" in html


def test_shared_patients_are_a_caution(three, tmp_path):
    again = survival_run(
        tmp_path / "again", n=40, ids=[f"brca-{k:03}" for k in range(40)], name="again"
    )
    html = write_cohorts([three[0], again], tmp_path / "page").path.read_text(encoding="utf-8")
    assert "40 patient ids occur in several cohorts" in html


def test_equal_names_are_told_apart(three, tmp_path):
    twin = survival_run(tmp_path / "twin", n=40, name="brca")
    made = write_cohorts([three[0], twin], tmp_path / "page")
    assert set(made.scores["cohort"]) == {"brca (brca)", "brca (twin)"}


def test_what_does_not_belong_together_is_refused(three, tmp_path):
    binary = binary_run(tmp_path / "binary", n=60)
    with pytest.raises(RunFolderError, match="different main metrics"):
        write_cohorts([three[0], binary], tmp_path / "page")
    with pytest.raises(RunFolderError, match="given twice"):
        write_cohorts([three[0], three[0]], tmp_path / "page")
    with pytest.raises(RunFolderError) as error:
        write_cohorts([tmp_path / "a", tmp_path / "b"], tmp_path / "page")
    assert "2 problems" in str(error.value)
    assert not (tmp_path / "page").exists()


def test_the_command_makes_one_page_or_several(three, tmp_path, outcome, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (three[0] / "report.html").unlink(missing_ok=True)
    done = outcome("report", three[0])
    assert done.code == 0
    assert (three[0] / "report.html").is_file()
    assert "brca-003" not in (three[0] / "report.html").read_text()
    done = outcome("report", three[0], "--show-ids")
    assert "brca-003" in (three[0] / "report.html").read_text()
    done = outcome("report", *three)
    assert done.code == 0
    assert "Mean over cohorts" in done.out
    about = json.loads((tmp_path / "reports" / "cohorts" / "manifest.json").read_text())
    assert [r["name"] for r in about["runs"]] == ["brca", "stad", "luad"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nowhere"),
        (("RUN", "--out", "x"), "--out is only for a page over several runs"),
        (("RUN", "RUN2", "--show-ids"), "--show-ids is only for the page of one run"),
    ],
)
def test_bad_calls_end_with_status_2(three, outcome, words, said):
    places = {"RUN": three[0], "RUN2": three[1]}
    done = outcome("report", *(places.get(w, w) for w in words))
    assert done.code == 2
    assert said in done.err


def test_a_damaged_run_is_named(three, tmp_path):
    broken = survival_run(tmp_path / "broken", n=40, name="broken")
    edit_manifest(broken, format=99)
    with pytest.raises(RunFolderError, match="reads up to 1"):
        write_cohorts([three[0], broken], tmp_path / "page")
