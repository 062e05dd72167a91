"""Tables as users have them: every dialect gives the same cohort, or a message."""

import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome.cohort import read_cohort
from outcome.endpoint import is_formula
from outcome.errors import Problems
from outcome.study import Study

TABLE = pd.DataFrame(
    {
        "patient_id": ["00123", "123", "K\u00f6ln 7"],
        "slide_id": ["007.svs", "7", "a.b"],
        "time": [1.5, 12.25, 300.0],
        "event": [1, 0, 1],
    }
)


def study(path, **more):
    endpoint = {"kind": "survival", "time": "time", "event": "event"}
    data = {"name": "x", "cohort": path.name, "endpoint": endpoint, "embeddings": {"patches": "f"}}
    return Study.parse({**data, **more}, folder=path.parent)


def read(path, **more):
    problems = Problems("test")
    return read_cohort(study(path, **more), problems), problems.message() if problems else ""


def excel_semicolons(path):
    TABLE.to_csv(
        path, index=False, sep=";", decimal=",", encoding="utf-8-sig", lineterminator="\r\n"
    )


def excel_unicode_text(path):
    TABLE.to_csv(path, index=False, sep="\t", encoding="utf-16", lineterminator="\r\n")


def spaces(path):
    rows = [[f" {v} " for v in row] for row in TABLE.astype(str).to_numpy().tolist()]
    pd.DataFrame(rows, columns=[f" {c}" for c in TABLE]).to_csv(path, index=False)


def decomposed(path):
    path.write_text(unicodedata.normalize("NFD", TABLE.to_csv(index=False)), encoding="utf-8")


def excel(path):
    with pd.ExcelWriter(path) as book:
        pd.DataFrame().to_excel(book, sheet_name="empty", index=False)
        TABLE.to_excel(book, sheet_name="data", index=False)


WRITERS = {
    "c.csv": lambda p: TABLE.to_csv(p, index=False),
    "c.tsv": lambda p: TABLE.to_csv(p, index=False, sep="\t"),
    "semicolons.csv": excel_semicolons,
    "unicode.txt": excel_unicode_text,
    "spaces.csv": spaces,
    "nfd.csv": decomposed,
    "c.xlsx": excel,
    "c.parquet": lambda p: TABLE.to_parquet(p),
    "indexed.parquet": lambda p: TABLE.set_index("patient_id").to_parquet(p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_dialect_is_the_same_cohort(tmp_path, name):
    WRITERS[name](tmp_path / name)
    cohort, said = read(tmp_path / name)
    assert not said
    assert cohort.patients.index.tolist() == ["00123", "123", "K\u00f6ln 7"]
    assert cohort.patients["time"].tolist() == [1.5, 12.25, 300.0]
    assert cohort.slides["slide_id"].tolist() == ["007", "7", "a.b"]
    assert bool(cohort.notes) == (name == "semicolons.csv")


def test_numbers_of_excel_are_ids(tmp_path):
    TABLE.assign(patient_id=[1.0, 2.0, 3.0], slide_id=[10, 20, 30]).to_excel(
        tmp_path / "c.xlsx", index=False
    )
    cohort, _ = read(tmp_path / "c.xlsx")
    assert cohort.patients.index.tolist() == ["1", "2", "3"]
    assert cohort.slides["slide_id"].tolist() == ["10", "20", "30"]


def table(**columns):
    return TABLE.assign(**columns)


# fmt: off
BAD = {
    "formula": (table(patient_id=["=cmd|' /C calc'!A0", "b", "c"]), "begins like a formula"),
    "at": (table(slide_id=["@x", "b", "c"]), "begins like a formula"),
    "newline": (table(patient_id=["a\nb", "b", "c"]), "invisible characters or line breaks"),
    "escape": (table(slide_id=["a\x1b[2J", "b", "c"]), "invisible characters or line breaks"),
    "dots": (table(patient_id=["..", "b", "c"]), "is not a name"),
    "path": (table(slide_id=["../../etc/passwd", "b", "c"]), "names a path"),
    "windows path": (table(slide_id=["C:\\slides\\a.svs", "b", "c"]), "names a path"),
    "long": (table(patient_id=["x" * 10_000, "b", "c"]), "longer than 255 characters"),
    "date": (table(time=["2015-03-01", "2016-01-01", "5"]), "is not a number of days: 2"),
    "commas": (table(time=["1,5", "2.5", "3"]), "can be read in two ways: 1"),
}
# fmt: on


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", ["c.csv", "c.parquet"])
def test_what_no_table_of_results_could_carry_is_refused(tmp_path, case, name):
    frame, message = BAD[case]
    frame.astype(str).to_csv(tmp_path / name, index=False) if name.endswith(
        "csv"
    ) else frame.astype(str).to_parquet(tmp_path / name)
    _, said = read(tmp_path / name)
    assert message in said
    assert len(said) < 2000


def test_negative_numbers_are_no_formulas():
    assert not any(map(is_formula, ["-12", "+3.5", "", "a=b", "1-2"]))
    assert all(map(is_formula, ["=1", "+A1", "-A1", "@SUM(A1)", "-1+cmd|x"]))


def test_a_table_without_slides_looks_for_files_by_patient(tmp_path):
    TABLE.drop(columns="slide_id").to_csv(tmp_path / "c.csv", index=False)
    cohort, said = read(tmp_path / "c.csv")
    assert not said
    assert cohort.slides["slide_id"].tolist() == ["00123", "123", "K\u00f6ln 7"]
    assert "by patient" in cohort.notes[0]
    _, said = read(tmp_path / "c.csv", columns={"slide": "slide_id"})
    assert "no column 'slide_id'" in said


def test_one_file_per_patient_whatever_the_rows(tmp_path):
    pd.concat([TABLE, TABLE]).to_csv(tmp_path / "c.csv", index=False)
    cohort, said = read(tmp_path / "c.csv", columns={"slide": "patient_id"})
    assert not said
    assert len(cohort.slides) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (
            "patient_id,t\nJos\x81\x02,1\n".encode("latin-1"),
            "not UTF-8 text. To do: save it as UTF-8",
        ),
        (b"\xff\xfea", "UTF-8|cannot be read"),
        (b'a,b\n"1,2\n', "cannot be read"),
        (b"a,b\n1,2\n3\n", "1 lines have fewer fields than the header, e.g. line 3"),
        (b"PK\x03\x04 not a zip", "cannot be read|has no"),
    ],
)
@pytest.mark.parametrize("name", ["c.csv", "c.xlsx", "c.parquet"])
def test_files_that_are_no_tables(tmp_path, content, message, name):
    import re

    (tmp_path / name).write_bytes(content)
    _, said = read(tmp_path / name)
    assert said
    assert name != "c.csv" or re.search(message, said), said


