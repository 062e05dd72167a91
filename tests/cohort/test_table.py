import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import outcome
from outcome.cohort import read_cohort, slide_name
from outcome.endpoint import canonical_code
from outcome.errors import InputError, Problems
from outcome.study import Study


def study(tmp_path, **endpoint):
    spec = {"kind": "survival", "time": "t", "event": "e", **endpoint}
    data = {"name": "x", "cohort": "c.csv", "endpoint": spec, "embeddings": {"patches": "f"}}
    return Study.parse(data, folder=tmp_path)


def cohort_of(tmp_path, frame, **endpoint):
    problems = Problems("test")
    frame = pd.DataFrame(frame)
    frame.insert(0, "slide_id", [f"s{i}" for i in range(len(frame))])
    return read_cohort(study(tmp_path, **endpoint), problems, frame), problems


@pytest.mark.parametrize("codes", [["0", "1"], ["0.0", "1.0"], [0, 1], [0.0, 1.0], [False, True]])
def test_numeric_codes_compare_as_numbers(tmp_path, codes):
    frame = {"patient_id": ["a", "b"], "t": [5, 6], "e": codes}
    cohort, problems = cohort_of(tmp_path, frame)
    assert not problems, problems.message()
    assert cohort.patients["event"].tolist() == [0, 1]


def test_one_two_coding_is_refused_not_guessed(tmp_path):
    frame = {"patient_id": ["a", "b"], "t": [5, 6], "e": ["1", "2"]}
    _, problems = cohort_of(tmp_path, frame)
    assert "not declared" in problems.message()


def test_declared_codes(tmp_path):
    frame = {"patient_id": list("abc"), "t": [5, 6, 7], "e": ["0:LIVING", "1:DECEASED", ""]}
    codes = {"0:LIVING": 0, "1:DECEASED": 1}
    cohort, problems = cohort_of(tmp_path, frame, event_codes=codes)
    assert not problems
    assert cohort.patients["event"].to_dict() == {"a": 0, "b": 1}
    # A missing status is missing, not censored.
    assert cohort.lost[0][0] == "c"


def test_half_an_outcome_is_missing_only_if_it_is_valid(tmp_path):
    frame = {
        "patient_id": list("abcdef"),
        "t": ["", "-9", "long", "7", "", "8"],
        "e": ["JUNK", *[""] * 3, "1", "0"],
    }
    cohort, problems = cohort_of(tmp_path, frame)
    assert len(problems.found) == 3, problems.message()
    for message in (
        "'e' contains a code that is not declared (declared: 0, 1): 1, e.g. a",
        "'t' is zero or negative: 1, e.g. b",
        "'t' is not a number of days: 1, e.g. c",
    ):
        assert message in problems.message()
    cohort, problems = cohort_of(tmp_path, pd.DataFrame(frame).iloc[3:])
    assert not problems, problems.message()
    assert cohort.patients.index.tolist() == ["f"]


def test_values_are_told_with_their_lines(tmp_path):
    rows = ["a,s1,5,1,60", "a,s2,6,1,60", "b,s2,-3,1,old", "c,s4,7,dead,"]
    (tmp_path / "c.csv").write_text("\n".join(["patient_id,slide_id,t,e,age", *rows]) + "\n")
    spec = study(tmp_path).model_dump(mode="json", by_alias=True)
    spec |= {"covariates": {"numeric": ["age"]}, "on_missing": {"covariate": "error"}}
    problems = Problems("test")
    read_cohort(Study.parse(spec, folder=tmp_path), problems)
    for message in (
        "'t' differs between rows of one patient: 1, e.g. a in line 2 and line 3",
        "'slide_id' contains a slide more than once: 1, e.g. s2 in line 4",
        "'t' is zero or negative: 1, e.g. b in line 4 ('-3')",
        "is not declared (declared: 0, 1): 1, e.g. c in line 5 ('dead')",
        "'age' (covariates.numeric) is not a number: 1, e.g. b in line 4 ('old')",
        "'age' is missing: 1, e.g. c in line 5",
    ):
        assert message in problems.message(), problems.message()


def test_rows_of_a_dataframe_are_counted_as_pandas_does(tmp_path):
    _, problems = cohort_of(tmp_path, {"patient_id": ["a", "b"], "t": [5, -6], "e": [0, 1]})
    assert "e.g. b in row 1 ('-6')" in problems.message()


def test_censorship_is_the_inverse(tmp_path):
    frame = {"patient_id": ["a", "b"], "t": [5, 6], "c": [1, 0]}
    cohort, _ = cohort_of(tmp_path, frame, event=None, censored="c")
    assert cohort.patients["event"].tolist() == [0, 1]


def test_ids_are_text_even_if_they_look_numeric(tmp_path):
    (tmp_path / "c.csv").write_text("patient_id,slide_id,t,e\n00123,007.svs,5,1\n123,7,6,0\n")
    cohort = read_cohort(study(tmp_path), Problems("test"))
    assert cohort.patients.index.tolist() == ["00123", "123"]
    assert cohort.slides["slide_id"].tolist() == ["007", "7"]


