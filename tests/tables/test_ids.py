"""Identifiers of one patient or slide are one, however they are spelled."""

import pytest

from outcome.tables.ids import join_ids, slide_name, why_ids_differ


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("1000.0", ["1000"], "1000"),
        ("1000", ["1000.0"], "1000.0"),
        ("1000.0", ["1000", "1000.0"], "1000.0"),
        (" P1", ["P1"], "P1"),
        ("K\u0308oln", ["\u1e30oln".replace("\u1e30", "K\u0308")], "K\u0308oln"),
        ("Ko\u0308ln", ["K\u00f6ln"], "K\u00f6ln"),
        ("P1 ", ["P1 "], "P1 "),
    ],
)
def test_one_spelling(name, known, expected):
    assert join_ids([name], known) == {name: expected}


@pytest.mark.parametrize(("name", "known"), [("007", "7"), ("p1", "P1"), ("1.50", "1.5")])
def test_what_may_be_another_patient_is_not_joined(name, known):
    assert join_ids([name], [known]) == {}


@pytest.mark.parametrize(
    ("ids", "known", "words"),
    [
        ("TCGA-A0-1000", "TCGA-A0-1000-01A", "patient barcode.*sample barcode"),
        ("TCGA-A0-1000-01Z-00-DX1", "TCGA-A0-1000", "slide barcode.*patient barcode"),
        ("TCGA-A0-1000-01A", "TCGA-A0-1000-01A-01-TS1", "sample barcode.*slide barcode"),
        ("007", "7", "leading zeros"),
        ("p1", "P1", "upper and lower case"),
        ("P-1", "P_1", "hyphens"),
        ("s1.svs", "s1", "suffix"),
        ("P001", "1", "letters before it"),
        ("P001", "P001_S2", "but is longer"),
    ],
)
def test_the_likely_reason_is_named(ids, known, words):
    import re

    assert re.search(words, why_ids_differ([ids], [known]))


def test_nothing_is_said_without_a_reason():
    assert why_ids_differ(["A"], ["B"]) == ""
    assert why_ids_differ(["A"], ["A"]) == ""


def test_slide_names_lose_suffixes_and_spaces_only():
    assert slide_name(" a.b.svs ") == "a.b"
