from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from run_folders import ARMS, HOSTILE, LONG, binary_run, edit_manifest, survival_run

from outcome.errors import InputError, RunFolderError
from outcome.pipeline.rebuild_report import report as write_report
from outcome.reporting.sections.summary_section import judge

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}


class Page(HTMLParser):
    """The text, tags and attributes of a page; fails on tags that do not nest."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.words, self.attributes = [], [], [], []
        self.goes_on = False
        self.feed(html)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v or "") for k, v in attrs]
        if tag not in VOID:
            self.open.append(tag)
        self.goes_on = tag == "wbr"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"style", "script"} & set(self.open):
            return
        if self.goes_on:
            data = self.words.pop() + data
        self.words.append(data)
        self.goes_on = False

    def values(self, tag, name):
        return [v for t, k, v in self.attributes if (t, k) == (tag, name)]


def page(folder, **options):
    return Page(write_report(folder, **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def survival(tmp_path_factory, saved_figures):
    folder = survival_run(tmp_path_factory.mktemp("survival"), n=240, folds=5)
    with saved_figures():
        return folder, page(folder)


def test_first_screen_answers_with_the_numbers_of_the_run(survival):
    _, made = survival
    for question in (
        "Does the score work?",
        "How well?",
        "Does the report add to the image?",
        "May I trust it?",
    ):
        assert question in made.text
    assert "C-index 0.72 (0.68 to 0.76)" in made.text
    assert "no evidence of a difference, C-index +0.050 (95% interval −0.020 to +0.120" in made.text
    assert "p = 0.02; p = 0.04 after Holm’s correction for 2 comparisons" in made.text
    assert "include the variation from training" in made.text
    assert "given these fitted models" not in made.text


def test_every_section_is_there_once_and_headings_are_in_order(survival):
    _, made = survival
    ids = made.values("section", "id")
    assert ids == [
        "answers",
        "reading",
        "cohort",
        "discrimination",
        "comparison",
        "risk-groups",
        "effects",
        "auc-over-time",
        "calibration",
        "training",
        "methods",
        "warnings",
        "checklists",
        "reproducibility",
    ]
    every = [v for _, k, v in made.attributes if k == "id"]
    assert len(every) == len(set(every))
    levels = [int(t[1]) for t in made.tags if re.fullmatch(r"h[1-6]", t)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_every_link_inside_the_page_leads_somewhere(survival):
    _, made = survival
    ids = {v for _, k, v in made.attributes if k == "id"}
    assert {h.removeprefix("#") for h in made.values("a", "href")} <= ids


def test_the_page_is_one_file_with_described_pictures(survival):
    folder, made = survival
    sources = made.values("img", "src")
    # Two curves and the forest of the first screen stand in their chapters again.
    assert len(sources) == 13 + 3
    assert len(set(sources)) == 13
    assert all(s.startswith("data:image/svg+xml;base64,") for s in sources)
    assert all(len(alt) > 20 for alt in made.values("img", "alt"))
    assert not made.values("script", "src")
    assert "link" not in made.tags
    html = (folder / "report.html").read_text()
    assert "http:" not in re.sub(r"base64,[\w+/=]+", "", html)
    assert not (folder / "report.html.part").exists()


def test_figures_are_written_beside_it(survival):
    folder, _ = survival
    names = {p.name for p in (folder / "figures").iterdir()}
    for stem in ("arms", "differences", "kaplan-meier-image-report", "loss-report"):
        assert {f"{stem}.png", f"{stem}.svg", f"{stem}.pdf"} <= names


def test_simulated_data_are_labelled_and_real_ones_are_not(survival, tmp_path):
    assert "Simulated data." in survival[1].text
    real = page(survival_run(tmp_path, n=40, simulated=False))
    assert "Simulated data" not in real.text
    assert "data are simulated" not in real.text


def test_methods_say_what_the_manifest_says(survival):
    text = survival[1].text
    for part in (
        "240 patients with 280 slides; 168 events (70%)",
        "216,000 patch embeddings of 1024 dimensions (MUSK), a median of 870 per patient",
        "available for 233 patients and missing for 7",
        "divided into 5 folds",
        "1,000 bootstrap resamples of patients, within folds",
        "divided by the sum of the weights",
        "Cut-offs of the risk groups were the median of the development patients’ risks",
    ):
        assert part in text


def test_held_out_patients_have_ordinary_intervals_and_p(tmp_path):
    text = page(survival_run(tmp_path, folds=1, simulated=False)).text
    assert "given these fitted models" not in text
    assert "xploratory" not in text
    assert "Cross-validated" not in text
    assert "p = 0.02; p = 0.04 after Holm’s" in text


def test_intervals_of_an_older_folder_are_called_too_narrow(tmp_path):
    folder = survival_run(tmp_path, n=40)
    old = pd.read_csv(folder / "metrics.csv").drop(columns="variance")
    old.to_csv(folder / "metrics.csv", index=False)
    text = page(folder).text
    assert "treat the fitted models as fixed" in text
    assert "p = 0.02, exploratory" in text
    assert "given these fitted models" in text


def test_the_same_folder_gives_the_same_page(tmp_path, figures):
    folder = survival_run(tmp_path, n=40, arms={"image": ["image"]})
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_matplotlib_settings_of_the_caller_play_no_part(tmp_path, figures):
    import matplotlib as mpl

    folder = survival_run(tmp_path, n=40, arms={"image": ["image"]})
    first = write_report(folder).read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        assert write_report(folder).read_bytes() == first
        assert dict(mpl.rcParams) == before


def test_binary_outcome_has_roc_and_scores_and_no_survival_words(tmp_path):
    made = page(binary_run(tmp_path, n=180))
    assert "AUROC 0.72" in made.text
    assert "scores" in made.values("section", "id")
    assert "Kaplan" not in made.text
    assert "68 patients of the rarer class" in made.text
    assert re.search(r"high \d+ \d+ \d\d \(\d\d to \d\d\) %", made.text)
    assert "log-rank" not in made.text


def test_a_response_is_associated_and_not_predictive(tmp_path):
    made = page(binary_run(tmp_path, favourable=True, probability=False))
    assert "association with the outcome among treated patients" in made.text
    assert "Rank of the risk score" in " ".join(made.values("img", "alt"))


def test_roc_of_a_favourable_outcome_is_not_upside_down(tmp_path):
    folder = binary_run(tmp_path, favourable=True)
    write_report(folder)
    curves = pd.read_csv(folder / "roc_curves.csv")
    for _, rows in curves[curves["fold"] == "mean"].groupby("arm"):
        assert np.trapezoid(rows["tpr"], rows["fpr"]) > 0.6


def test_a_complete_folder_is_rendered_as_it_is_and_a_missing_table_is_computed(tmp_path):
    folder = survival_run(tmp_path, n=40)
    write_report(folder)
    edit_manifest(folder, tables=[p.stem for p in folder.glob("*.csv")])
    spread = pd.read_csv(folder / "fold_spread.csv")
    spread.assign(highest=0.123).to_csv(folder / "fold_spread.csv", index=False)
    write_report(folder)
    assert set(pd.read_csv(folder / "fold_spread.csv")["highest"]) == {0.123}
    (folder / "risk_range.csv").unlink()
    write_report(folder)
    assert (folder / "risk_range.csv").is_file()
    again = pd.read_csv(folder / "fold_spread.csv")
    assert again["highest"].tolist() == pytest.approx(spread["highest"].tolist())


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        ("metrics.csv", "This run has no metrics.csv"),
        ("comparisons.csv", "This run has no comparisons.csv"),
        ("cohort_flow.csv", "This run has no cohort_flow.csv"),
        ("history.csv", "loss curves cannot be shown"),
        ("splits.csv", "no record of the training and test patients"),
        ("risk_groups.csv", "Risk groups"),
    ],
)
def test_an_absent_file_is_said_or_left_out(tmp_path, absent, said):
    folder = survival_run(tmp_path, n=40)
    (folder / absent).unlink()
    assert said in page(folder).text


def test_a_bare_folder_gives_a_page(tmp_path):
    folder = survival_run(tmp_path, n=40)
    for path in folder.iterdir():
        if path.name not in ("manifest.json", "predictions.csv"):
            path.unlink()
    needed = ("name", "endpoint", "arms", "baseline")
    manifest = json.loads((folder / "manifest.json").read_text())
    edit_manifest(folder, **{k: None for k in manifest if k not in needed})
    made = page(folder)
    assert "performance is unknown" in made.text
    assert "None" not in made.text
    assert "nan" not in made.text.split()


def test_absent_columns_are_left_out(tmp_path):
    folder = survival_run(tmp_path, n=40)
    for name, keep in (
        ("metrics.csv", ["arm", "metric", "estimate"]),
        ("comparisons.csv", ["arm", "baseline", "metric", "difference"]),
        ("risk_groups.csv", ["arm", "group", "n"]),
        ("cohort_flow.csv", ["step", "patients"]),
        ("predictions.csv", ["arm", "patient_id", "repeat", "fold", "time", "event", "risk"]),
    ):
        pd.read_csv(folder / name)[keep].to_csv(folder / name, index=False)
    text = page(folder).text
    assert "no interval could be computed" in text
    assert "the difference could not be estimated" in text
    assert "nan" not in text.split()


def test_remarks_of_the_evaluation_are_shown(tmp_path):
    folder = survival_run(tmp_path, n=40)
    for name, note in (
        ("metrics.csv", "1 of 5 folds has no pairs"),
        ("comparisons.csv", "on 38 common patients"),
        ("risk_groups.csv", "a group has no events"),
    ):
        pd.read_csv(folder / name).assign(note=note).to_csv(folder / name, index=False)
        assert note in page(folder).text


def test_a_positive_code_is_named_after_its_column(tmp_path):
    folder = binary_run(tmp_path)
    endpoint = {"kind": "binary", "name": "relapse", "label": "relapse", "positive": "1"}
    edit_manifest(folder, endpoint=endpoint)
    assert "Predicted probability of “relapse = 1”" in " ".join(page(folder).values("img", "alt"))


def test_a_damaged_table_is_a_warning(tmp_path):
    folder = survival_run(tmp_path, n=40)
    (folder / "risk_groups.csv").write_text("arm,size\nimage,3\n")
    text = page(folder).text
    assert "risk_groups.csv has no column group, n and is not used" in text
    assert "This run gave 1 warning." in text


def test_metrics_that_cannot_be_estimated_are_said_to_be_so(tmp_path):
    folder = survival_run(tmp_path, n=40)
    metrics = pd.read_csv(folder / "metrics.csv")
    metrics.loc[metrics["arm"] == "report", ["estimate", "lower", "upper"]] = np.nan
    metrics.to_csv(folder / "metrics.csv", index=False)
    text = page(folder).text
    assert "not estimable" in text
    assert "For “report” no interval could be computed" in text


def test_constant_risk_has_one_group_and_a_caution(tmp_path):
    text = page(survival_run(tmp_path, n=60, constant="report")).text
    assert "“report” gives every patient the same risk: the model learned nothing" in text
    assert "so there is one group" in text


def test_twelve_patients_four_groups_and_long_names(tmp_path):
    arms = {"image": ["image"], LONG: ["image", "report", "clinical"]}
    text = page(
        survival_run(tmp_path, arms=arms, n=12, folds=2, groups=("q1", "q2", "q3", "q4"))
    ).text
    assert "Only 8 events" in text
    assert "Hazard ratio against q1" in text
    assert LONG in text


def test_repeats_show_each_patient_once_in_the_curves(tmp_path):
    made = page(survival_run(tmp_path, n=60, repeats=2))
    assert "averages over 2 repeats" in made.text
    assert "First of several repeats." in made.text
    assert "30 patients" in " ".join(made.values("img", "alt"))


def test_hostile_values_are_text(tmp_path, figures):
    arms = {"image": ["image"], HOSTILE: ["image", "report"]}
    ids = [f"{HOSTILE}{i}" for i in range(40)]
    folder = survival_run(
        tmp_path, n=40, arms=arms, ids=ids, name=HOSTILE, warnings=[HOSTILE], notes=[HOSTILE]
    )
    made = page(folder, show_ids=True)
    assert made.tags.count("script") == 1
    assert HOSTILE in "".join(made.words)
    assert ids[7] in "".join(made.words)
    assert all(len(p.name) < 80 for p in (folder / "figures").iterdir())


def test_patient_ids_are_shown_only_where_asked_for(tmp_path):
    folder = survival_run(
        tmp_path,
        n=40,
        warnings=["SIM-0003 has no report"],
        notes=["see SIM-0004 and SIM-0039"],
        inputs={"features/SIM-0005_slide.h5": "00" * 32},
    )
    write_report(folder)
    assert "SIM-00" not in (folder / "report.html").read_text()
    assert "[patient 4] has no report" in page(folder).text
    shown = page(folder, show_ids=True)
    assert "patients" in shown.values("section", "id")
    assert "SIM-0003 has no report" in shown.text
    assert "SIM-0039" in shown.text


def test_a_model_that_saw_its_test_patients_is_found(tmp_path):
    folder = survival_run(tmp_path, n=40)
    splits = pd.read_csv(folder / "splits.csv")
    splits.loc[splits["role"] == "test", "role"] = "development"
    splits.to_csv(folder / "splits.csv", index=False)
    assert "Some scored patients were not test patients of their fold." in page(folder).text


def test_secondary_endpoints_are_kept_apart(tmp_path):
    folder = survival_run(tmp_path, n=40)
    metrics = pd.read_csv(folder / "metrics.csv").assign(endpoint="")
    other = metrics[metrics["metric"] == "harrell_c"].assign(endpoint="overall", estimate=0.99)
    pd.concat([metrics, other]).to_csv(folder / "metrics.csv", index=False)
    text = page(folder).text
    assert "Other endpoints and strata (descriptive)" in text
    assert "C-index 0.72" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a run folder"),
        ("{", "cannot be read"),
        ("[]", "not the manifest"),
        ('{"name": "x", "format": 99}', "reads up to 1"),
    ],
)
def test_what_is_no_run_folder_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RunFolderError, match=message):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_run_without_predictions_is_refused(tmp_path):
    (survival_run(tmp_path, n=40) / "predictions.csv").unlink()
    with pytest.raises(InputError, match=r"predictions\.csv"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((0.05, 0.01, 0.09, 0.01, 0.02), "better"),
        ((-0.05, -0.09, -0.01, 0.01, 0.02), "worse"),
        ((0.05, -0.01, 0.11, 0.20, 0.40), "none"),
        ((0.05, 0.01, 0.09, 0.20, 0.40), "conflict"),
        ((0.05, -0.01, 0.09, 0.01, 0.02), "conflict"),
        ((0.05, 0.01, 0.09, 0.03, 0.06), "fragile"),
        ((0.05, np.nan, np.nan, 0.01, 0.02), "better"),
        ((0.05, 0.01, 0.09, np.nan, np.nan), "better"),
        ((0.05, np.nan, np.nan, np.nan, np.nan), "unknown"),
        ((np.nan, 0.01, 0.09, 0.01, 0.01), "unknown"),
    ],
)
def test_verdicts(numbers, verdict):
    assert judge(*numbers) == verdict


def test_a_lower_error_is_better():
    assert judge(-0.02, -0.03, -0.01, 0.001, 0.001, up=False) == "better"


@pytest.mark.parametrize(
    ("lower", "upper", "p", "short"),
    [
        (-0.02, 0.12, 0.2, "No evidence of it"),
        (0.01, 0.12, 0.01, "It seems so, in these patients"),
        (-0.12, -0.01, 0.01, "No, it is worse"),
        (0.01, 0.12, 0.2, "Undecided"),
    ],
)
def test_what_the_headline_says_of_the_added_report(tmp_path, lower, upper, p, short):
    arms = {k: ARMS[k] for k in ("image", "image+report")}
    folder = survival_run(tmp_path, n=40, arms=arms)
    row = {"difference": (lower + upper) / 2, "lower": lower, "upper": upper}
    row |= {"arm": "image+report", "baseline": "image", "metric": "harrell_c"}
    row |= {"p_value": p, "p_adjusted": p}
    pd.DataFrame([row]).to_csv(folder / "comparisons.csv", index=False)
    assert f"Does the report add to the image? {short}" in page(folder).text
