"""`outcome evaluate` and `outcome compare`: tables made anywhere, good and bad."""

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index

from outcome.errors import PredictionsError
from outcome.predictions import Predictions


@pytest.fixture
def scores(tmp_path):
    """Two arms of one cohort as another tool would write them: ids, folds, months, risk."""
    rng = np.random.default_rng(8)
    n = 120
    signal = rng.normal(size=n)
    time = rng.exponential(20 * np.exp(-signal))
    table = pd.DataFrame(
        {
            "case_id": [f"{i:05d}" for i in range(n)],
            "fold": np.arange(n) % 3,
            "time_months": np.minimum(time, 40).round(2) + 0.01,
            "event": (time < 40).astype(int),
            "age": rng.normal(60, 10, n).round(),
            "sex": rng.choice(["f", "m"], n),
        }
    )
    for name, noise in (("good", 0.5), ("poor", 5.0)):
        table.assign(risk=signal + noise * rng.normal(size=n)).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    return tmp_path


def test_evaluate_as_typed(scores, outcome, tmp_path):
    done = outcome(
        "evaluate", scores / "good.csv", scores / "poor.csv", "--out", tmp_path / "out",
        "--horizons", "6,12", "--covariates", "age,sex", "--resamples", 200, "--baseline", "poor",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert f"report: {tmp_path / 'out' / 'report.html'}" in done.out
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(["arm", "metric"])["estimate"]
    table = pd.read_csv(scores / "good.csv")
    per_fold = [
        concordance_index(f["time_months"], -f["risk"], f["event"])
        for _, f in table.groupby("fold")
    ]
    assert metrics["good", "harrell_c"] == pytest.approx(np.mean(per_fold), abs=1e-12)
    assert {"auc_6", "auc_12", "uno_c", "mean_auc"} <= set(metrics["good"].index)
    compared = pd.read_csv(tmp_path / "out" / "comparisons.csv")
    assert set(compared["baseline"]) == {"poor"}
    for name in (
        "follow_up", "survival_curves", "survival_at", "pairwise", "restricted_means",
        "added_value", "effects", "subgroups",
    ):  # fmt: skip
        assert len(pd.read_csv(tmp_path / "out" / f"{name}.csv")), name
    groups = pd.read_csv(tmp_path / "out" / "risk_groups.csv")
    assert groups["note"].str.contains("exploratory").all()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The predictions contain no groups: patients were divided at the median" in page
    assert "Table 1. Patients by outcome" in page
    assert "The random seed of the division" not in page
    written = pd.read_csv(tmp_path / "out" / "predictions.csv", dtype={"patient_id": str})
    assert written["patient_id"].iloc[7] == "00007"
    # What was written can be read again, and gives the same.
    again = outcome(
        "evaluate", tmp_path / "out" / "predictions.csv", "--out", tmp_path / "again",
        "--unit", "months", "--horizons", "6,12", "--resamples", 200, "--baseline", "poor",
    )  # fmt: skip
    assert again.code == 0, again.err
    second = pd.read_csv(tmp_path / "again" / "metrics.csv").set_index(["arm", "metric"])
    pd.testing.assert_series_equal(second["estimate"], metrics)


def test_days_are_assumed_aloud(scores, outcome, tmp_path):
    said = "times are assumed to be in days, because no unit was given"
    table = pd.read_csv(scores / "good.csv", dtype=str)
    table.rename(columns={"time_months": "time"}).to_csv(tmp_path / "bare.csv", index=False)
    for k, (path, options, expected) in enumerate([
        (tmp_path / "bare.csv", [], True),
        (tmp_path / "bare.csv", ["--unit", "months"], False),
        (scores / "good.csv", [], False),
    ]):  # fmt: skip
        out = tmp_path / f"out{k}"
        done = outcome("evaluate", path, "--out", out, "--resamples", 0, *options)
        assert done.code == 0, done.err
        assert (said in " ".join(done.out.split())) is expected


def test_evaluate_of_a_run_gives_its_metrics(small, tmp_path, outcome):
    assert outcome("run", small, "--out", tmp_path / "run", "--jobs", 1).code == 0
    done = outcome(
        "evaluate", tmp_path / "run" / "predictions.csv", "--out", tmp_path / "again",
        "--unit", "days",
    )  # fmt: skip
    assert done.code == 0, done.err
    # A table alone has no scores of inner models: the rest is the same.
    training = ["lower", "upper", "se", "df", "variance", "p_value", "p_adjusted"]
    for name, without in (
        ("metrics", training),
        ("comparisons", training),
        ("risk_groups", ["logrank_p", "variance"]),
    ):
        one, other = (pd.read_csv(tmp_path / d / f"{name}.csv") for d in ("run", "again"))
        kept = [c for c in one if c not in without]
        pd.testing.assert_frame_equal(one[kept], other[kept])
    assert "there are no scores of inner models" in done.out


def test_five_patients_give_no_verdict(tmp_path, outcome):
    rows = {"patient_id": list("abcde"), "time": [1, 2, 3, 4, 5], "event": 1}
    pd.DataFrame(rows).assign(risk=[5, 4, 3, 2, 1]).to_csv(tmp_path / "p.csv", index=False)
    done = outcome("evaluate", tmp_path / "p.csv", "--out", tmp_path / "out", "--unit", "days")
    assert done.code == 0, done.err
    assert "warning: arm p: no verdict, 5 events: a verdict needs 10" in done.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Cannot be said" in page
    assert "a verdict needs 10" in page
    assert "1.00 (1.00 to 1.00)" not in page + done.out


def test_compare_as_typed(scores, outcome, tmp_path):
    done = outcome("compare", scores / "good.csv", scores / "poor.csv", "--resamples", 200)
    assert done.code == 0, done.err
    assert "good minus poor" in done.out
    assert "harrell_c" in done.out
    same = outcome("compare", scores / "good.csv", scores / "good.csv")
    assert same.code == 2
    assert "scored more than once" in same.err


def test_probabilities_of_a_label(tmp_path, outcome):
    rng = np.random.default_rng(1)
    p = rng.random(80)
    table = pd.DataFrame({"patient_id": range(80), "probability": p, "label": rng.random(80) < p})
    table.astype({"label": int}).to_csv(tmp_path / "p.csv", index=False)
    done = outcome("evaluate", tmp_path / "p.csv", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index("metric")["estimate"]
    assert metrics["auroc"] > 0.7
    assert {"brier", "calibration_slope", "calibration_intercept"} <= set(metrics.index)
    # One set of patients, no folds: an ordinary test, nothing exploratory about intervals.
    assert "cross-validated" not in done.out
    assert "variation from training" not in done.out
    assert (
        "note: the predictions contain no groups: patients were divided at the median" in done.out
    )
    favourable = outcome("evaluate", tmp_path / "p.csv", "--out", tmp_path / "good", "--favourable")
    assert favourable.code == 0, favourable.err
    good = pd.read_csv(tmp_path / "good" / "metrics.csv").set_index("metric")["estimate"]
    assert good["auroc"] == pytest.approx(metrics["auroc"], abs=1e-12)


def spoil(column, value):
    def change(table):
        return table.assign(**{column: value})

    return change


def at(row, column, value):
    def change(table):
        new = table.assign(**({column: "0.5"} if column not in table else {})).astype({column: str})
        new.loc[row, column] = value
        return new

    return change


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.drop(columns="risk"), [], "good.csv has no column: 1, e.g. risk"),
        (lambda t: t.drop(columns="time_months"), [], "has no column: 1, e.g. time"),
        (spoil("risk", np.nan), [], "good.csv: column 'risk' is empty: 120, e.g. line 2 (patient"),
        (
            at(5, "risk", "high"),
            [],
            "column 'risk' contains values that are not numbers: 1, e.g. line 7 (patient 00005",
        ),
        (at(5, "risk", "inf"), [], "line 7 (patient 00005): inf. To do: write finite numbers"),
        (
            at(5, "survival_12", "high"),
            [],
            "column 'survival_12' contains values that are not numbers: 1, e.g. line 7",
        ),
        (spoil("event", 3), [], "event"),
        (
            spoil("event", "dead"),
            [],
            "contains values that are not numbers: 120, e.g. line 2 (patient 00000): dead,",
        ),
        (
            at(0, "event", ""),
            [],
            "good.csv: column 'event' is empty: 1, e.g. line 2 (patient 00000)",
        ),
        (at(8, "event", ""), [], "To do: fill them in, or remove these rows"),
        (at(8, "time_months", ""), [], "column 'time_months' is empty: 1, e.g. line 10 (patient"),
        (at(3, "case_id", ""), [], "good.csv: column 'case_id' is empty: 1, e.g. line 5. To do"),
        (at(3, "fold", ""), [], "column 'fold' is empty: 1, e.g. line 5 (patient 00003). To do"),
        (at(3, "arm", ""), [], "column 'arm' is empty: 1, e.g. line 5 (patient 00003). To do"),
        (spoil("time_months", -1), [], "time is missing or negative: 120"),
        (lambda t: t.drop(columns="risk").assign(probability=1.5), [], "outside [0, 1]: 120"),
        (lambda t: pd.concat([t, t.head(2)]), [], "scored more than once in one arm and repeat: 2"),
        (lambda t: t, ["--horizons", "12,6"], "horizon"),
        (lambda t: t, ["--horizons", "6,6"], "horizon"),
        (lambda t: t, ["--horizons", "soon"], "write numbers"),
        (lambda t: t, ["--unit", "days"], "the times are in months"),
        (lambda t: t, ["--unit", "weeks"], "use days, months or years"),
        (lambda t: t, ["--baseline", "none"], "baseline"),
        (lambda t: t, ["--covariates", "weight"], "no column: 1, e.g. weight"),
        (lambda t: t.assign(time_months=t["time_months"] * 365), ["--unit", "months"], "months"),
        (lambda t: t.head(0), [], "good.csv has no rows"),
    ],
)
def test_tables_that_cannot_be_evaluated(scores, outcome, tmp_path, change, options, message):
    change(pd.read_csv(scores / "good.csv", dtype={"case_id": str})).to_csv(
        scores / "good.csv", index=False
    )
    done = outcome("evaluate", scores / "good.csv", "--out", tmp_path / "out", *options)
    assert done.code == 2, done.out
    assert message in done.err, done.err
    assert not (tmp_path / "out").exists()


