"""Published folds, as the peers write them."""

import pandas as pd
import pytest

from outcome.cohort import Cohort, make_folds
from outcome.cohort.split_files import detect_layout, read_split_files
from outcome.endpoint import TimeToEvent
from outcome.errors import CohortError, LeakageError, Problems
from outcome.study import Split

PATIENTS = [f"{i:03d}" for i in range(1, 13)]
SLIDES = {f"{p}-{k}.x": p for p in PATIENTS for k in (1, 2)}
FOLDS = [PATIENTS[:4], PATIENTS[4:8], PATIENTS[8:]]


def others(test, n_val=2):
    rest = [p for p in PATIENTS if p not in test]
    return rest[n_val:], rest[:n_val]


def rest(test):
    return [p for part in others(test) for p in part]


def slides_of(patients):
    return [f"{s}.svs" for s, p in SLIDES.items() if p in patients]


def patho_bench(path):
    table = pd.DataFrame({"case_id": PATIENTS, "slide_id": [f"{p}-1.x" for p in PATIENTS]})
    for k, test in enumerate(FOLDS):
        train, val = others(test)
        role = (
            dict.fromkeys(train, "train") | dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
        )
        table[f"fold_{k}"] = [role[p] for p in PATIENTS]
    table.to_csv(path / "k=all.tsv", sep="\t", index=False)


def panther(path):
    for k, test in enumerate(FOLDS):
        folder = path / f"TCGA_X_overall_survival_k={k}"
        folder.mkdir()
        for name, who in (("train", rest(test)), ("test", test)):
            rows = [(p, s) for s, p in SLIDES.items() if p in who]
            pd.DataFrame(rows, columns=["case_id", "slide_id"]).to_csv(
                folder / f"{name}.csv", index=False
            )


def columns(path, k, **parts):
    table = pd.DataFrame({name: pd.Series(who, dtype=str) for name, who in parts.items()})
    table.to_csv(path / f"splits_{k}.csv")


def mcat(path):
    for k, test in enumerate(FOLDS):
        columns(path, k, train=rest(test), val=test)


def clam(path):
    for k, test in enumerate(FOLDS):
        train, val = others(test)
        columns(path, k, train=slides_of(train), val=slides_of(val), test=slides_of(test))
        (path / f"splits_{k}_bool.csv").write_text(",train,val,test\n")


def ours(path):
    rows = [
        (p, 0, str(k), "test" if p in test else "development")
        for k, test in enumerate(FOLDS)
        for p in PATIENTS
    ]
    named = ["patient_id", "repeat", "outer_fold", "role"]
    pd.DataFrame(rows, columns=named).to_csv(path / "splits.csv", index=False)


WRITERS = {"patho-bench": patho_bench, "panther": panther, "mcat": mcat, "clam": clam}


@pytest.mark.parametrize("layout", [*WRITERS, "outcome"])
def test_every_layout_gives_the_same_folds(tmp_path, layout):
    (WRITERS | {"outcome": ours})[layout](tmp_path)
    path = tmp_path / "splits.csv" if layout == "outcome" else tmp_path
    assert detect_layout(path) == layout
    folds, notes = read_split_files(path, "auto", frozenset(PATIENTS), SLIDES)
    assert [sorted(f.test) for f in folds] == FOLDS
    assert [f.repeat for f in folds] == [0, 0, 0]
    for fold in folds:
        assert fold.test | fold.development == set(PATIENTS)
    assert layout in notes[0]


def test_overlapping_test_sets_are_repeats(tmp_path):
    for k, test in enumerate([PATIENTS[:4], PATIENTS[2:6], *FOLDS]):
        columns(tmp_path, k, train=others(test)[0], val=test)
    folds, _ = read_split_files(tmp_path, "mcat", frozenset(PATIENTS), {})
    assert [f.repeat for f in folds] == [0, 1, 2, 2, 2]


def test_a_patient_who_is_tested_twice_in_one_repeat_is_refused(tmp_path):
    path = tmp_path / "splits.csv"
    rows = "patient_id,repeat,outer_fold,role\nA,0,0,test\nB,0,0,development\n"
    path.write_text(rows + "A,0,1,test\nB,0,1,development\n")
    with pytest.raises(CohortError, match="1 patients are in the test sets of several folds of on"):
        read_split_files(path, "outcome", frozenset("AB"), {})
    path.write_text(rows + "A,1,1,test\nB,1,1,development\n")
    folds, _ = read_split_files(path, "outcome", frozenset("AB"), {})
    assert [f.repeat for f in folds] == [0, 1]


def test_a_patient_whose_slides_are_on_both_sides_is_a_leak(tmp_path):
    columns(tmp_path, 0, train=["001-1.x"], val=["002-1.x"], test=["001-2.x", "003-1.x"])
    with pytest.raises(LeakageError, match=r"1 patients are in development and in test, e.g. 001"):
        read_split_files(tmp_path, "clam", frozenset(PATIENTS), SLIDES)


