"""A study in memory is the study in files, to the byte."""

import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import yaml

import outcome
from outcome import InputError, MILClassifier, MILCox, SlideDataset, Study
from outcome.models import MeanPool
from outcome.pipeline import run as run_module

SETTINGS = {"epochs": 2, "components": 4, "attention_width": 2}
ARMS = ["image", "image+report+clinical"]
COHORTS = {
    "survival": {},
    "relapse": {"positive": "relapse"},
    "response": {"positive": "responder", "favourable": True},
}


@pytest.fixture(scope="module", params=COHORTS)
def both(request, make_study, tmp_path_factory):
    """A run of a study file, and the same in memory."""
    folder = tmp_path_factory.mktemp(request.param)
    path = make_study(folder / "cohort", endpoint=request.param, patients=48, missing_reports=0.1)
    written = yaml.safe_load(path.read_text())
    written |= {"split": {"folds": 2, "inner_folds": 2}, "training": SETTINGS, "arms": ARMS}
    written.pop("secondary", None)
    path.write_text(yaml.safe_dump(written))
    study = Study.read(path)
    with pytest.MonkeyPatch.context() as patch:  # the page is not what is compared
        patch.setattr("outcome.reporting.report.write_report", lambda folder: folder)
        evaluate = run_module.evaluate_run
        patch.setattr(run_module, "evaluate_run", lambda *a: evaluate(*a, n_resamples=20))
        ran = outcome.run(study, out=folder / "run", jobs=1, cache=folder / "cache")
    data = SlideDataset.from_study(study, cache=folder / "cache")
    settings = COHORTS[request.param]
    codes = {1.0: settings.get("positive"), 0.0: "not"}
    y = data.outcomes
    if "label" in y:
        y = y.assign(label=y["label"].map(codes))
    found = outcome.cross_validate(
        ARMS, data, y, folds=2, inner_folds=2, training=SETTINGS, **settings
    )
    return ran, found, data, y, settings


def test_the_tables_are_those_of_the_run(both):
    ran, found, *_ = both
    for name in ("predictions", "inner_scores", "development", "splits"):
        written = (ran.folder / f"{name}.csv").read_text()
        assert getattr(found, name).to_csv(index=False) == written, name


def test_the_numbers_are_those_of_the_run(both):
    ran, found, *_ = both
    evaluation = found.evaluate(n_resamples=20)
    pd.testing.assert_frame_equal(evaluation.metrics, ran.metrics)
    pd.testing.assert_frame_equal(evaluation.comparisons, ran.comparisons)
    assert list(evaluation.tables) == list(ran.evaluation.tables)
    assert found.warnings + list(evaluation.warnings) == ran.warnings
    favourable = bool(both[4].get("favourable"))
    again = outcome.evaluate(found, favourable=favourable, n_resamples=20)
    pd.testing.assert_frame_equal(again.metrics, ran.metrics)


def test_the_models_of_the_folds_predict_their_test_patients(both):
    _, found, data, y, _ = both
    fitted = found.estimators[ARMS[1]][0]
    rows = found.predictions.query("arm == @ARMS[1] and fold == '0'")
    place = {p: i for i, p in enumerate(data.patients)}
    test = data[[place[p] for p in rows["patient_id"]]]
    risk = fitted.predict_risk(test) if "label" in y else fitted.predict(test)
    np.testing.assert_allclose(risk, rows["risk"], atol=1e-5)
    if "label" in y:
        column = fitted.classes_.tolist().index(both[4]["positive"])
        proba = fitted.predict_proba(test)[:, column]
        np.testing.assert_allclose(proba, rows["probability"], atol=1e-5)


