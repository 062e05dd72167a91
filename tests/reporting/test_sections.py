"""Chapters that need more than metrics: covariates, probabilities, several endpoints, pictures."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin
from run_folders import (
    ARMS,
    HOSTILE,
    add_patients,
    binary_run,
    edit_manifest,
    edit_predictions,
    survival_run,
    with_survival,
)

from outcome.evaluation.study_tables import STUDY_TABLES
from outcome.pipeline.rebuild_report import report as write_report
from outcome.reporting.page.glossary import glossary
from outcome.reporting.sections.methods_section import methods
from outcome.reporting.sections.summary_section import answers
from outcome.run_folder.read import read_run

ONE = {"image": ["image"]}


def text_of(folder, **options):
    html = write_report(folder, **options).read_text(encoding="utf-8")
    html = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", "", html.replace("<wbr>", "")).split())


def sections(folder):
    html = (folder / "report.html").read_text(encoding="utf-8")
    return re.findall(r'<section id="([\w-]+)"', html)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A survival study with covariates and calibrated columns, and its page."""
    folder = survival_run(tmp_path_factory.mktemp("full"), n=120)
    covariates = add_patients(folder)
    edit_predictions(folder, with_survival)
    edit_manifest(folder, protocol={"cutoffs": "median", "calibration": "one slope"})
    return folder, covariates


def test_a_full_run_has_every_chapter(full):
    folder, _ = full
    text_of(folder)
    assert sections(folder) == [
        "answers", "reading", "cohort", "discrimination", "comparison", "risk-groups", "effects",
        "auc-over-time", "calibration", "decision-curve", "subgroups", "nuisance", "training",
        "methods", "warnings", "checklists", "reproducibility",
    ]  # fmt: skip


def test_table_one_says_what_the_covariates_say(full):
    folder, covariates = full
    text = text_of(folder)
    predictions = pd.read_csv(folder / "predictions.csv").drop_duplicates("patient_id")
    people = covariates.merge(predictions[["patient_id", "event"]], on="patient_id")
    had = people[people["event"] == 1]
    stage = (had["stage"] == "I").sum()
    assert f"event (n = {len(had)})" in text
    assert f"{stage} ({100 * stage / len(had):.0f}%)" in text
    age = pd.to_numeric(people["age"])
    assert f"{age.median():.1f}".removesuffix(".0") in text
    assert f"{age.isna().sum()} ({100 * age.isna().mean():.0f}%)" in text


def test_every_number_of_the_page_lies_beside_it(full):
    folder, _ = full
    write_report(folder)
    for name in ("characteristics", "follow_up", "effects", "subgroups", "nuisance", "calibration"):
        assert len(pd.read_csv(folder / f"{name}.csv")), name
    # What no longer follows from the run is taken away.
    (folder / "covariates.csv").rename(folder / "kept")
    write_report(folder)
    assert not (folder / "added_value.csv").exists()
    (folder / "kept").rename(folder / "covariates.csv")
    assert set(STUDY_TABLES) >= {p.stem for p in folder.glob("added_value.csv")}


def test_a_score_made_of_the_covariates_is_not_adjusted_for_them(tmp_path):
    folder = survival_run(tmp_path, n=80, arms={"image": ["image"], "clinical": ["clinical"]})
    add_patients(folder)
    text = text_of(folder)
    assert "their effects could not be separated" in text
    part = text.partition("Hazard ratios, clinical")[2].partition("AUC over time")[0]
    assert "univariable" in part
    assert "multivariable" not in part
    assert "Does the score add to age, stage?" in text
    rows = pd.read_csv(folder / "effects.csv")
    assert set(rows.loc[rows["model"] == "multivariable", "arm"]) == {"image"}
    assert pd.read_csv(folder / "added_value.csv")["arm"].tolist() == ["image"]


