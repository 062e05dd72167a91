import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from outcome import Study, run
from outcome.cohort import Cohort
from outcome.crossval.permutation_test import permuted
from outcome.endpoint import TimeToEvent
from outcome.models.heads import CoxHead, LogisticHead, Target
from outcome.models.ridge import fit_linear


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def test_ridge_cox_equals_scikit_survival(rng):
    x = rng.normal(size=(150, 5)) * [1, 10, 0.1, 1, 1] + [0, 5, 0, 0, 0]
    time = rng.exponential(np.exp(-x[:, 0]))
    event = rng.random(150) < 0.7
    target = Target(torch.tensor(time), torch.tensor(event))
    path = fit_linear(x, target, CoxHead(), penalties=(1.0, 0.1))
    standard = (x - x.mean(0)) / x.std(0)
    for k, penalty in enumerate((1.0, 0.1)):
        # Their penalty is on the sum over patients, of features without our 1 / sqrt(d).
        theirs = CoxPHSurvivalAnalysis(alpha=penalty * event.sum() * 5 / 150 * 150, ties="efron")
        raw = theirs.fit(standard, Surv.from_arrays(event, time)).predict(standard)
        ours = path(x)[k]
        np.testing.assert_allclose(ours - ours.mean(), raw - raw.mean(), atol=2e-3)


def test_a_penalty_per_input_equals_scikit_survival_with_one_per_feature(rng):
    x = rng.normal(size=(150, 5))
    time = rng.exponential(np.exp(-x[:, 0] - 0.5 * x[:, 3]))
    event = rng.random(150) < 0.7
    target = Target(torch.tensor(time), torch.tensor(event))
    path = fit_linear(x, target, CoxHead(), [(0.05, 2.0), (0.3, 0.01)], widths=[2, 3])
    standard = (x - x.mean(0)) / x.std(0)
    for k, (first, second) in enumerate([(0.05, 2.0), (0.3, 0.01)]):
        # An input's features are divided by the root of their number.
        alpha = np.array([first * 2] * 2 + [second * 3] * 3) * event.sum()
        theirs = CoxPHSurvivalAnalysis(alpha=alpha, ties="efron")
        raw = theirs.fit(standard, Surv.from_arrays(event, time)).predict(standard)
        np.testing.assert_allclose(path(x)[k] - path(x)[k].mean(), raw - raw.mean(), atol=2e-3)
    again = fit_linear(x, target, CoxHead(), [(0.3, 0.01)], widths=[2, 3], start=path.only(0))
    np.testing.assert_allclose(again(x)[0], path(x)[1], atol=2e-3)


def test_ridge_logistic_equals_scikit_learn(rng):
    x = rng.normal(size=(200, 4))
    label = rng.random(200) < 1 / (1 + np.exp(-2 * x[:, 1]))
    path = fit_linear(x, Target(None, torch.tensor(label)), LogisticHead(), penalties=(0.05,))
    standard = (x - x.mean(0)) / x.std(0) / 2
    theirs = LogisticRegression(C=1 / (0.05 * 200), tol=1e-9).fit(standard, label)
    np.testing.assert_allclose(path(x)[0], theirs.decision_function(standard), atol=2e-3)


def test_a_missing_input_counts_as_the_mean_and_a_constant_as_nothing(rng):
    x = rng.normal(size=(60, 3))
    x[:, 2] = 7.0
    target = Target(torch.tensor(rng.exponential(np.exp(-x[:, 0]))), torch.ones(60).bool())
    path = fit_linear(x, target, CoxHead())
    at_mean = np.array([[np.nan, np.nan, np.nan], path.mean.tolist(), [*path.mean[:2], 99.0]])
    raw = path(at_mean)
    np.testing.assert_allclose(raw, raw[:, :1] * np.ones(3), atol=1e-9)


def test_without_events_says_so():
    with pytest.raises(ValueError, match="no event"):
        fit_linear(np.zeros((3, 1)), Target(torch.ones(3), torch.zeros(3).bool()), CoxHead())


