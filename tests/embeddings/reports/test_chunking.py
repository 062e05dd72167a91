"""Reports cut into sentences and chunks: nothing lost, nothing too long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome.embeddings.reports.chunking import chunks, sections, sentences, word_lengths

REPORT = """\
CLINICAL HISTORY:
65 y.o. woman, seen by Dr. A. Smith. Left breast mass, approx. 1.2 x 3.4 cm.

GROSS DESCRIPTION
A. Left breast: received fresh. Weight 320 g
B. Sentinel node, No. 1. Bisected.

DIAGNOSIS:
1. Invasive ductal carcinoma, grade ii. margins are free (0.7 cm)! Stage: pT2 pN0 (i.e. early).
2. Fibrocystic change
"""


def test_sentences_end_where_a_reader_would_end_them():
    assert sentences(REPORT) == [
        "CLINICAL HISTORY: 65 y.o. woman, seen by Dr. A. Smith.",
        "Left breast mass, approx. 1.2 x 3.4 cm.",
        "GROSS DESCRIPTION A. Left breast: received fresh.",
        "Weight 320 g",
        "B. Sentinel node, No. 1.",
        "Bisected.",
        "DIAGNOSIS: 1. Invasive ductal carcinoma, grade ii.",
        "margins are free (0.7 cm)!",
        "Stage: pT2 pN0 (i.e. early).",
        "2. Fibrocystic change",
    ]


def test_sections_start_at_headings():
    assert [s.split("\n")[0] for s in sections(REPORT)] == [
        "CLINICAL HISTORY:", "GROSS DESCRIPTION", "DIAGNOSIS:",
    ]  # fmt: skip


def test_a_new_section_starts_a_chunk_once_the_last_is_half_full():
    first, second = "One two three. Four five six seven.", "Eight nine."
    text = f"HISTORY:\n{first}\n\nDIAGNOSIS:\n{second}"
    assert chunks(text, 12) == [f"HISTORY: {first}", f"DIAGNOSIS: {second}"]
    assert chunks(text, 40) == [f"HISTORY: {first} DIAGNOSIS: {second}"]


@pytest.mark.parametrize("limit", [8, 98])
def test_a_sentence_without_end_is_cut_and_kept(limit):
    text = " ".join(f"w{i}" for i in range(500))
    found = chunks(text, limit)
    assert " ".join(found) == text
    assert max(word_lengths(found)) <= limit


def test_one_endless_word_is_cut_by_an_encoder_that_counts_letters():
    found = chunks("x" * 50 + " end.", 8, lambda texts: [len(t) for t in texts])
    assert "".join(found).replace(" ", "") == "x" * 50 + "end."
    assert max(map(len, found)) <= 8


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab1 .:?!\n-A", max_size=200), st.integers(1, 12))
def test_nothing_is_lost(text, limit):
    found = chunks(text, limit)
    assert " ".join(found).split() == text.split()
    assert all(n <= limit for n in word_lengths(found))
    assert all(found)