@pytest.mark.parametrize(("cut", "words"), [([0.25, 0.75], "25% and 75% quantiles")])
def test_cut_offs_of_several_shares_are_named(tmp_path, cut, words):
    folder = survival_run(tmp_path, n=40, arms=ONE)
    edit_manifest(folder, protocol={"cutoffs": cut})
    assert words in text_of(folder)


def test_a_landmark_study_counts_events_by_then(tmp_path):
    folder = survival_run(tmp_path, n=120, folds=3)
    edit_predictions(folder, with_survival)
    edit_manifest(
        folder,
        endpoint={"kind": "landmark", "name": "relapse", "unit": "days", "horizons": [365]},
    )
    metrics = pd.read_csv(folder / "metrics.csv").replace({"metric": {"harrell_c": "auroc"}})
    metrics[metrics["metric"] == "auroc"].to_csv(folder / "metrics.csv", index=False)
    text = text_of(folder)
    once = pd.read_csv(folder / "predictions.csv").drop_duplicates("patient_id")
    by_then = once["time"] <= 365
    events = int((by_then & (once["event"] == 1)).sum())
    lost = int((by_then & (once["event"] == 0)).sum())
    assert f"120 patients, {events} events" in text
    assert f"he outcome of {lost} patients censored before that time is unknown" in text
    assert "scores" in sections(folder)
    assert "auc-over-time" not in sections(folder)
    assert "cover the whole follow-up" in text
    assert "weighted by the inverse probability of censoring" in text


def test_competing_events_have_cumulative_incidences(tmp_path):
    folder = survival_run(tmp_path, n=120, arms=ONE)

    def compete(table):
        some = (table["event"] == 0) & (table["patient_id"].str[-1].astype(int) < 6)
        return table.assign(event=table["event"].mask(some, 2))

    edit_predictions(folder, compete)
    text = text_of(folder)
    assert "Cumulative incidence (95% interval)" in text
    assert "Gray’s test" in text
    assert text.count("Subdistribution hazard ratio against low") == 1
    assert "Subdistribution hazard ratio (95% interval)" in text
    assert "from the model of Fine and Gray" in text
    assert "Not reached: the incidence stays below 50%" in text
    assert "Kaplan-Meier curves of image" not in text
    number = int((pd.read_csv(folder / "predictions.csv")["event"] == 2).sum())
    assert f"competing events ({number} patients)" in text
    assert f"{number} patients had a competing event" in text


def test_secondary_endpoints_are_no_part_of_the_answers(tmp_path):
    folder = binary_run(tmp_path, n=90)
    once = pd.read_csv(folder / "risk_groups.csv").assign(endpoint="")
    other = pd.DataFrame(
        {"arm": "image", "group": ["low", "high"], "n": 45, "events": [3, 17], "endpoint": "pfs",
         "median_survival": [np.nan, 300.0], "hazard_ratio": [1.0, 2.5],
         "hr_lower": [np.nan, 1.2], "hr_upper": [np.nan, 4.9]}
    )  # fmt: skip
    pd.concat([once, other]).to_csv(folder / "risk_groups.csv", index=False)
    changes = pd.read_csv(folder / "comparisons.csv").assign(endpoint="")
    worse = changes.assign(endpoint="pfs", difference=-0.9, lower=-0.95, upper=-0.85, p_value=1e-9)
    pd.concat([changes, worse]).to_csv(folder / "comparisons.csv", index=False)
    text = text_of(folder)
    assert "Median time to event" not in text
    assert "2.50 (1.20 to 4.90)" in text
    answers = text.partition("Contents")[0]
    assert "−0.9" not in answers
    assert "Differences between arms on pfs" in text
    assert "secondary" in sections(folder)