def test_who_is_in_no_fold_and_who_is_in_no_cohort(tmp_path):
    mcat(tmp_path)
    folds, notes = read_split_files(tmp_path, "mcat", frozenset(PATIENTS[:10]), SLIDES)
    assert sorted(folds[2].test) == PATIENTS[8:10]
    assert "2 ids in" in notes[1]
    with pytest.raises(CohortError, match="contains no patient of the cohort"):
        read_split_files(tmp_path, "mcat", frozenset(["x"]), {})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "contains no folds in a known layout"),
        (lambda p: (p / "splits_0.csv").write_text("a,b\n1,2\n"), "no column 'train'"),
        (
            lambda p: (p / "k=1.tsv").write_text("case_id\tfold_0\na\tx\n"),
            "'x' is not one of train",
        ),
        (lambda p: (p / "k=1.tsv").write_text("case_id\tb\na\tx\n"), "no column fold_0"),
        (lambda p: p.rmdir(), "no file or folder"),
    ],
)
def test_folders_that_hold_no_folds(tmp_path, make, message):
    folder = tmp_path / "splits"
    folder.mkdir()
    make(folder)
    with pytest.raises(CohortError, match=message):
        read_split_files(folder, "auto", frozenset(PATIENTS), SLIDES)


def test_given_folds_are_the_folds(tmp_path):
    """Development is who the files say, not everybody else."""
    people = [f"p{i:03d}" for i in range(120)]
    for k in range(3):
        test = people[k * 30 : (k + 1) * 30]
        train = [p for p in people[:100] if p not in test]
        columns(tmp_path, k, train=train, val=test)
    patients = pd.DataFrame(
        {"time": 1.0, "event": [0, 1] * 60}, index=pd.Index(people, name="patient_id")
    )
    endpoint = TimeToEvent(kind="survival", time="t", event="e")
    cohort = Cohort(patients, pd.DataFrame({"patient_id": [], "slide_id": []}), endpoint)
    problems, notes = Problems("test"), []
    folds = make_folds(cohort, Split(files=tmp_path), problems, notes)
    assert not problems, problems.message()
    assert [len(f.test) for f in folds] == [30, 30, 30]
    assert [len(f.development) for f in folds] == [70, 70, 70]
    assert not set(people[100:]) & {p for f in folds for p in f.development}
    assert "3 folds read" in notes[0]


def test_files_and_drawn_folds_contradict_each_other():
    with pytest.raises(ValueError, match="omit folds"):
        Split(files="x", folds=3)
    with pytest.raises(ValueError, match="not both"):
        Split(files="x", column="fold")


def test_numbers_that_pandas_wrote_with_a_point_are_the_same_patients(tmp_path):
    everybody = [str(k) for k in range(1, 13)]
    for k, test in enumerate((everybody[:4], everybody[4:8], everybody[8:])):
        parts = {"train": [i for i in everybody if i not in test], "val": test}
        table = pd.DataFrame({name: pd.Series(ids, dtype=float) for name, ids in parts.items()})
        table.to_csv(tmp_path / f"splits_{k}.csv")
    folds, _ = read_split_files(tmp_path, "mcat", frozenset(everybody), {})
    assert [sorted(f.test, key=int) for f in folds] == [
        everybody[:4], everybody[4:8], everybody[8:]
    ]  # fmt: skip


def test_a_fold_that_tests_nobody_of_the_cohort_is_refused(tmp_path):
    columns(tmp_path, 0, train=PATIENTS[2:], val=["somebody", "else"])
    with pytest.raises(
        CohortError, match=r"fold 0: no patient of its test set .* \(it contains else"
    ):
        read_split_files(tmp_path, "mcat", frozenset(PATIENTS), {})


def test_a_plain_table_of_folds(tmp_path):
    path = tmp_path / "folds.csv"
    rows = [(p, k) for k, test in enumerate(FOLDS) for p in test]
    table = pd.DataFrame(rows, columns=["patient", "fold"])
    table.loc[0, "fold"] = -1
    table.to_csv(path, index=False)
    folds, notes = read_split_files(path, "auto", PATIENTS, SLIDES)
    assert [f.name for f in folds] == ["0", "1", "2"]
    assert {f.repeat for f in folds} == {0}
    assert folds[0].test == frozenset(FOLDS[0][1:])
    assert folds[0].development == frozenset([*FOLDS[1], *FOLDS[2]])
    assert notes[0] == "3 folds read from folds.csv (table)"
    pd.concat([table, table.assign(fold=2)]).to_csv(path, index=False)
    with pytest.raises(CohortError, match=r"7 ids in several folds, e\.g\. 002, 003"):
        read_split_files(path, "auto", PATIENTS, SLIDES)