def test_linear_arms_in_a_study(small, tmp_path):
    spec = "{name: linear, inputs: [image, report], aggregator: linear}"
    study = Study.read(small, [f"arms=[image, {spec}]"])
    results = run(study, out=tmp_path / "run", jobs=1)
    assert results.predictions["arm"].unique().tolist() == ["image", "linear"]
    assert results.predictions.groupby("arm")["patient_id"].nunique().tolist() == [60, 60]
    assert len(list((tmp_path / "run" / "fits").iterdir())) == 3 * 2  # the networks' alone
    assert set(results.history["arm"]) == {"image"}
    assert results.history["tune_concordance"].between(0, 1).all()
    chosen = {e["arm"]: set(e) - {"arm", "repeat", "fold"} for e in results.manifest["epochs"]}
    common = {"model", "weight", "calibration", "inner_folds", "few_events"}
    assert chosen == {"image": {"epochs", *common}, "linear": {"penalties", *common}}
    page = results.report.read_text()
    assert "linear model with a ridge penalty" in page
    assert "“linear” was trained for" not in page


def test_a_study_of_linear_arms_alone(small, tmp_path):
    study = Study.read(small, ["arms=[{name: image, inputs: [image], aggregator: linear}]"])
    results = run(study, out=tmp_path / "run", jobs=1)
    assert results.history.empty
    assert results.report.is_file()


def test_permutation_stays_within_stratum_and_keeps_rows_of_outcomes(rng):
    n = 60
    patients = pd.DataFrame(
        {
            "time": np.arange(n) + 1.0,
            "event": (np.arange(n) % 3 == 0).astype(float),
            "strata": np.where(np.arange(n) < 30, "A", "B"),
        },
        index=[f"p{i:02d}" for i in range(n)],
    )
    cohort = Cohort(patients, pd.DataFrame(), TimeToEvent(kind="survival", time="t", event="e"))
    changed = permuted(cohort, rng).patients
    assert not changed["time"].equals(patients["time"])
    for stratum, rows in changed.groupby("strata"):
        before = patients[patients["strata"] == stratum]
        assert sorted(rows["time"]) == sorted(before["time"])
    pairs = dict(zip(patients["time"], patients["event"], strict=True))
    assert all(pairs[t] == e for t, e in zip(changed["time"], changed["event"], strict=True))


def test_permutations_as_typed(make_study, outcome, tmp_path, monkeypatch):
    path = make_study(
        tmp_path / "c", patients=40, patches=5, dimension=16, image_effect=1.5, event_rate=0.9
    )
    typed = ["run", path, "--out", tmp_path / "run", "--jobs", 1]
    few = outcome(*typed, "--permutations", 20)
    assert few.code == 2
    assert "at least 199" in few.err
    unknown = outcome(*typed, "--permutations", 199, "--permute-inputs", "genes")
    assert unknown.code == 2
    assert "there is no input 'genes'" in unknown.err
    assert not (tmp_path / "run").exists()
    # 199 take minutes.
    monkeypatch.setattr("outcome.crossval.permutation_test.FEWEST_PERMUTATIONS", 2)
    short = ["--set", "split.folds=2", "--set", "training.epochs=2"]
    short += ["--set", "arms=[image, image+report]", "--permutations", 2]
    done = outcome(*typed, *short)
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "run" / "permutations.csv")
    assert sorted(zip(table["arm"], table["statistic"], strict=True)) == [
        (arm, statistic)
        for arm in ("image", "image+report")
        for statistic in ("harrell_c", "logrank")
    ]
    assert ((table["p_value"] >= 1 / 3) & (table["p_value"] <= 1)).all()
    assert "Permutation test of arm image (2 permutations of the outcomes" in done.out
    again = outcome(*typed, *short, "--permute-inputs", "report")
    assert again.code == 0, again.err
    table = pd.read_csv(tmp_path / "run" / "input_permutations.csv")
    assert table[["arm", "exchanged"]].to_numpy().tolist() == [["image+report", "report"]]
    assert "2 permutations of the input report" in again.out
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Permuted inputs: does an input add information to the others?" in page
    assert "Permuted outcomes: is there any association?" in page  # of the run before