def test_everything_wrong_is_said_at_once_by_line(scores, outcome, tmp_path):
    lines = (scores / "good.csv").read_text().splitlines()
    lines[3:3] = ["", "  "]  # lines without anything are no rows, and are counted
    table = [line.split(",") for line in lines]
    table[8][0], table[9][3], table[10][-1] = "", "", "high"
    (scores / "good.csv").write_text("\n".join(",".join(row) for row in table))
    done = outcome("compare", scores / "good.csv", scores / "poor.csv")
    assert done.code == 2
    for place in (
        "'case_id' is empty: 1, e.g. line 9. To",
        "line 10 (patient 00006)",
        "line 11 (patient 00007): high",
    ):
        assert place in done.err, done.err


def test_predictions_from_python_with_text_are_refused_alike():
    table = pd.DataFrame({"patient_id": ["a"], "arm": "x", "repeat": 0, "fold": "0", "label": 1})
    with pytest.raises(PredictionsError, match="risk is not a finite number: 1"):
        Predictions(table.assign(risk="high"))


@pytest.mark.parametrize("words", [{1: "True", 0: "False"}, {1: "TRUE", 0: "false"}])
@pytest.mark.parametrize("column", ["event", "label"])
def test_true_and_false_are_one_and_zero(scores, outcome, tmp_path, column, words):
    for name in ("good", "poor"):
        table = pd.read_csv(scores / f"{name}.csv", dtype={"case_id": str})
        if column == "label":
            table = table.drop(columns="time_months").rename(columns={"event": "label"})
        table.to_csv(scores / f"{name}.csv", index=False)
        table[column] = table[column].map(words)
        table.to_csv(scores / f"{name}-words.csv", index=False)
    found = {}
    for kind in ("", "-words"):
        out = tmp_path / f"out{kind}"
        files = [scores / f"{name}{kind}.csv" for name in ("good", "poor")]
        done = outcome("evaluate", *files, "--out", out, "--resamples", 20)
        assert done.code == 0, done.err
        metrics = pd.read_csv(out / "metrics.csv")
        found[kind] = metrics.assign(arm=metrics["arm"].str.removesuffix("-words"))
    pd.testing.assert_frame_equal(found[""], found["-words"])
    compared = outcome("compare", *files, "--resamples", 20)
    assert compared.code == 0, compared.err