@pytest.fixture(scope="module")
def arrays():
    """A small cohort of arrays."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=48)
    table = pd.DataFrame({"site": rng.choice(["A", "B", "C"], 48), "age": 60 + hidden})
    data = SlideDataset(
        [h + rng.normal(size=(6, 5)) for h in hidden],
        covariates=table,
        outcomes=pd.DataFrame({"time": np.exp(4 - hidden), "event": 1}),
    )
    return data


def test_estimators_say_what_is_compared_and_how(arrays):
    linear = {
        name: MILCox(inputs, aggregator="linear", unit="months", epochs=3)
        for name, inputs in (("image", "image"), ("both", ["image", "clinical"]))
    }
    found = outcome.cross_validate(
        linear, arrays, folds=2, inner_folds=2, horizons=[20, 60], site="site", baseline="both"
    )
    assert found.study.endpoint.unit == "months"
    assert found.study.training.epochs == 3
    assert found.study.covariates.categorical == ()  # the site is no covariate
    assert {"survival_20", "survival_60"} <= set(found.predictions)
    evaluation = found.evaluate(n_resamples=0)
    assert evaluation.comparisons["arm"].unique().tolist() == ["image"]
    assert evaluation.auc_over_time["arm"].unique().tolist() == ["image", "both"]
    html = evaluation._repr_html_()
    assert "harrell_c" in html
    assert "Comparisons" in html
    with pytest.raises(AttributeError, match="no table 'roc_curves'; its tables are metrics"):
        evaluation.roc_curves  # noqa: B018


def test_an_event_by_a_time_is_a_yes_or_no(arrays):
    arms = {"linear": {"inputs": ["image"], "aggregator": "linear"}}
    found = outcome.cross_validate(arms, arrays, folds=2, inner_folds=2, landmark=60)
    assert found.study.endpoint.horizon == 60
    assert "survival_60" in found.predictions
    assert found.bundle("linear", "1").arm.name == "linear"
    with pytest.raises(InputError, match="there is no fold '7' of repeat 0; folds are 0"):
        found.bundle("linear", "7")


@pytest.mark.parametrize(
    ("arms", "settings", "said"),
    [
        ({}, {}, "`arms` is empty"),
        ({"a": 3}, {}, "`arms`: 'a' is int"),
        ({"a": MILClassifier()}, {}, "every estimator must be MILCox: 1, e.g. a"),
        ({"a": MILCox(), "b": MILCox(epochs=3)}, {}, "differ in epochs"),
        ({"a": MILCox(), "b": MILCox(unit="years")}, {}, "predict different outcomes"),
        (["image+report"], {}, "the data have no `reports`"),
        (["image"], {"folds": 1}, "'folds': Input should be greater"),
        (["image"], {"favourable": True}, "`favourable` does not apply to outcomes of this kind"),
        (["image"], {"horizons": [60, 20]}, "horizons must be positive, increasing"),
        (["image"], {"site": "clinic"}, "`site` is 'clinic', but the covariates have no such"),
        (["image"], {"baseline": "x"}, "the baseline 'x' is not among the arms"),
        (["image"], {"n_jobs": 0}, "`n_jobs` is 0"),
        (["image"], {"folds": 60}, "there are 48 events for 60 folds"),
        ({"a": {"inputs": ["image"], "aggregator": "no.such:Pool"}}, {}, "cannot be imported"),
    ],
)
def test_what_a_study_would_refuse_is_refused(arrays, arms, settings, said):
    with pytest.raises(InputError, match=said):
        outcome.cross_validate(arms, arrays, **settings)


class Raising(MeanPool):
    def forward(self, features, lengths):
        raise RuntimeError("no such operation")


def test_an_aggregator_that_cannot_be_called_is_found_before_training(arrays, monkeypatch):
    own = ModuleType("own_models")
    own.Raising = Raising
    monkeypatch.setitem(sys.modules, "own_models", own)
    arms = {"a": {"inputs": ["image"], "aggregator": "own_models:Raising"}}
    with pytest.raises(InputError, match="fails on two small bags: RuntimeError: no such op"):
        outcome.cross_validate(arms, arrays)