def test_arms_of_several_models_are_listed_model_by_model(tmp_path):
    folder = survival_run(tmp_path, n=60, arms={"image": ["image"], "late": ["image", "report"]})
    records = []
    for fold in range(5):
        base = {"repeat": 0, "fold": str(fold), "inner_folds": 4, "calibration": {"slope": 0.8}}
        records.append(
            {"arm": "image", "model": "image attention", "epochs": 7, "weight": 1, **base}
        )
        records.append(
            {"arm": "late", "model": "image attention", "epochs": 7, "weight": 0.6, **base}
        )
        records.append(
            {"arm": "late", "model": "report linear", "penalty": 0.1, "weight": 0.4, **base}
        )
    edit_manifest(folder, epochs=records)
    history = pd.read_csv(folder / "history.csv").assign(model="image attention")
    history.to_csv(folder / "history.csv", index=False)
    text = text_of(folder)
    assert (
        "Image attention was trained for a median of 7 epochs (7 to 7) (in “image” and “late”)"
        in text
    )
    assert "Report linear is a linear model with a ridge penalty (0.1) (in “late”)" in text
    assert re.search(r"late report linear 5 0\.1 0\.40 0\.80 4", text)
    assert re.search(r"image image attention 5 7 7 7 0\.80 4", text)


def test_numbers_of_the_methods_are_those_of_the_tables(full):
    folder, _ = full
    write_report(folder)
    run = read_run(folder)
    said = " ".join(methods(run))
    epochs = [e["epochs"] for e in run.manifest["epochs"] if e["arm"] == "image"]
    middle = f"{np.median(epochs):g}"
    assert (
        f"“image” was trained for a median of {middle} epochs ({min(epochs)} to {max(epochs)})"
        in said
    )
    assert "The covariates are age, stage." in said
    assert "Holm’s correction over 2 comparisons" in said
    once = pd.read_csv(folder / "predictions.csv").drop_duplicates("patient_id")
    assert f"{once['event'].sum()} events" in said


