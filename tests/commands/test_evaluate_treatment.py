"""`outcome evaluate` of a table without folds, with a treatment that was not randomised."""

import re

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def trial(tmp_path):
    """One fixed score, whose column `arm` is the treatment."""
    rng = np.random.default_rng(2)
    n = 120
    risk, treated = rng.normal(size=n), rng.integers(0, 2, n)
    hazard = np.exp(0.6 * risk - 0.3 * treated - 1.5 * risk * treated)
    table = pd.DataFrame(
        {
            "patient_id": [f"p{i:03}" for i in range(n)],
            "time_months": (24 * rng.exponential(1 / hazard)).clip(0.1, 60).round(2),
            "event": 1,
            "risk": risk,
            "arm": np.where(treated == 1, "pembrolizumab", "control"),
        }
    )
    table["event"] = (table["time_months"] < 60).astype(int)
    table.to_csv(tmp_path / "score.csv", index=False)
    return tmp_path / "score.csv"


def page_text(folder):
    html = (folder / "report.html").read_text(encoding="utf-8")
    html = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", html.replace("<wbr>", "")).split())


def words_of(table):
    """The text of a printed table, whose cells are wrapped."""
    return " ".join(re.sub(r"[│\n]", " ", table).split())


def test_treatment_called_arm_in_a_table_without_folds(trial, outcome, tmp_path):
    done = outcome(
        "evaluate", trial, "--treatment", "arm", "--treatment-reference", "control",
        "--not-randomised", "--risk-groups", "tertiles", "--out", tmp_path / "out",
        "--resamples", 0,
    )  # fmt: skip
    assert done.code == 0, done.err
    # The terminal has the result, with the p of the table.
    found = pd.read_csv(tmp_path / "out" / "treatment_interaction.csv").set_index("term")
    row = found.loc["score x treatment"]
    assert row["p_value"] < 0.001
    assert f"{row['ratio']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})" in done.out
    assert "<0.001" in done.out
    assert "without the column fold the score counts as fixed before" in done.out
    page = page_text(tmp_path / "out")
    # The first screen draws no conclusion about benefit.
    assert "An association, not a conclusion about benefit" in page
    assert "Treatments were not randomised and the analysis is unadjusted" in page
    assert "analysis is unadjusted, so no conclusion about benefit is possible" in page
    assert "It seems so" not in page[page.index("Does the effect of pembrolizumab depend") :][:400]
    # No sentence is about folds, for there are none; groups are named, with their origin.
    start = page.rindex("How to read this page")  # the first is in the list of contents
    reading = page[start : page.index("Reporting checklists", start)]
    assert "A part of the patients by their risk score: low, intermediate, high." in reading
    assert "at the tertiles of the risks of the scored patients themselves. This is" in reading
    said = page[: page.index("Reporting checklists", start)].replace("without the column fold", "")
    assert not re.findall(r".{40}\bfolds?\b.{20}", said)


def test_compare_says_what_concerns_the_comparison(trial, outcome, tmp_path):
    table = pd.read_csv(trial).drop(columns="arm")
    table.to_csv(tmp_path / "fixed.csv", index=False)
    turned = table.assign(
        risk=table["event"].to_numpy() * table["time_months"], fold=table.index % 3
    )
    turned.to_csv(tmp_path / "turned.csv", index=False)
    done = outcome("compare", tmp_path / "turned.csv", tmp_path / "fixed.csv", "--resamples", 0)
    assert done.code == 0, done.err
    assert "nan" not in done.out
    assert "fixed has no folds: it is compared as a fixed score" in words_of(done.out)
    assert "risk group" not in done.out
    assert "hazard ratios" not in done.out
    assert "warning: arm turned: C-index" in done.out
    assert "is below 0.5: patients with a higher risk had better outcomes" in done.out
    other = table.assign(fold=(table.index + table.index // 7) % 4)
    other.to_csv(tmp_path / "other.csv", index=False)
    done = outcome("compare", tmp_path / "turned.csv", tmp_path / "other.csv", "--resamples", 0)
    assert done.code == 0, done.err
    assert "nan" not in done.out
    assert "not estimable" in done.out
    assert "To do: score both arms in the same folds" in words_of(done.out)
