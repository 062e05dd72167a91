"""Cohort tables as registries and programs write them, and what is right."""

import pandas as pd
import pytest

from outcome.cohort import make_folds, read_cohort
from outcome.errors import Problems
from outcome.study import Study

N = 12
BASE = pd.DataFrame(
    {
        "case_id": [f"P{i:03d}" for i in range(N)],
        "slide_id": [f"{1000 + i}" for i in range(N)],
        "os_months": [f"{i + 0.5}" for i in range(N)],
        "os_event": ["1", "0"] * (N // 2),
        "sex": ["female", "male"] * (N // 2),
    }
)


def read(folder, table, *, endpoint=None, **more):
    if isinstance(table, pd.DataFrame):
        table.to_csv(folder / "c.csv", index=False)
    else:
        (folder / "c.csv").write_text(table, encoding="utf-8")
    spec = {"kind": "survival", "time": "os_months", "event": "os_event", "unit": "months"}
    study = Study.parse(
        {
            "name": "x",
            "cohort": "c.csv",
            "columns": {"patient": "case_id", "slide": "slide_id"},
            "endpoint": {**spec, **(endpoint or {})},
            "embeddings": {"patches": "f"},
            **more,
        },
        folder=folder,
    )
    problems = Problems("test")
    return read_cohort(study, problems), problems


def counts(cohort):
    return len(cohort.patients), int((cohort.patients["event"] == 1).sum())


@pytest.mark.parametrize("word", ["None", "NA", "N/A", "null", "[Unknown]", "Not Reported", "'--"])
def test_a_declared_code_is_a_code_however_it_is_spelled(tmp_path, word):
    table = BASE.assign(os_event=["Relapse", word] * (N // 2))
    cohort, problems = read(
        tmp_path, table, endpoint={"event_codes": {word: 0, "Relapse": 1}}, on_missing={}
    )
    assert not problems
    assert counts(cohort) == (N, N // 2)
    assert not cohort.notes


def test_a_code_that_yaml_reads_as_null(tmp_path):
    table = BASE.assign(os_event=["Relapse", "null"] * (N // 2))
    cohort, _ = read(tmp_path, table, endpoint={"event_codes": {None: 0, "Relapse": 1}})
    assert counts(cohort) == (N, N // 2)


@pytest.mark.parametrize("word", ["", "NA", "'--", "[Not Available]", "[Discrepancy]", "None"])
def test_a_code_that_is_not_declared_is_missing(tmp_path, word):
    table = BASE.assign(os_event=["1", "0"] * (N // 2 - 1) + ["1", word])
    cohort, problems = read(tmp_path, table)
    assert not problems
    assert counts(cohort) == (N - 1, N // 2)
    assert cohort.flow[-1].reason == "1 patient without os_months or os_event"
    assert [word in note for note in cohort.notes] == [True] * bool(word)


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        (["True", "False"], None),
        (["TRUE", "FALSE"], {True: 1, False: 0}),
        (["1", "0"], {True: 1, False: 0}),
        (["True", "False"], {"1": 1, "0": 0}),
        (["true", "false"], {"True": 1, "False": 0}),
    ],
)
def test_truth_values_are_one_code_in_table_and_study(tmp_path, cells, codes):
    endpoint = {"event_codes": codes} if codes else {}
    cohort, problems = read(tmp_path, BASE.assign(os_event=cells * (N // 2)), endpoint=endpoint)
    assert not problems
    assert counts(cohort) == (N, N // 2)


@pytest.mark.parametrize("positive", [True, "True", 1, "yes"])
def test_a_positive_label_of_a_truth_value(tmp_path, positive):
    cells = ["yes", "no"] if positive == "yes" else ["True", "False"]
    table = BASE.assign(response=cells * (N // 2))
    study = {"kind": "binary", "label": "response", "positive": positive}
    table.to_csv(tmp_path / "c.csv", index=False)
    parsed = Study.parse(
        {"name": "x", "cohort": "c.csv", "columns": {"patient": "case_id"}, "endpoint": study,
         "embeddings": {"patches": "f"}},
        folder=tmp_path,
    )  # fmt: skip
    problems = Problems("t")
    cohort = read_cohort(parsed, problems)
    assert not problems
    assert cohort.patients["label"].sum() == N // 2


def test_marks_of_missing_values_are_no_levels_and_are_counted(tmp_path):
    sex = ["'--", "female", "[Not Available]", "male", "Unknown", "Not Reported"] * 2
    cohort, problems = read(
        tmp_path, BASE.assign(sex=sex, os_months=["'--", *BASE["os_months"][1:]]),
        covariates={"categorical": ["sex"]},
    )  # fmt: skip
    assert not problems
    assert set(cohort.patients["column:sex"]) == {"", "female", "male"}
    assert counts(cohort)[0] == N - 1
    said = " ".join(cohort.notes)
    assert "column 'sex': 8 cells are read as missing" in said
    assert "'[Not Available]' 2" in said
    assert "column 'os_months': 1 cell is read as missing" in said


@pytest.mark.parametrize("level", ["None", "Unknown", "NA"])
def test_a_declared_level_is_a_level(tmp_path, level):
    cohort, problems = read(
        tmp_path, BASE.assign(margin=["R0", level] * (N // 2)),
        covariates={"categorical": ["margin"], "levels": {"margin": [level]}},
    )  # fmt: skip
    assert not problems
    assert set(cohort.patients["column:margin"]) == {"R0", level}
    assert not cohort.notes


def test_levels_are_of_categorical_columns(tmp_path):
    from outcome.errors import StudyError

    with pytest.raises(StudyError, match="not listed under `categorical`"):
        read(tmp_path, BASE, covariates={"levels": {"sex": ["NA"]}})


def test_ids_that_look_like_missing_words_are_ids(tmp_path):
    ids = ["NA", "None", "Unknown", *BASE["case_id"][3:]]
    cohort, problems = read(tmp_path, BASE.assign(case_id=ids))
    assert not problems
    assert {"NA", "None", "Unknown"} <= set(cohort.patients.index)


def test_slides_that_a_program_left_out_are_counted(tmp_path):
    cohort, _ = read(tmp_path, BASE.assign(slide_id=["NA", "nan", *BASE["slide_id"][2:]]))
    assert len(cohort.slides) == N - 2
    assert "2 cells are read as missing" in cohort.notes[0]
    assert [reason for *_, reason in cohort.lost] == ["2 rows without a slide id"] * 2


@pytest.mark.parametrize("low", ["0", "-3", "0.0"])
def test_times_of_zero_or_less_are_refused_or_dropped_and_counted(tmp_path, low):
    table = BASE.assign(os_months=[low, "", *BASE["os_months"][2:]])
    _, problems = read(tmp_path, table)
    assert "is zero or negative" in problems.message()
    assert "invalid_time: drop" in problems.message()
    cohort, problems = read(tmp_path, table, on_missing={"invalid_time": "drop"})
    assert not problems
    assert [(s.step, s.patients) for s in cohort.flow[-2:]] == [
        ("with an outcome", N - 1), ("with a time above zero", N - 2)
    ]  # fmt: skip
    assert "1 patient " in cohort.flow[-1].reason


@pytest.mark.parametrize(
    ("times", "separator", "message"),
    [
        (["1.801", "1801"], ";", "can be read in two ways"),
        (["1,801", "954"], "\t", "can be read in two ways"),
        (["1,5", "2.5"], ";", "can be read in two ways"),
        (["1,5", "2"], ";", ""),
        (["1,5", "2"], "\t", ""),
    ],
)
def test_numbers_in_two_ways(tmp_path, times, separator, message):
    table = BASE.assign(os_months=times * (N // 2))
    cohort, problems = read(tmp_path, table.to_csv(index=False, sep=separator))
    assert bool(problems) == bool(message)
    assert message in problems.message()
    if not message:
        assert cohort.patients["time"].tolist() == [1.5, 2.0] * (N // 2)
        assert "decimal comma" in cohort.notes[0]


DATES = BASE.assign(
    dx="2014-01-01",
    death=["2014-03-02", ""] * (N // 2),
    last=["2014-02-01", "2015-01-01"] * (N // 2),
).drop(columns="os_months")


def test_follow_up_is_computed_from_dates(tmp_path):
    time = {"from": "dx", "to": ["death", "last"]}
    cohort, problems = read(tmp_path, DATES, endpoint={"time": time, "unit": "days"})
    assert not problems
    assert cohort.patients["time"].tolist() == [60.0, 365.0] * (N // 2)
    assert cohort.endpoint.columns == ("dx", "death", "last", "os_event")
    years, _ = read(tmp_path, DATES, endpoint={"time": time, "unit": "years"})
    assert years.patients["time"].iloc[1] == pytest.approx(365 / 365.25)


def test_dates_before_the_start_are_negative_times(tmp_path):
    time = {"from": "last", "to": "dx"}
    _, problems = read(tmp_path, DATES, endpoint={"time": time, "unit": "days"})
    assert "follow-up from 'last' to 'dx' is zero or negative" in problems.message()


def test_a_date_column_that_is_absent_is_named(tmp_path):
    time = {"from": "dx", "to": ["death", "seen"]}
    _, problems = read(tmp_path, DATES, endpoint={"time": time})
    assert "no column 'seen' (endpoint)" in problems.message()


def test_dates_with_the_day_first_must_be_declared(tmp_path):
    table = DATES.assign(dx="01/01/2014")
    time = {"from": "dx", "to": ["death", "last"]}
    _, problems = read(tmp_path, table, endpoint={"time": time})
    assert "column 'dx' is not a date: 12" in problems.message()
    cohort, problems = read(tmp_path, table, endpoint={"time": {**time, "dates": "day-first"}})
    assert not problems
    assert cohort.patients["time"].iloc[1] == pytest.approx(365 / (365.25 / 12))


@pytest.mark.parametrize(
    ("rename", "endpoint", "words"),
    [
        ({"os_event": "censorship"}, {"event": "censorship"}, "`censored: censorship`"),
        ({"os_event": "alive"}, {"event": "alive"}, "`censored: alive`"),
        ({}, {"event": None, "censored": "os_event"}, "`event: os_event`"),
        ({"os_months": "os_days"}, {"time": "os_days"}, "`unit: days`"),
    ],
)
def test_names_that_contradict_are_reported(tmp_path, rename, endpoint, words):
    cohort, problems = read(tmp_path, BASE.rename(columns=rename), endpoint=endpoint)
    assert not problems
    assert any(words in warning for warning in cohort.warnings)


def test_what_agrees_is_not_warned_of(tmp_path):
    assert read(tmp_path, BASE)[0].warnings == ()


def test_a_unit_that_is_left_out_is_refused_where_the_name_says_another(tmp_path):
    BASE.to_csv(tmp_path / "c.csv", index=False)
    spec = {"kind": "survival", "time": "os_months", "event": "os_event"}
    study = {"name": "x", "cohort": "c.csv", "columns": {"patient": "case_id"}}
    study |= {"endpoint": spec, "embeddings": {"patches": "f"}}
    problems = Problems("t")
    read_cohort(Study.parse(study, folder=tmp_path), problems)
    assert "`unit: months`" in problems.message()


def test_a_vital_status_as_a_label_is_reported(tmp_path):
    BASE.to_csv(tmp_path / "c.csv", index=False)
    spec = {"kind": "binary", "label": "vital_status", "positive": 1}
    table = BASE.rename(columns={"os_event": "vital_status"})
    table.to_csv(tmp_path / "c.csv", index=False)
    study = {"name": "x", "cohort": "c.csv", "columns": {"patient": "case_id"}}
    study |= {"endpoint": spec, "embeddings": {"patches": "f"}}
    cohort = read_cohort(Study.parse(study, folder=tmp_path), Problems("t"))
    assert "kind: survival" in cohort.warnings[0]


def splits(folder, *, ids, end=""):
    (folder / "s").mkdir()
    for k in range(3):
        test = [f"{i}{end}" for i in ids[k::3]]
        rest = [f"{i}{end}" for i in ids if f"{i}{end}" not in test]
        pd.DataFrame({"train": pd.Series(rest), "val": pd.Series(test)}).to_csv(
            folder / "s" / f"splits_{k}.csv"
        )


@pytest.mark.parametrize(
    ("column", "end"),
    [("slide_id", ".0"), ("slide_id", ".svs"), ("case_id", " "), ("case_id", "")],
)
def test_split_files_spell_ids_in_their_own_way(tmp_path, column, end):
    table = pd.concat([BASE] * 4, ignore_index=True)
    table = table.assign(
        case_id=[f"P{i:03d}" for i in range(4 * N)], slide_id=[f"{1000 + i}" for i in range(4 * N)]
    )
    cohort, _ = read(tmp_path, table)
    splits(tmp_path, ids=table[column].tolist(), end=end)
    study = Study.parse(
        {"name": "x", "cohort": "c.csv", "embeddings": {"patches": "f"}, "split": {"files": "s"},
         "endpoint": {"kind": "binary", "label": "x", "positive": 1}},
        folder=tmp_path,
    )  # fmt: skip
    problems = Problems("t")
    folds = make_folds(cohort, study.split, problems)
    assert not problems
    assert [len(fold.test) for fold in folds] == [16, 16, 16]


def test_splits_of_sample_barcodes_say_why_they_do_not_join(tmp_path):
    ids = [f"TCGA-A0-{i:04d}" for i in range(N)]
    cohort, _ = read(tmp_path, BASE.assign(case_id=ids))
    splits(tmp_path, ids=ids, end="-01A")
    study = Study.parse(
        {"name": "x", "cohort": "c.csv", "embeddings": {"patches": "f"}, "split": {"files": "s"},
         "endpoint": {"kind": "binary", "label": "x", "positive": 1}},
        folder=tmp_path,
    )  # fmt: skip
    problems = Problems("t")
    make_folds(cohort, study.split, problems)
    assert "is a sample barcode of TCGA" in problems.message()