def test_the_checklists_say_where_and_what_authors_fill_in(full):
    folder, _ = full
    html = write_report(folder).read_text(encoding="utf-8")
    part = html.partition('id="checklists"')[2].partition("</section>")[0]
    table = part.partition("TRIPOD+AI:")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.S)[1:]
    items = {re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", r, flags=re.S)[0]: r for r in rows}
    assert len(items) == 52
    for item in ("5b", "6b", "17", "18a", "27c"):
        assert "to be filled in by the authors" in items[item]
    for item, anchor in (("20b", "cohort"), ("23b", "subgroups"), ("12c", "methods")):
        assert f'href="#{anchor}"' in items[item]


def test_the_checklists_are_a_table_for_a_submission(full):
    folder, _ = full
    write_report(folder)
    table = pd.read_csv(folder / "checklists.csv", keep_default_na=False)
    sizes = table.groupby("checklist")["item"].count()
    assert sizes["TRIPOD+AI"] == 52
    assert sizes["REMARK"] == 20
    remark = table[table["checklist"] == "REMARK"].set_index("item")
    assert remark.loc["15", "chapter"] == "Risk groups"
    assert remark.loc["3", "answer"] == "to be filled in by the authors"
    assert remark.loc["3", "chapter"] == ""
    bias = table[table["checklist"] == "PROBAST+AI"].set_index("asks")["answer"]
    once = pd.read_csv(folder / "predictions.csv").drop_duplicates("patient_id")
    assert bias["Enough patients with the outcome"] == (
        f"{once['event'].sum()} events in {len(once)} patients"
    )


def test_a_checklist_item_is_answered_only_where_its_chapter_is(tmp_path):
    folder = survival_run(tmp_path, n=40, arms=ONE)
    html = write_report(folder).read_text(encoding="utf-8")
    part = html.partition('id="checklists"')[2].partition("</section>")[0]
    assert 'href="#subgroups"' not in part
    assert 'href="#comparison"' not in part


def test_attention_examples_are_shown_without_ids(tmp_path):
    folder = survival_run(tmp_path, n=40, arms=ONE)
    text_of(folder)
    assert "attention" not in sections(folder)
    note = PngImagePlugin.PngInfo()
    note.add_text("comment", "SIM-0001")
    (folder / "attention").mkdir()
    picture = Image.new("RGB", (2000, 30), "red")
    picture.save(folder / "attention" / "SIM-0001.png", pnginfo=note)
    (folder / "attention" / "broken.png").write_bytes(b"no picture")
    rows = [
        {
            "file": "SIM-0001.png", "arm": "image", "patient_id": "SIM-0001",
            "title": "High risk, example 1", "caption": "tumour",
        }
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "attention" / "examples.csv", index=False)
    text = text_of(folder)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "attention" in sections(folder)
    assert "High risk, example 1, arm image" in text
    assert "SIM-0001" not in html
    assert 'width="900"' in html
    assert "SIM-0001" in text_of(folder, show_ids=True)


def test_short_ids_are_replaced_in_lists_of_examples(tmp_path):
    folder = survival_run(tmp_path, n=40, arms=ONE, ids=[str(i) for i in range(40)])
    edit_manifest(folder, warnings=["3 patients are not scored, e.g. 12, 15, 39"])
    text = text_of(folder)
    assert "3 patients are not scored, e.g. [patient" in text
    assert "e.g. 12" not in text
    assert "e.g. 12, 15, 39" in text_of(folder, show_ids=True)


def test_hostile_covariates_are_text(tmp_path):
    folder = survival_run(tmp_path, n=60, arms=ONE)
    add_patients(folder, hostile=HOSTILE)
    html = write_report(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert html.count("<script>") == 1


def test_covariates_that_cannot_be_used_are_a_warning(tmp_path):
    folder = survival_run(tmp_path, n=40, arms=ONE)
    (folder / "covariates.csv").write_text("who,age\na,1\n")
    text = text_of(folder)
    assert "covariates.csv does not have one row for each patient_id and is not used" in text


def test_the_manifest_of_an_older_run_is_enough(tmp_path):
    folder = survival_run(tmp_path, n=40, arms=ONE)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "covariates" not in manifest
    text = text_of(folder)
    assert "there is no Table 1" in text
    assert "Median follow-up is" in text


def test_a_category_of_many_levels_is_neither_shown_nor_modelled(tmp_path):
    folder = survival_run(tmp_path, n=60, arms=ONE)
    covariates = add_patients(folder)
    covariates.assign(stage=covariates["patient_id"]).to_csv(folder / "covariates.csv", index=False)
    text = text_of(folder)
    assert "covariate stage has more than 20 levels and is not used in tables" in text
    assert "SIM-00" not in (folder / "report.html").read_text(encoding="utf-8")
    assert "multivariable" in text
    assert set(pd.read_csv(folder / "effects.csv")["term"]) == {"risk", "age"}


def test_a_contrast_without_the_baseline_does_not_answer_for_it(tmp_path):
    arms = {**ARMS, "report+clinical": ["report", "clinical"]}
    folder = survival_run(tmp_path, arms=arms, n=90)
    rows = pd.read_csv(folder / "comparisons.csv")
    nothing = rows.assign(difference=0.01, lower=-0.05, upper=0.07, p_value=0.7, p_adjusted=0.7)
    strong = nothing.iloc[[0]].assign(
        arm="image+report", baseline="report", difference=0.1, lower=0.05, upper=0.15,
        p_value=1e-4, p_adjusted=1e-4,
    )  # fmt: skip
    pd.concat([nothing, strong]).to_csv(folder / "comparisons.csv", index=False)
    answer = text_of(folder).partition("add to the image?")[2][:200]
    assert "No evidence of it" in answer


@pytest.mark.parametrize(
    ("arms", "baseline", "question"),
    [
        (["image", "image+report"], "image", "Does the report add to the image?"),
        (["image", "image+clinical"], "image", "Do clinical data add to the image?"),
        (
            ["clinical", "image+clinical"],
            "clinical",
            "Does the image add to what is known already?",
        ),
        (
            ["report+clinical", "image+report+clinical"],
            "report+clinical",
            "Does the image add to the report and clinical data?",
        ),
        (
            ["image", "image+report+clinical"],
            "image",
            "Do the report and clinical data add to the image?",
        ),
    ],
)
def test_the_question_is_asked_as_people_ask_it(tmp_path, arms, baseline, question):
    folder = survival_run(tmp_path, n=40, folds=2, arms={arm: arm.split("+") for arm in arms})
    edit_manifest(folder, baseline=baseline)
    rows = pd.read_csv(folder / "comparisons.csv").assign(arm=arms[1], baseline=baseline)
    rows.to_csv(folder / "comparisons.csv", index=False)
    assert answers(read_run(folder))[2].question == question


def test_secondary_endpoints_have_curves_of_the_same_groups(tmp_path):
    folder = survival_run(tmp_path, n=60)
    edit_predictions(folder, lambda t: t.assign(pfs_time=t["time"] / 2, pfs_event=1))
    edit_manifest(folder, secondary=[{"name": "pfs", "kind": "survival"}])
    rows = pd.read_csv(folder / "metrics.csv").assign(endpoint="")
    pd.concat([rows, rows.assign(endpoint="pfs")]).to_csv(folder / "metrics.csv", index=False)
    html = write_report(folder).read_text(encoding="utf-8")
    part = html.partition('id="secondary"')[2].partition("</section>")[0]
    assert part.count("patients without the event (pfs) over time") == 2


def test_divisions_with_one_test_set_each_are_not_called_folds(tmp_path):
    folder = survival_run(tmp_path, n=120, folds=1, repeats=3)
    edit_predictions(folder, lambda t: t.assign(fold="s" + t["repeat"].astype(str)))
    text = text_of(folder)
    assert "-fold cross-validation" not in text
    assert "3 random divisions with one test set each" in text
    assert "Patients were divided 3 times into a development set and a test set" in text
    assert "exploratory" in text


def test_folds_with_too_few_events_are_told_in_the_methods(tmp_path):
    folder = survival_run(tmp_path, n=60)
    used = [{"arm": "image", "repeat": 0, "fold": k, "epochs": 5, "few_events": k < 2}
            for k in range(5)]  # fmt: skip
    edit_manifest(folder, epochs=used)
    assert "In 2 folds the development patients had too few events" in text_of(folder)


def test_the_glossary_says_what_is_on_record(tmp_path):
    folder = survival_run(tmp_path / "run", n=40, groups=("low", "intermediate", "high"))
    terms = dict(glossary(read_run(folder), None))
    assert "No patient is scored by a model that was trained" in terms["Cross-validated"]
    assert "low, intermediate, high" in terms["Risk group"]
    assert "fixed on development patients only" in terms["Risk group"]
    edit_manifest(folder, protocol={"risk groups": "image: cut at the median of these patients"})
    (folder / "splits.csv").unlink()
    terms = dict(glossary(read_run(folder), None))
    assert "there is no record of the patients" in terms["Cross-validated"]
    assert "image: cut at the median of these patients." in terms["Risk group"]
    assert "development" not in terms["Risk group"]
    edit_predictions(folder, lambda t: t.assign(fold=t["fold"].where(t["arm"] != "report", "all")))
    run = read_run(folder)
    assert run.folds == 3
    assert "“report” is a fixed score without folds" in dict(glossary(run, None))["Cross-validated"]
    edit_predictions(folder, lambda t: t.assign(fold="all"))
    assert "Cross-validated" not in dict(glossary(read_run(folder), None))


def test_the_best_of_several_arms_was_selected(tmp_path):
    said = "the highest of 3 arms, which tends to be too good"
    several, one = (survival_run(tmp_path / f"{len(a)}", arms=a, n=40) for a in (ARMS, ONE))
    assert said in answers(read_run(several))[1].sentences[0]
    assert said not in answers(read_run(one))[1].sentences[0]
