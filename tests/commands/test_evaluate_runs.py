"""`outcome evaluate RUN`, and `--risk-groups`: where cut-offs come from, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

import outcome as outcome_package
from outcome.errors import InputError
from outcome.evaluation.regrouping import read_rule

TABLES = ("metrics", "comparisons", "risk_groups")


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    """A run folder with horizons and a secondary endpoint; not to be changed."""
    second = "{name: two, kind: survival, time: os_days, event: os_event, unit: days}"
    spec = ["arms=[image, report]", "endpoint.horizons=[365, 730]", f"secondary=[{second}]"]
    folder = tmp_path_factory.mktemp("runs") / "run"
    outcome_package.run(outcome_package.Study.read(small, spec), out=folder, jobs=1)
    return folder


def same(one, other, names=TABLES):
    for name in names:
        a, b = (pd.read_csv(folder / f"{name}.csv") for folder in (one, other))
        pd.testing.assert_frame_equal(a, b)


def test_a_run_folder_says_what_it_is_of(run, outcome, tmp_path):
    done = outcome("evaluate", run, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    # Horizons, secondary endpoint and intervals included.
    same(run, tmp_path / "out", (*TABLES, "auc_over_time", "inner_scores", "splits"))
    of_c = pd.read_csv(run / "metrics.csv").set_index("metric").loc["harrell_c", "variance"]
    assert set(of_c) == {"inner models"}
    said = "risk groups are those of the run, cut at the median of the risks of its development"
    assert f"note: {said} patients" in done.out
    assert "These are SIMULATED patients." in done.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"R{said[1:]}" in page
    about = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert about["simulated"]
    assert about["endpoint"]["name"] == "overall survival"
    assert about["covariates"] == {"numeric": ["age"], "categorical": ["stage"]}
    assert set(pd.read_csv(tmp_path / "out" / "covariates.csv")) == {"patient_id", "age", "stage"}
    # Options say otherwise.
    done = outcome(
        "evaluate", run, "--out", tmp_path / "other", "--horizons", "500", "--baseline", "report",
        "--covariates", "age",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = pd.read_csv(tmp_path / "other" / "metrics.csv")["metric"]
    assert "auc_500" in set(metrics)
    assert "auc_365" not in set(metrics)
    compared = pd.read_csv(tmp_path / "other" / "comparisons.csv")
    assert set(compared["baseline"]) == {"report"}
    # An evaluation has the form of a run folder, and can be given too.
    again = outcome("evaluate", tmp_path / "other", "--out", tmp_path / "third")
    assert again.code == 0, again.err
    one, other = (pd.read_csv(tmp_path / d / "metrics.csv") for d in ("other", "third"))
    primary = one[one["endpoint"].isna()].drop(columns="endpoint").reset_index(drop=True)
    pd.testing.assert_frame_equal(primary, other)
    assert f"note: {said}" in again.out


def test_a_landmark_run_is_judged_as_one(small, outcome, tmp_path):
    endpoint = "{kind: landmark, time: os_days, event: os_event, horizon: 730}"
    spec = ("--set", f"endpoint={endpoint}", "--set", "arms=[image]", "--jobs", 1)
    assert outcome("run", small, "--out", tmp_path / "run", *spec).code == 0
    done = outcome("evaluate", tmp_path / "run", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    same(tmp_path / "run", tmp_path / "out")
    done = outcome(
        "evaluate", tmp_path / "run", "--out", tmp_path / "no", "--risk-groups", "maxstat"
    )
    assert done.code == 2
    assert "maxstat needs a time to an event" in done.err
    done = outcome("evaluate", tmp_path / "run", "--out", tmp_path / "no", "--horizons", "365")
    assert done.code == 2
    assert "the event by a fixed time" in done.err
    # Without the study file, the manifest says it.
    shutil.copytree(tmp_path / "run", tmp_path / "bare")
    (tmp_path / "bare" / "study.yaml").unlink()
    done = outcome("evaluate", tmp_path / "bare", "--out", tmp_path / "from_manifest")
    assert done.code == 0, done.err
    same(tmp_path / "run", tmp_path / "from_manifest")


@pytest.mark.parametrize(
    ("strata", "rule"),
    [
        *((None, rule) for rule in ("median", "tertiles", "maxstat", "0.2,0.5,0.8")),
        *(("site", rule) for rule in ("tertiles", "maxstat")),
    ],
)
def test_groups_are_those_that_the_run_itself_would_make(
    small, tmp_path_factory, outcome, tmp_path, rule, strata
):
    out = tmp_path_factory.getbasetemp() / f"cut-{strata}"  # fits are trained once for all rules
    study = tmp_path / "study.yaml"
    data = yaml.safe_load(small.read_text())
    data["endpoint"]["strata"] = strata
    for key in ("cohort", "embeddings"):
        value = data[key]
        paths = {k: str(small.parent / v) for k, v in value.items()} if key != "cohort" else value
        data[key] = paths if key != "cohort" else str(small.parent / value)
    study.write_text(yaml.safe_dump(data))
    yaml_rule = f"[{rule}]" if "," in rule else rule
    words = ("--set", f"risk_groups={yaml_rule}", "--set", "arms=[image]", "--jobs", 1)
    done = outcome("run", study, "--out", out, *words)
    assert done.code == 0, done.err
    shutil.copytree(out, tmp_path / "plain")
    table = pd.read_csv(out / "predictions.csv")
    table.assign(risk_group="low").to_csv(tmp_path / "plain" / "predictions.csv", index=False)
    done = outcome("evaluate", tmp_path / "plain", "--out", tmp_path / "out", "--risk-groups", rule)
    assert done.code == 0, done.err
    same(out, tmp_path / "out", ("risk_groups",))
    again = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert again["risk_group"].tolist() == table["risk_group"].tolist()
    assert "of the risks of the run's development patients (development.csv)" in done.out
    assert "exploratory: " not in (tmp_path / "out" / "risk_groups.csv").read_text()


def test_no_torch_is_imported_for_a_run(run, tmp_path):
    words = ["outcome", "evaluate", str(run), "--risk-groups", "maxstat", "--resamples", "20"]
    # The figures' modules are imported as ever, and nothing is drawn.
    code = (
        f"import sys; sys.argv = {[*words, '--out', str(tmp_path / 'out')]}\n"
        "from outcome.reporting.page.blocks import Picture\n"
        "from outcome.reporting.page.figures import ReportFigures\n"
        "ReportFigures.save = lambda self, draw, name, size, *, alt, caption: Picture(\n"
        "    name, 'data:,', 1, 1, alt, caption)\n"
        "from outcome.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_without_development_scores_is_cut_on_itself_and_says_so(run, outcome, tmp_path):
    table = run / "predictions.csv"
    done = outcome(
        "evaluate", table, "--out", tmp_path / "out", "--unit", "days", "--risk-groups", "tertiles"
    )
    assert done.code == 0, done.err
    said = "the groups given with the predictions are not used: patients were divided at the"
    assert f"note: {said} tertiles of the risks of the scored patients themselves" in done.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"T{said[1:]}" in page
    groups = pd.read_csv(tmp_path / "out" / "risk_groups.csv")
    assert (
        groups["note"]
        .str.startswith("exploratory: the tertiles of the scored patients of each fold")
        .all()
    )
    made = pd.read_csv(tmp_path / "out" / "predictions.csv", dtype={"fold": str})
    for _, fold in made.groupby(["arm", "fold"]):
        cuts = np.quantile(fold["risk"], [1 / 3, 2 / 3])
        expected = np.array(["low", "intermediate", "high"])[np.searchsorted(cuts, fold["risk"])]
        assert fold["risk_group"].tolist() == expected.tolist()


def test_the_best_cut_of_the_scored_patients_is_refused(run, outcome, tmp_path):
    for words in ((run / "predictions.csv",), (run / "predictions.csv", "--unit", "days")):
        done = outcome("evaluate", *words, "--out", tmp_path / "out", "--risk-groups", "maxstat")
        assert done.code == 2
        assert "maxstat needs scores of development patients" in done.err
        assert "e.g. image, report" in done.err
        assert "give the run folder instead of its table" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--unit", "months"], "unit months, but the times of"),
        (["--risk-groups", "quartiles"], "write median, tertiles, maxstat, or increasing shares"),
        (["--baseline", "none"], "baseline"),
        (["--covariates", "weight"], "no column: 1, e.g. weight"),
    ],
)
def test_options_that_contradict_a_run(run, outcome, tmp_path, options, message):
    done = outcome("evaluate", run, "--out", tmp_path / "out", *options)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out").exists()


def spoil_development(folder):
    table = pd.read_csv(folder / "development.csv", dtype=str)
    table[table["fold"] != "2"].to_csv(folder / "development.csv", index=False)


def empty_groups(folder):
    table = pd.read_csv(folder / "predictions.csv", dtype=str)
    table.loc[3, "risk_group"] = ""
    table.to_csv(folder / "predictions.csv", index=False)


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), [], "is not a run folder"),
        (lambda f: (f / "predictions.csv").unlink(), [], "there is no file"),
        (lambda f: (f / "study.yaml").write_text("name: 1"), [], "study.yaml"),
        (spoil_development, ["--risk-groups", "median"], "no scores for: 1, e.g. repeat 0, fold 2"),
        (
            lambda f: (f / "development.csv").write_text("arm,risk\n"),
            ["--risk-groups", "median"],
            "development.csv has no column: 3, e.g. fold, patient_id, repeat",
        ),
        (empty_groups, [], "column 'risk_group' is empty for patients: 1"),
    ],
)
def test_run_folders_that_cannot_be_evaluated(run, outcome, tmp_path, spoil, options, message):
    shutil.copytree(run, tmp_path / "run")
    spoil(tmp_path / "run")
    done = outcome("evaluate", tmp_path / "run", "--out", tmp_path / "out", *options)
    assert done.code == 2, done.out
    assert message in done.err, done.err
    assert not (tmp_path / "out").exists()


def test_a_run_beside_a_table(run, outcome, tmp_path):
    table = pd.read_csv(run / "predictions.csv", dtype={"patient_id": str})
    theirs = table[table["arm"] == "image"][["patient_id", "fold", "time", "event", "risk"]]
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    done = outcome("evaluate", run, tmp_path / "theirs.csv", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(["arm", "metric"])["estimate"]
    assert metrics["theirs", "harrell_c"] == metrics["image", "harrell_c"]
    assert "image, report: risk groups are those of the run" in done.out
    assert "theirs: the predictions contain no groups: patients were divided" in done.out
    done = outcome("compare", run, tmp_path / "theirs.csv")
    assert done.code == 2
    assert "compare takes two tables" in done.err


def test_the_folder_that_is_evaluated_is_not_overwritten(run, outcome, tmp_path):
    assert outcome("evaluate", run, "--out", tmp_path / "out").code == 0
    done = outcome("evaluate", tmp_path / "out", "--out", tmp_path / "out")
    assert done.code == 2
    assert "is the folder to be evaluated" in done.err


@pytest.mark.parametrize(
    "text", ["", "best", "0,0.5", "0.5,0.5", "0.7,0.3", "1", "nan", "0.2,,0.4"]
)
def test_rules_that_are_none(text):
    with pytest.raises(InputError, match="increasing shares"):
        read_rule(text)


def test_rules():
    assert read_rule("maxstat") == "maxstat"
    assert read_rule("[0.25, 0.75]") == (0.25, 0.75)