def in_words_of_tcga(path):
    """Write a table with the columns and codes that TCGA has; returns it and how to read it."""
    table = pd.read_csv(path, dtype={"case_id": str})
    vital = table["event"].map({1: "Dead", 0: "Alive"})
    theirs = table.rename(columns={"case_id": "submitter", "time_months": "OS_MONTHS"})
    # Columns with our names that are not meant.
    theirs = theirs.assign(time=1, event=0, patient_id="x", vital_status=vital)
    target = path.with_name(f"tcga-{path.name}")
    theirs.to_csv(target, index=False)
    return target, [
        "--patient", "submitter", "--time", "OS_MONTHS", "--event", "vital_status",
        "--event-codes", "Alive=0,Dead=1",
    ]  # fmt: skip


def test_columns_and_codes_may_be_named(scores, outcome, tmp_path):
    ours = [scores / "good.csv", scores / "poor.csv"]
    theirs = [in_words_of_tcga(path)[0] for path in ours]
    options = [*in_words_of_tcga(ours[0])[1], "--resamples", 0, "--out", tmp_path / "out"]
    done = outcome("compare", *theirs, *options)
    assert done.code == 0, done.err
    assert "tcga-good minus tcga-poor" in done.out
    assert "assumed to be in days" not in done.out  # the name says months
    written = pd.read_csv(tmp_path / "out" / "predictions.csv", dtype={"patient_id": str})
    table = pd.read_csv(ours[0], dtype={"case_id": str})
    assert written["patient_id"].tolist()[: len(table)] == table["case_id"].tolist()
    assert written["event"].tolist()[: len(table)] == table["event"].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--event-codes", "Alive=0,Gone=1"],
            "'vital_status' contains codes that are not declared",
        ),
        (["--event-codes", "Alive"], "--event-codes 'Alive': write CODE=0,CODE=1"),
        (["--time", "OS"], "has no column: 1, e.g. OS"),
        (
            ["--unit", "days"],
            "unit days was given, but by the name of their column the times are in months",
        ),
        (
            ["--event", "censored", "--event-codes", ""],
            "declare the meaning of its codes with --event-codes",
        ),
    ],
)
def test_columns_and_codes_that_are_not_there(scores, outcome, tmp_path, options, message):
    path, named = in_words_of_tcga(scores / "good.csv")
    table = pd.read_csv(path, dtype=str)
    table.assign(censored=1 - table["event"].astype(int)).to_csv(path, index=False)
    done = outcome("evaluate", path, *named, *options, "--out", tmp_path / "out")
    assert done.code == 2
    assert message in done.err, done.err
    assert not (tmp_path / "out").exists()


