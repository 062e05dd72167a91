"""One reader: every form of a table that programs write is the same table."""

import datetime

import pandas as pd
import pytest

from outcome.errors import CohortError, PredictionsError
from outcome.tables.read_table import as_text, read_table

ROWS = [["case_id", "time", "status"], ["P1", "12.5", "Dead"], ["P2", "30", "Alive"]]
EXPECTED = pd.DataFrame(ROWS[1:], columns=ROWS[0])


def written(separator=",", encoding="utf-8", before="", end="\n"):
    text = before + end.join(separator.join(row) for row in ROWS) + end
    return text.encode(encoding)


FORMS = {
    "comma.csv": written(),
    "semicolon.csv": written(";"),
    "tab.tsv": written("\t"),
    "bar.txt": written("|"),
    "tab.txt": written("\t"),
    "commas.tsv": written(","),  # a wrong name
    "semicolon.tsv": written(";"),
    "mark.csv": written(encoding="utf-8-sig"),
    "utf16.csv": written(encoding="utf-16"),
    "utf16be.csv": b"\xfe\xff" + written(encoding="utf-16-be"),
    "no_mark.csv": written(encoding="utf-16-le"),
    "windows.csv": written(end="\r\n"),
    "old_mac.csv": written(end="\r"),
    "hint.csv": written(";", before="sep=;\n"),
    "cbioportal.txt": written(
        "\t",
        before="#Patient\tTime\tStatus\n#Id\tMonths\tStatus\n#STRING\tNUMBER\tSTRING\n#1\t1\t1\n",
    ),
    "comment.csv": written(before="# exported 2024-01-01, by hand\n"),
    "hash_header.csv": written(before="#"),
    "title.csv": written(before="Table S1\n"),
    "blank_lines.csv": written(before="\n\n") + b"\n\n",
    "empty_columns.csv": b"case_id,time,status,,\nP1,12.5,Dead,,\nP2,30,Alive,,\n",
    "quoted.csv": b'"case_id","time","status"\n"P1","12.5","Dead"\n"P2","30","Alive"\n',
    "spaces.csv": b" case_id , time , status \n P1 ,12.5,\xc2\xa0Dead\nP2, 30,Alive \n",
    "comment_between.csv": b"case_id,time,status\nP1,12.5,Dead\n# lost to follow-up\nP2,30,Alive\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_same_table(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    read = read_table(tmp_path / name)
    pd.testing.assert_frame_equal(read.frame, EXPECTED, check_dtype=False)
    left_out = any(word in name for word in ("cbio", "comment", "title"))
    assert bool(read.notes) == left_out, read.notes


def test_lines_are_those_of_the_file(tmp_path):
    (tmp_path / "t.csv").write_text('# one\n\nid,text\na,"two\nlines"\n\nb,c\n')
    assert read_table(tmp_path / "t.csv").places == ("line 4", "line 7")


def test_a_patient_whose_id_begins_with_a_hash_sign(tmp_path):
    (tmp_path / "t.csv").write_text("id,age\n#1,50\n#2,60\n")
    assert read_table(tmp_path / "t.csv").frame["id"].tolist() == ["#1", "#2"]


def test_decimal_commas_do_not_count_as_separators(tmp_path):
    (tmp_path / "t.csv").write_text("Age, years;Sex;Time, months\n50,5;F;1,5\n60,1;M;2,25\n")
    assert list(read_table(tmp_path / "t.csv").frame) == ["Age, years", "Sex", "Time, months"]


def test_latin_letters_are_read_and_said(tmp_path):
    (tmp_path / "t.csv").write_bytes("id,site\nP1,Köln\n".encode("cp1252"))
    read = read_table(tmp_path / "t.csv")
    assert read.frame.loc[0, "site"] == "Köln"
    assert "Windows-1252" in read.notes[0]


def test_excel_with_a_title_dates_and_truth_values(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["Supplementary Table 1. Patients"])
    book.active.append([])
    book.active.append(["id", "seen", "dead", "time"])
    book.active.append([1000, datetime.datetime(2014, 3, 31), True, "1,5"])
    book.save(tmp_path / "t.xlsx")
    read = read_table(tmp_path / "t.xlsx")
    assert read.frame.iloc[0].tolist() == ["1000", "2014-03-31 00:00:00", "True", "1,5"]
    assert read.places == ("row 4",)
    assert "title" in read.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"a,b\n", "has no rows"),
        (b"#only\n#comments\n", "has no rows"),
        (b"a,a\n1,2\n", "two columns of the same name: a"),
        (b"a,b\n1,2\n3\n", "fewer fields than the header, e.g. line 3"),
        (b"a,b\n1,2,3\n1,2\n", "more fields than the header, e.g. line 2"),
        (b"a,b\n1,\x00\n", "NUL"),
        (b'a,b\n"1,2\n', "cannot be read"),
        (b"a,b\n\x81\x02,1\n", "not UTF-8 text"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(PredictionsError, match=message):
        read_table(tmp_path / "t.csv", error=PredictionsError)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CohortError, match="there is no split file"):
        read_table(tmp_path / "none.csv", what="split file")


def test_a_frame_keeps_ids_and_truth_values():
    frame = pd.DataFrame({"id": [1.0, None], "dead": [True, False], "name": ["K\u0308", " x "]})
    text = as_text(frame).frame
    assert text["id"].tolist() == ["1", ""]
    assert text["dead"].tolist() == ["True", "False"]
    assert text["name"].tolist() == ["K\u0308", "x"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"time": ["1,5", "2"]}, ["1.5", "2"]),
        ({"time": ["1.801", "1801"], "other": ["1,5", "2,25"]}, ["1801", "1801"]),
        ({"time": ["1.801", "1801"], "other": ["1.5", "2.25"]}, ["1.801", "1801"]),
        ({"time": ["1.801", "1801"]}, ["1.801", "1801"]),
    ],
)
def test_plain_numbers_of_a_semicolon_table(tmp_path, columns, expected):
    frame = pd.DataFrame({"id": ["a", "b"], **columns})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    read = read_table(tmp_path / "t.csv").with_plain_numbers()
    assert read.frame["time"].tolist() == expected


def test_several_columns_without_a_name_are_kept_apart(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",case,,,time\n0,A,x,,1.5\n1,B,y,,2.5\n")
    table = read_table(path).with_plain_numbers().frame
    assert list(table) == ["", "case", "Unnamed: 2", "time"]
    assert table["Unnamed: 2"].tolist() == ["x", "y"]
