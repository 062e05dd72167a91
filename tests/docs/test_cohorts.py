"""The ready studies: their tables, their commands (on fewer patients), and the real-data files."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from outcome import Study

ROOT = Path(__file__).parents[2]
COHORTS = ROOT / "cohorts"
FOLDERS = sorted(p.name for p in COHORTS.iterdir() if (p / "study.yaml").is_file())
STUDIES = sorted(COHORTS.glob("*/*.yaml"))

# What is shortened, so that a test takes seconds; everything else is executed as it is printed.
SHORTER = {
    "BLCA BRCA COADREAD GBMLGG HNSC KIRC LUAD UCEC": "HNSC LUAD",
    "reports/BLCA-simulated reports/BRCA-simulated reports/COADREAD-simulated ": "",
    "reports/GBMLGG-simulated ": "",
    "reports/KIRC-simulated ": "",
    "reports/UCEC-simulated ": "",
    "--patches 40": "--patches 8",
    "--dimension 64": "--dimension 16",
}
# Column and number of rows that are kept of each of its values.
KEPT = {
    "immunotherapy_response": ("response", 40),
    "melanoma_relapse": ("status", 40),
    "pan_cancer_prognosis": ("cancer_type", 60),
}


def test_there_are_three():
    assert FOLDERS == ["immunotherapy_response", "melanoma_relapse", "pan_cancer_prognosis"]


def test_tables_are_what_the_script_makes(tmp_path):
    spec = importlib.util.spec_from_file_location("make_tables", COHORTS / "make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    for folder in FOLDERS:
        made = pd.read_csv(tmp_path / folder / "cohort.csv", dtype=str)
        kept = pd.read_csv(COHORTS / folder / "cohort.csv", dtype=str)
        pd.testing.assert_frame_equal(made, kept)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_first_line_says_that_patients_are_simulated(folder):
    assert "SIMULATED" in (COHORTS / folder / "README.md").read_text().splitlines()[0]
    assert "SIMULATED" in (COHORTS / folder / "study.yaml").read_text().splitlines()[0]


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_study_file_is_valid_and_its_columns_are_explained(path):
    study = Study.read(path)
    wanted = {study.columns.patient, study.columns.slide or "slide_id", *study.endpoint.columns}
    wanted |= {*study.covariates.numeric, *study.covariates.categorical}
    wanted |= {c for e in study.secondary for c in e.columns}
    wanted |= {study.split.site or study.columns.patient}
    wanted |= {study.treatment.column} if study.treatment else set()
    if path.name == "real.yaml":
        explained = set(re.findall(r"`(\w+)`", (path.parent / "README.md").read_text()))
        assert wanted <= explained
    else:
        assert wanted <= set(pd.read_csv(study.cohort, nrows=1).columns)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_commands_of_its_page_work(folder, outcome, commands_of, tmp_path, monkeypatch):
    """On a hundred patients, with fewer folds and epochs."""
    shutil.copytree(
        COHORTS, tmp_path / "cohorts", ignore=shutil.ignore_patterns("simulated", "__pycache__")
    )
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "cohorts" / folder
    table = pd.read_csv(here / "cohort.csv", dtype=str)
    column, rows = KEPT[folder]
    table = table.groupby(column).head(rows)
    if column == "cancer_type":
        table = table[table[column].isin(["LUAD", "HNSC"])]
    # Not those of single types of cancer, where half of the patients have too few events.
    for name in {"fold", "fold_lung"} & set(table):
        numbers = {fold: str(k % 2) for k, fold in enumerate(sorted(set(table[name].dropna())))}
        table[name] = table[name].map(numbers)
    table.to_csv(here / "cohort.csv", index=False)
    for path in here.glob("*.yaml"):
        data = yaml.safe_load(
            path.read_text().replace(" yes", " 'yes'").replace(" no\n", " 'no'\n")
        )
        data["training"] = {"epochs": 2, "components": 8}
        data["report"] = {"attention": 0}
        data["split"] |= {"inner_folds": 2}
        data["split"] |= {"folds": 2} if "folds" in data["split"] else {}
        data["arms"] = [a for a in data["arms"] if a in {"image", "clinical", data["arms"][-1]}]
        path.write_text(yaml.safe_dump(data))
    ran = []
    for words in commands_of(here / "README.md", SHORTER):
        if any("real.yaml" in w for w in words):
            continue  # waits for the reader's own table
        done = outcome(*words)
        assert done.code == 0, f"{words}: {done.err}"
        ran.append(words[0])
    assert ran[:2] == ["simulate", "run"]
    made = [json.loads(p.read_text()) for p in (tmp_path / "reports").glob("*/manifest.json")]
    runs = [m for m in made if m.get("kind") != "cohorts"]
    assert len(runs) == ran.count("run")
    assert len(made) - len(runs) == ran.count("report")
    assert all(m["simulated"] for m in runs)
