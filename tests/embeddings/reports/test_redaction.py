"""Sentences that tell the outcome are found in context, and removed with their answers."""

from datetime import date

import pytest

from outcome.embeddings.reports.redaction import AMBIGUOUS, STATEMENT, hits, redact

TOLD = [
    "vital status: Dead.",
    "Survival time: 4005.",
    "Addendum: patient died of disease in March.",
    "The patient is alive without evidence of disease.",
    "Alive with disease.",
    "Days to last follow-up 1302.",
    "Date of last contact: 2011-02-01.",
    "Overall survival: 34 months.",
    "Disease progressed after two years.",
    "She subsequently developed lung metastases.",
    "Autopsy findings confirm this.",
    "The tumor recurred after 14 months.",
    "Best response: PR.",
    "Lost to follow-up.",
    "NED at last visit.",
]
HARMLESS = [
    "Oncotype recurrence score 17.",
    "Low risk of distant recurrence after 5 years.",
    "Additional testing is in progress.",
    "Single cell death and necrosis.",
    "Clinical follow-up is recommended.",
    "History of recurrent carcinoma of the left breast.",
    "Metastatic carcinoma in 2 of 14 nodes.",
    "No lymphovascular invasion.",
    "Treated 5 years ago elsewhere.",
    "No evidence of disease at the margins.",
]


@pytest.mark.parametrize("sentence", TOLD)
def test_a_statement_of_the_outcome_is_removed(sentence):
    text = f"Grade 2. {sentence} Margins free."
    assert redact(text).text == "Grade 2. Margins free."
    assert redact(text).removed == 1


@pytest.mark.parametrize("sentence", HARMLESS)
def test_what_a_pathologist_writes_anyway_stays(sentence):
    assert list(hits([sentence])) == []
    assert redact(sentence).text == sentence


def test_a_word_that_may_tell_is_noted_and_stays():
    (hit,) = hits(["There is recurrence in the scar."])
    assert hit.kind == AMBIGUOUS
    assert redact(hit.sentence).removed == 0
    assert [h.kind for h in hits(["He died."])] == [STATEMENT]


def test_an_answer_goes_with_its_question():
    text = "What is the survival time? 4005. What is the grade? 2."
    assert redact(text).text == "What is the grade? 2."
    assert redact(text).removed == 2


def test_later_dates_need_the_date_of_the_report():
    text = "Received 03/02/2014. Addendum of 5 June 2016: nodes positive. Reviewed March 10, 2014."
    assert redact(text).removed == 0
    # March 10 is 35 days after the report; 03/02 may be March 2 or February 3.
    assert redact(text, date(2014, 2, 3)).text == "Received 03/02/2014."
    # Within a month it is an ordinary addendum.
    assert redact(text, date(2014, 3, 1)).removed == 1