def test_no_slide_of_an_unsorted_table_is_lost(tmp_path):
    frame = {"patient_id": ["b", "a", "b", "a"], "t": [6, 5, 6, 5], "e": [0, 1, 0, 1]}
    cohort, problems = cohort_of(tmp_path, frame)
    assert not problems
    assert cohort.slides.groupby("patient_id").size().to_dict() == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows|cannot be read"),
        ("patient_id,slide_id,t,e\n", "has no rows"),
        ("patient_id,slide_id,t,t\na,b,1,1\n", "two columns of the same name: t"),
        ("patient_id,slide_id,t,e\na,b,1,1,9,9\nc,d,1,1,9,9\n", "more fields"),
        ('patient_id,slide_id,t,e\na,b,"1,1\n', "cannot be read|no column|not a number"),
    ],
)
def test_tables_that_are_no_tables(tmp_path, content, message):
    import re

    (tmp_path / "c.csv").write_text(content)
    problems = Problems("test")
    read_cohort(study(tmp_path), problems)
    assert re.search(message, problems.message()), problems.message()


def test_bom_trailing_spaces_and_windows_line_ends(tmp_path):
    text = "\ufeffpatient_id , slide_id,t,e\r\n a ,s1 ,5, 1\r\nb,s2,6,0 \r\n"
    (tmp_path / "c.csv").write_bytes(text.encode("utf-8"))
    problems = Problems("test")
    cohort = read_cohort(study(tmp_path), problems)
    assert not problems, problems.message()
    assert cohort.patients["event"].to_dict() == {"a": 1, "b": 0}


@given(st.integers(-(10**9), 10**9))
def test_one_spelling_per_number(value):
    assert canonical_code(value) == canonical_code(float(value)) == canonical_code(f" {value}.0 ")


@given(st.text())
def test_any_text_is_a_code(text):
    assert isinstance(canonical_code(text), str)


def test_slide_names():
    assert slide_name("TCGA-3C-AALI-01Z-00-DX1.F6E9A5DF.svs") == "TCGA-3C-AALI-01Z-00-DX1.F6E9A5DF"
    assert slide_name("a.b.TIFF") == "a.b"
    assert slide_name("a.b") == "a.b"


def test_labels(tmp_path):
    def labels(values, **spec):
        endpoint = {"kind": "binary", "label": "y", **spec}
        data = {"name": "x", "cohort": "c.csv", "endpoint": endpoint}
        data["embeddings"] = {"patches": "f"}
        problems = Problems("test")
        ids = [f"p{i}" for i in range(len(values))]
        frame = pd.DataFrame({"patient_id": ids, "slide_id": ids, "y": values})
        return read_cohort(Study.parse(data, folder=tmp_path), problems, frame), problems

    cohort, problems = labels([1, 0, "", 1], positive=1)
    assert not problems
    assert cohort.patients["label"].tolist() == [1, 0, 1]
    cohort, problems = labels(["CR", "PR", "SD", "PD"], positive=["CR", "PR"])
    assert "several codes other than the positive one" in problems.message()
    cohort, problems = labels(
        ["CR", "PR", "SD", "PD"], positive=["CR", "PR"], negative=["SD", "PD"]
    )
    assert cohort.patients["label"].tolist() == [1, 1, 0, 0]
    _, problems = labels(["yes", "no"], positive="Yes")
    assert "does not contain the positive code" in problems.message()


@pytest.mark.parametrize(
    "call",
    [
        lambda s: outcome.run("study.yaml"),
        lambda s: outcome.run(s, cohort="cohort.csv"),
        lambda s: outcome.run(s, cohort=[{"patient_id": 1}]),
        lambda s: outcome.run(s, jobs=0),
        lambda s: outcome.run(s, pd.DataFrame([[1, 2]], columns=["patient_id", "patient_id"])),
        lambda s: Study.read(None),
        lambda s: Study.parse([1], folder=s.cohort.parent),
        lambda s: Study.parse(None, folder=s.cohort.parent),
        lambda s: Study.parse({"name": 3}, folder=s.cohort.parent),
    ],
)
def test_a_wrong_call_from_python_is_an_input_error(tmp_path, call):
    with pytest.raises(InputError):
        call(study(tmp_path))


def test_strata_of_secondary_endpoints_and_formulas_as_arms_are_refused(tmp_path):
    spec = {"kind": "survival", "time": "t", "event": "e"}
    data = {"name": "x", "cohort": "c", "endpoint": spec, "embeddings": {"patches": "f"}}
    for more in (
        {"secondary": [{**spec, "name": "s", "strata": "site"}]},
        {"arms": [{"name": "=cmd", "inputs": ["image"]}]},
    ):
        with pytest.raises(InputError, match=r"strata|formula"):
            Study.parse({**data, **more}, folder=tmp_path)
