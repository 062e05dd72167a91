"""`outcome import` on what the peers' users have; written here by hand."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from outcome import Study
from outcome.cohort import make_folds, read_cohort
from outcome.cohort.drafting.importers import LAYOUTS, Source
from outcome.errors import InputError, Problems

N = 60
CASES = [f"{i:05d}" for i in range(N)]
RNG = np.random.default_rng(1)
MONTHS = (RNG.exponential(30, N) + 0.1).round(2)
EVENT = (RNG.random(N) < 0.6).astype(int)
FOLDS = [CASES[k::5] for k in range(5)]


def rows(**columns):
    """Two slides of each tenth case, one of the others."""
    table = pd.DataFrame({"case_id": CASES, **columns})
    table["slide_id"] = [f"{c}-A.svs" for c in CASES]
    more = table.iloc[::10].assign(slide_id=[f"{c}-B.svs" for c in CASES[::10]])
    return pd.concat([table, more], ignore_index=True)


def survival():
    return {"survival_months": MONTHS, "censorship": 1 - EVENT, "age": 60, "site": "A"}


def splits(folder, slides=False):
    folder.mkdir(parents=True)
    for k, test in enumerate(FOLDS):
        rest = [c for c in CASES if c not in test]
        parts = {"train": rest[8:], "val": rest[:8], "test": test}
        if not slides:
            parts = {"train": rest, "val": test}
        parts = {n: [f"{c}-A" if slides else c for c in who] for n, who in parts.items()}
        pd.DataFrame({n: pd.Series(w, dtype=str) for n, w in parts.items()}).to_csv(
            folder / f"splits_{k}.csv"
        )


def patho_bench(folder):
    table = rows(OS_event=EVENT, OS_days=(MONTHS * 30).round())
    for k, test in enumerate(FOLDS):
        table[f"fold_{k}"] = np.where(table["case_id"].isin(test), "test", "train")
    table.to_csv(folder / "k=all.tsv", sep="\t", index=False)
    return folder, []


def patho_bench_label(folder):
    table = rows(ER=np.where(EVENT, "pos", "neg"))
    table["fold_0"] = np.where(table["case_id"].isin(FOLDS[0]), "test", "train")
    table.to_csv(folder / "k=all.tsv", sep="\t", index=False)
    return folder, ["--positive", "pos"]


def panther(folder):
    table = rows(dss_survival_days=MONTHS * 30, dss_censorship=1 - EVENT)
    for k, test in enumerate(FOLDS):
        place = folder / f"TCGA_X_overall_survival_k={k}"
        place.mkdir()
        inside = table["case_id"].isin(test)
        table[inside].to_csv(place / "test.csv", index=False)
        table[~inside].to_csv(place / "train.csv", index=False)
        table.head(3).to_csv(place / "test_CPTAC.csv", index=False)
    return folder, []


def mcat(folder):
    genes = {f"G{i}_rnaseq": 0.5 for i in range(40)}
    rows(**survival(), **genes).to_csv(folder / "tcga_x_all_clean.csv")
    splits(folder / "splits" / "5foldcv" / "tcga_x")
    return folder, []


def survpath(folder):
    table = rows(survival_months_dss=MONTHS, censorship_dss=1 - EVENT)
    table.to_csv(folder / "tcga_x.csv", index=False)
    clinical = pd.DataFrame({"case_id": CASES, "stage": "II", "grade": "high"})
    (folder / "clinical").mkdir()
    clinical.to_csv(folder / "clinical" / "all.csv", index=False)
    splits(folder / "splits")
    return folder, []


def clam(folder):
    table = rows(label=np.where(EVENT, "tumor", "normal"))
    table.assign(slide_id=table["slide_id"].str.removesuffix(".svs")).to_csv(
        folder / "dataset.csv", index=False
    )
    splits(folder / "splits" / "task_100", slides=True)
    return folder, ["--positive", "tumor"]


def stamp(folder):
    table = rows(day=(MONTHS * 30).round(), status=EVENT).rename(columns={"case_id": "PATIENT"})
    clini = table.drop_duplicates("PATIENT").drop(columns="slide_id")
    clini.to_excel(folder / "clini.xlsx", index=False)
    table["FILENAME"] = table["slide_id"].str.replace(".svs", ".h5")
    table[["PATIENT", "FILENAME"]].to_csv(folder / "slide.csv", index=False)
    return folder, ["--time", "day", "--event", "status"]


def nnmil(folder):
    table = rows(event=EVENT, time=(MONTHS * 30).round()).rename(columns={"case_id": "patient_id"})
    table.assign(split="train").to_csv(folder / "dataset.csv", index=False)
    about = {"task_type": "survival", "labels": {"time_unit": "days"}, "feature_dir": "/none"}
    (folder / "dataset.json").write_text(json.dumps(about))
    plan = {}
    for k, test in enumerate(FOLDS):
        rest = [c for c in CASES if c not in test]
        parts = {"train": rest[8:], "val": rest[:8], "test": test}
        plan[f"fold_{k}"] = {part: {"patient_ids": who} for part, who in parts.items()}
    (folder / "dataset_plan.json").write_text(json.dumps({**about, "data_splits": plan}))
    return folder, []


def nnmil_split(folder):
    nnmil(folder)
    (folder / "dataset_plan.json").unlink()
    table = pd.read_csv(folder / "dataset.csv", dtype=str)
    table["split"] = np.where(table["patient_id"].isin(FOLDS[0]), "test", table["split"])
    table.to_csv(folder / "dataset.csv", index=False)
    return folder, []


def pathbench_mil(folder):
    table = rows(event=EVENT, time=MONTHS).rename(
        columns={"case_id": "patient", "slide_id": "slide"}
    )
    table["dataset"] = np.where(table["patient"].isin(FOLDS[0]), "test", "train")
    table.to_csv(folder / "annotations.csv", index=False)
    return folder, ["--unit", "months"]


def moozy(folder):
    table = rows(pfi_event=EVENT, pfi_days=(MONTHS * 30).round())
    table["filename"] = table.pop("slide_id").str.replace(".svs", ".h5")
    table.to_csv(folder / "task.csv", index=False)
    (folder / "config.yaml").write_text("task_type: survival\nsample_col: case_id\ntask_col: pfi\n")
    return folder, []


# Writer: layout, unit, folds and positive outcomes.
WRITERS = {
    patho_bench: ("patho-bench", "days", 5),
    patho_bench_label: ("patho-bench", None, 1),
    panther: ("panther", "days", 5),
    mcat: ("mcat", "months", 5),
    survpath: ("survpath", "months", 5),
    clam: ("clam", None, 5),
    stamp: ("stamp", "days", 0),
    nnmil: ("nnmil", "days", 5),
    nnmil_split: ("nnmil", "days", 1),
    pathbench_mil: ("pathbench-mil", "months", 1),
    moozy: ("moozy", "days", 0),
}


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_the_study_says_what_the_peer_meant(tmp_path, outcome, write):
    layout, unit, n_folds = WRITERS[write]
    (tmp_path / "theirs").mkdir()
    path, options = write(tmp_path / "theirs")
    done = outcome("import", layout, path, "--out", tmp_path / "ours", *options)
    assert done.code == 0, done.err
    assert f"cohort: 60 patients, 66 slides, {EVENT.sum()} " in done.out
    assert "to do" not in done.out
    study = Study.read(tmp_path / "ours" / "study.yaml")
    problems = Problems("test")
    cohort = read_cohort(study, problems)
    assert not problems, problems.message()
    found = cohort.outcome.loc[CASES].to_numpy()
    np.testing.assert_array_equal(found, EVENT)
    if unit is not None:
        assert study.endpoint.unit == unit
        times = MONTHS if unit == "months" else MONTHS * 30
        np.testing.assert_allclose(cohort.patients["time"].loc[CASES], times, atol=0.51)
    folds = make_folds(cohort, study.split, problems)
    assert not problems, problems.message()
    assert len(folds) == (n_folds or 5)
    for fold, test in zip(folds, FOLDS if n_folds else (), strict=False):
        assert sorted(fold.test) == sorted(test)
        assert sorted((*fold.development, *fold.test)) == CASES


def test_what_was_understood_is_said(tmp_path, outcome):
    (tmp_path / "m").mkdir()
    mcat(tmp_path / "m")
    done = outcome("import", "mcat", tmp_path / "m", "--out", tmp_path / "o")
    for text in (
        "times: column 'survival_months', in months",
        "column 'censorship' is inverted: 1 = censored",
        "5 folds in 1 repeat",
        "40 columns of molecular data are not used",
    ):
        assert text in done.out, done.out
    assert "rnaseq" not in (tmp_path / "o" / "cohort.csv").read_text()
    again = outcome("import", "mcat", tmp_path / "m", "--out", tmp_path / "o")
    assert again.code == 2
    assert "already exists" in again.err


def test_external_sets_of_panther_are_kept(tmp_path, outcome):
    (tmp_path / "p").mkdir()
    panther(tmp_path / "p")
    assert outcome("import", "panther", tmp_path / "p", "--out", tmp_path / "o").code == 0
    assert len(pd.read_csv(tmp_path / "o" / "cohort_CPTAC.csv")) == 3


def test_codes_of_a_label_are_left_to_the_user(tmp_path, outcome):
    (tmp_path / "c").mkdir()
    clam(tmp_path / "c")
    done = outcome("import", "clam", tmp_path / "c", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert "its codes are normal, tumor; declare which is positive" in done.out
    assert "to do: codes of the outcome are not declared" in done.out
    assert outcome("check", tmp_path / "o" / "study.yaml").code == 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_something_else(tmp_path, outcome, layout):
    (tmp_path / "x").mkdir()
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "x" / "a.csv", index=False)
    done = outcome("import", layout, tmp_path / "x", "--out", tmp_path / "o")
    assert done.code == 2
    assert str(tmp_path / "x") in done.err
    assert not (tmp_path / "o").exists()
    assert outcome("import", layout, tmp_path / "none").code == 2


def test_tables_as_mcat_ships_them(tmp_path, outcome):
    """Zipped, with the folds of every cancer in a folder beside."""
    tables = tmp_path / "dataset_csv"
    tables.mkdir()
    rows(**survival()).to_csv(tables / "tcga_x_all_clean.csv.zip")
    for cancer in ("tcga_w", "tcga_x"):
        splits(tmp_path / "splits" / "5foldcv" / cancer)
    done = outcome("import", "mcat", tables, "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert "5 folds in 1 repeat" in done.out
    (tables / "tcga_x_all_clean.csv.zip").rename(tables / "all.csv.zip")
    done = outcome("import", "mcat", tables, "--out", tmp_path / "p")
    assert done.code == 2
    assert "2 folders contain splits_0.csv" in done.err
    assert "--splits" in done.err


def test_a_table_of_patients_and_files_in_one(tmp_path, outcome):
    table = rows(day=(MONTHS * 30).round(), status=EVENT).rename(columns={"case_id": "PATIENT"})
    table["FILENAME"] = table.pop("slide_id").str.replace(".svs", ".h5")
    table.to_csv(tmp_path / "clini.csv", index=False)
    done = outcome(
        "import", "stamp", tmp_path / "clini.csv", "--table", tmp_path / "clini.csv",
        "--time", "day", "--event", "status", "--out", tmp_path / "o",
    )  # fmt: skip
    assert done.code == 0, done.err
    written = pd.read_csv(tmp_path / "o" / "cohort.csv")
    assert "FILENAME" in written
    assert len(written) == len(table)


# Registries and public cohorts: no slides in the table, one row per patient.


def hancock(folder):
    word = np.where(EVENT, "deceased", "living")
    targets = pd.DataFrame({"patient_id": CASES, "survival_status": word})
    targets["survival_status_with_cause"] = np.where(EVENT, "deceased tumor specific", "living")
    targets["days_to_last_information"] = targets["days_to_rfs_event"] = (MONTHS * 30).round(1)
    targets.assign(rfs_event=EVENT).to_csv(folder / "targets.csv", index=False)
    clinical = pd.DataFrame({"patient_id": CASES, "sex": np.arange(N) % 2})
    clinical["age_at_initial_diagnosis"] = np.arange(N) + 20
    clinical.to_csv(folder / "clinical.csv", index=False)
    return folder


def cbioportal(folder, codes=("0:LIVING", "1:DECEASED")):
    table = pd.DataFrame({"PATIENT_ID": CASES, "OS_STATUS": np.array(codes)[EVENT]})
    table["OS_MONTHS"], table["AGE"], table["SEX"] = MONTHS, 60, ["Male", "Female"] * (N // 2)
    table["DFS_STATUS"], table["DFS_MONTHS"] = "1:Recurred/Progressed", 1.5
    header = "".join("#" + "\t".join(["x"] * table.shape[1]) + "\n" for _ in range(4))
    text = header + table.to_csv(index=False, sep="\t")
    (folder / "data_clinical_patient.txt").write_text(text)
    samples = pd.DataFrame({"PATIENT_ID": CASES + CASES[:5]})
    samples["SAMPLE_ID"] = [f"S{i}" for i in range(len(samples))]
    samples["GRADE"], samples["PURITY"] = "G2", np.arange(len(samples))
    text = "#a\tb\tc\td\n" + samples.to_csv(index=False, sep="\t")
    (folder / "data_clinical_sample.txt").write_text(text)
    return folder


def tcga_cdr(folder):
    table = pd.DataFrame({"bcr_patient_barcode": CASES, "type": ["BRCA", "LUAD"] * (N // 2)})
    for name in ("OS", "DSS", "DFI", "PFI"):
        table[name] = EVENT.astype(str)
        table[f"{name}.time"] = (MONTHS * 30).round().astype(int).astype(str)
    table["gender"] = "FEMALE"
    table["age_at_initial_pathologic_diagnosis"] = 55
    table.loc[[1, 2], ["DFI", "DFI.time"]] = "#N/A"
    with pd.ExcelWriter(folder / "cdr.xlsx") as sheets:
        table.to_excel(sheets, sheet_name="TCGA-CDR")
    return folder / "cdr.xlsx"


def gdc(folder):
    table = pd.DataFrame({"cases.submitter_id": CASES})
    table["demographic.vital_status"] = np.where(EVENT, "Dead", "Alive")
    days = (MONTHS * 30).round()
    table["demographic.days_to_death"] = np.where(EVENT, days.astype(str), "'--")
    table["diagnoses.days_to_last_follow_up"] = np.where(EVENT, "'--", days.astype(str))
    table = pd.concat([table, table.iloc[:9]])
    table["treatments.treatment_type"] = [f"t{i}" for i in range(len(table))]
    table.to_csv(folder / "clinical.tsv", sep="\t", index=False)
    return folder


REGISTRIES = {
    hancock: ("hancock", "days", {}),
    cbioportal: ("cbioportal", "months", {"0:LIVING": 0, "1:DECEASED": 1}),
    tcga_cdr: ("tcga-cdr", "days", {}),
    gdc: ("gdc", "days", {"Alive": 0, "Dead": 1}),
}


@pytest.mark.parametrize("write", REGISTRIES, ids=lambda w: w.__name__)
def test_registries_become_studies_and_slides_are_found_by_patient(tmp_path, outcome, write):
    layout, unit, codes = REGISTRIES[write]
    (tmp_path / "theirs").mkdir()
    (tmp_path / "features").mkdir()
    for slide in (f"{c}-A.x" for c in CASES[3:]):
        with h5py.File(tmp_path / "features" / f"{slide}.h5", "w") as file:
            file["features"] = np.zeros((1, 2), np.float32)
    path = write(tmp_path / "theirs")
    done = outcome(
        "import", layout, path, "--patches", tmp_path / "features", "--out", tmp_path / "ours"
    )
    assert done.code == 0, done.err
    assert "57 of 57 feature files belong to 57 patients" in done.out
    assert "to do" not in done.out
    study = Study.read(tmp_path / "ours" / "study.yaml")
    assert study.endpoint.unit == unit
    assert study.on_missing.slide == "drop"  # three patients have no file
    assert dict(study.endpoint.event_codes or {}) == codes
    problems = Problems("test")
    cohort = read_cohort(study, problems)
    assert not problems, problems.message()
    np.testing.assert_array_equal(cohort.outcome.loc[CASES].to_numpy(), EVENT)
    assert len(cohort.patients) == N
    assert set(cohort.slides["slide_id"]) >= {f"{c}-A.x" for c in CASES[3:]}


def test_hancock_as_it_is_published(tmp_path, outcome):
    """Times before the first treatment, gaps, stages in a table of their own, names of slides."""
    theirs, features = tmp_path / "features_of_the_repository", tmp_path / "uni"
    theirs.mkdir()
    features.mkdir()
    hancock(theirs)
    targets = pd.read_csv(theirs / "targets.csv", dtype=str)
    targets["patient_id"] = ids = [f"{i:03d}" for i in range(1, N + 1)]
    targets.loc[:1, "days_to_rfs_event"] = ["-24", "0"]
    targets.to_csv(theirs / "targets.csv", index=False)
    clinical = pd.DataFrame({"patient_id": ids, "sex": 0, "primarily_metastasis": 0.0})
    clinical.loc[5, "primarily_metastasis"] = np.nan
    clinical["age_at_initial_diagnosis"] = np.arange(N) + 20
    clinical.to_csv(theirs / "clinical.csv", index=False)
    stages = pd.DataFrame({"patient_id": ids, "pT_stage": np.arange(N) % 3, "grading": 2})
    stages.to_csv(theirs / "pathological.csv", index=False)
    slides = [f"PrimaryTumor_HE_{i}" for i in ids] + ["PrimaryTumor_HE_036_a", "LymphNode_HE_001"]
    for slide in slides[1:]:
        np.save(features / f"{slide}.npy", np.zeros((1, 2), np.float32))
    np.save(features / "PrimaryTumor_HE_999.npy", np.zeros((1, 2), np.float32))
    done = outcome("import", "hancock", theirs, "--patches", features, "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert (
        "61 of 62 feature files belong to 60 patients, because the file names contain the"
        in done.out
    )
    assert "2 of 60 patients have a days_to_rfs_event of zero or less: they will be" in done.out
    assert "to do" not in done.out
    study = Study.read(tmp_path / "o" / "study.yaml")
    assert study.covariates.categorical == ("sex", "primarily_metastasis", "pT_stage")
    cohort = read_cohort(study, Problems("test"))
    assert sorted(cohort.patients.index) == ids[2:]
    owner = cohort.slides.set_index("slide_id")["patient_id"]
    assert owner["PrimaryTumor_HE_036"] == owner["PrimaryTumor_HE_036_a"] == "036"
    (theirs / "targets.csv").unlink()
    done = outcome("import", "hancock", theirs, "--out", tmp_path / "p")
    assert done.code == 2
    assert "holds no targets.csv. To do: name the folder `features`" in done.err


def test_endpoints_of_registries_are_chosen_and_their_codes_declared(tmp_path, outcome):
    for name in ("c", "h", "t", "old"):
        (tmp_path / name).mkdir()
    cdr, han = tcga_cdr(tmp_path / "t"), hancock(tmp_path / "h")
    done = outcome("import", "tcga-cdr", cdr, "--endpoint", "dfi:luad", "--out", tmp_path / "1")
    assert "1 of 30 patients have no DFI: they will be dropped" in done.out
    study = Study.read(tmp_path / "1" / "study.yaml")
    assert (study.endpoint.time, study.endpoint.event) == ("DFI.time", "DFI")
    done = outcome("import", "tcga-cdr", cdr, "--out", tmp_path / "2")
    assert Study.read(tmp_path / "2" / "study.yaml").endpoint.strata == "type"
    done = outcome("import", "hancock", han, "--endpoint", "dss", "--out", tmp_path / "3")
    codes = Study.read(tmp_path / "3" / "study.yaml").endpoint.event_codes
    assert codes == {"living": 0, "deceased tumor specific": 1}
    cbioportal(tmp_path / "old", codes=("LIVING", "DECEASED"))
    done = outcome("import", "cbioportal", tmp_path / "old", "--out", tmp_path / "4")
    assert "codes of 'OS_STATUS': DECEASED = 1, LIVING = 0" in done.out
    assert "1 attributes differ between samples of a patient" in done.out
    assert "GRADE" in (tmp_path / "4" / "study.yaml").read_text()
    cbioportal(tmp_path / "c", codes=("LIVING", "LOST"))
    done = outcome("import", "cbioportal", tmp_path / "c", "--out", tmp_path / "5")
    assert "codes of the outcome (LOST) are not declared" in done.out
    for layout, path, endpoint, message in (
        ("tcga-cdr", cdr, "rfs", "no endpoint 'RFS' (it has OS, DSS, DFI, PFI)"),
        ("tcga-cdr", cdr, "os:GBM", "no patients of type 'GBM' (it has BRCA, LUAD)"),
        ("hancock", han, "pfi", "not one of rfs, os, dss, recurrence"),
        ("cbioportal", tmp_path / "c", "pfs", "no endpoint 'PFS' (it has OS, DFS)"),
    ):
        done = outcome("import", layout, path, "--endpoint", endpoint, "--out", tmp_path / "6")
        assert done.code == 2
        assert message in done.err


def test_folds_of_nnmil_are_repeats_where_they_share_a_test_set(tmp_path):
    nnmil(tmp_path)
    plan = json.loads((tmp_path / "dataset_plan.json").read_text())
    parts = list(plan["data_splits"].values())
    for part in parts[1:]:
        part["test"] = parts[0]["test"]
        part["train"], part["val"] = parts[0]["train"], parts[0]["val"]
    (tmp_path / "dataset_plan.json").write_text(json.dumps(plan))
    folds = LAYOUTS["nnmil"](Source(tmp_path)).folds
    assert [fold.repeat for fold in folds] == [0, 1, 2, 3, 4]
    parts[2]["val"] = {"patient_ids": parts[0]["test"]["patient_ids"][:1]}
    (tmp_path / "dataset_plan.json").write_text(json.dumps(plan))
    with pytest.raises(InputError, match=r"dataset_plan\.json, fold_2: 1 patients are in training"):
        LAYOUTS["nnmil"](Source(tmp_path))


def test_a_patient_in_training_and_test_of_another_tool_is_refused(tmp_path, outcome):
    for write, layout, name in (
        (nnmil_split, "nnmil", "dataset.csv"),
        (pathbench_mil, "pathbench-mil", "annotations.csv"),
    ):
        (tmp_path / layout).mkdir()
        write(tmp_path / layout)
        table = pd.read_csv(tmp_path / layout / name, dtype=str)
        column = "split" if layout == "nnmil" else "dataset"
        table.loc[len(table) - 1, column] = "train" if table[column].iloc[-1] == "test" else "test"
        table.to_csv(tmp_path / layout / name, index=False)
        done = outcome("import", layout, tmp_path / layout, "--out", tmp_path / "o")
        assert done.code == 2
        assert "1 patients are in training and test" in done.err