def test_arms_that_disagree_on_an_outcome(scores, outcome, tmp_path):
    table = pd.read_csv(scores / "good.csv", dtype={"case_id": str})
    table.loc[4, "event"] = 1 - table.loc[4, "event"]
    table.to_csv(scores / "good.csv", index=False)
    done = outcome("compare", scores / "good.csv", scores / "poor.csv")
    assert done.code == 2
    assert "'event' differs between rows of one patient: 1, e.g. 00004" in done.err


def test_patients_that_one_arm_lacks_are_named_and_left_out_of_the_comparison(
    scores, outcome, tmp_path
):
    table = pd.read_csv(scores / "good.csv", dtype={"case_id": str})
    table.drop(index=[3, 5]).to_csv(scores / "good.csv", index=False)
    done = outcome("compare", scores / "good.csv", scores / "poor.csv", "--resamples", 100)
    assert done.code == 0, done.err
    assert "2 patients are not scored, e.g. 00003, 00005" in done.out
    assert "118" in done.out


def test_horizons_beyond_follow_up_are_told(scores, outcome, tmp_path):
    done = outcome(
        "evaluate", scores / "good.csv", "--out", tmp_path / "out", "--horizons", "12,900"
    )
    assert done.code == 0, done.err
    assert "auc_900" in done.out
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index("metric")
    assert np.isnan(metrics.loc["auc_900", "estimate"])
    assert metrics.loc["auc_900", "note"]


def test_the_folder_of_a_run_is_left_alone(small, scores, outcome, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.yaml").touch()
    done = outcome("evaluate", scores / "good.csv", "--out", tmp_path / "run")
    assert done.code == 2
    assert "is the folder of a run" in done.err