def test_a_sheet_that_claims_or_unpacks_to_more_than_a_table(tmp_path):
    import zipfile

    TABLE.to_excel(tmp_path / "c.xlsx", index=False)
    with zipfile.ZipFile(tmp_path / "c.xlsx") as old:
        members = {n: old.read(n) for n in old.namelist()}
    sheet = next(n for n in members if n.startswith("xl/worksheets/"))
    claimed = members[sheet].replace(b'ref="A1:D4"', b'ref="A1:XFD1048576"')
    assert claimed != members[sheet]
    for name, content in (("claim.xlsx", claimed), ("bomb.xlsx", claimed + b" " * (300 << 20))):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
            for member, inside in members.items():
                new.writestr(member, content if member == sheet else inside)
    cohort, said = read(tmp_path / "claim.xlsx")
    assert not said
    assert len(cohort.patients) == 3
    _, said = read(tmp_path / "bomb.xlsx")
    assert "unpacks to" in said


def test_entities_of_a_sheet_are_not_unfolded(tmp_path):
    import zipfile

    TABLE.to_excel(tmp_path / "c.xlsx", index=False)
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    head = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'
    with zipfile.ZipFile(tmp_path / "c.xlsx") as old:
        members = {n: old.read(n) for n in old.namelist()}
    with zipfile.ZipFile(tmp_path / "l.xlsx", "w") as new:
        for member, inside in members.items():
            if member.startswith("xl/worksheets/"):
                body = inside.decode().removeprefix('<?xml version="1.0"?>')
                inside = (head + body.replace("300", "&l11;", 1)).encode()
            new.writestr(member, inside)
    _, said = read(tmp_path / "l.xlsx")
    assert said


def test_blank_sites_are_missing(tmp_path):
    TABLE.assign(site=["A", " ", "NA"]).to_csv(tmp_path / "c.csv", index=False)
    cohort, said = read(tmp_path / "c.csv", split={"site": "site"})
    assert not said
    assert cohort.patients["site"].isna().tolist() == [False, True, True]
    _, said = read(tmp_path / "c.csv", split={"site": "site", "site_preserved": True})
    assert (
        "column 'site' (split.site) is empty: 2, e.g. 123 in line 3, K\u00f6ln 7 in line 4." in said
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.text(max_size=12)] * 4), min_size=1, max_size=4))
def test_any_cells_are_a_cohort_or_a_message(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "c.csv"
    pd.DataFrame(rows, columns=list(TABLE)).to_csv(path, index=False, errors="replace")
    cohort, said = read(path)
    assert said or cohort is not None
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"patient_id": []}),
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
    ],
)
def test_frames_that_are_no_tables(tmp_path, frame):
    problems = Problems("test")
    assert read_cohort(study(tmp_path / "c.csv"), problems, frame) is None
    assert problems
