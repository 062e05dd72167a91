"""What users get wrong: one message with everything, exit status 2, nothing written."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from outcome import Study as Sections
from outcome.dataset.study_data import prepare
from outcome.errors import LeakageError


@pytest.fixture(scope="module")
def sound(make_study, tmp_path_factory):
    """A study of 24 patients: every test of this file packs its slides anew."""
    return make_study(
        tmp_path_factory.mktemp("sound") / "cohort", patients=24, patches=5, event_rate=0.9
    )


@pytest.fixture
def study(sound, tmp_path):
    return Study(Path(shutil.copytree(sound.parent, tmp_path / "cohort")) / sound.name)


class Study:
    """A study on disk that a test spoils."""

    def __init__(self, path):
        self.path, self.folder = path, path.parent

    @property
    def table(self):
        return pd.read_csv(self.folder / "cohort.csv", dtype=str, keep_default_na=False)

    @table.setter
    def table(self, frame):
        frame.to_csv(self.folder / "cohort.csv", index=False)

    @property
    def features(self):
        return sorted((self.folder / "20x_384px_0px_overlap/features_simulated").glob("*.h5"))

    def edit(self, **changes):
        data = yaml.safe_load(self.path.read_text())
        for key, value in changes.items():
            data[key] = {**data.get(key, {}), **value} if isinstance(value, dict) else value
        self.path.write_text(yaml.safe_dump(data))


def set_cell(study, column, value, row=0):
    table = study.table
    patient = table["patient_id"].iloc[row]
    table.loc[table["patient_id"] == patient, column] = value
    study.table = table


def missing_column(study):
    study.table = study.table.drop(columns="os_days")


def duplicate_slide(study):
    table = study.table
    study.table = pd.concat([table, table.iloc[[0]]])


def two_outcomes(study):
    table = study.table
    twice = table["patient_id"][table["patient_id"].duplicated()].iloc[0]
    first = table.index[table["patient_id"] == twice][0]
    table.loc[first, "os_days"] = str(int(table.loc[first, "os_days"]) + 1)
    study.table = table


def slide_without_file(study):
    study.features[0].unlink()


def empty_file(study):
    study.features[0].write_bytes(b"")


def truncated_file(study):
    content = study.features[0].read_bytes()
    study.features[0].write_bytes(content[: len(content) // 3])


def nan_in_features(study):
    with h5py.File(study.features[0], "r+") as file:
        file["features"][0, 0] = np.nan


def other_dimension(study):
    with h5py.File(study.features[0], "w") as file:
        file["features"] = np.ones((3, 8), np.float16)
        file["features"].attrs["encoder"] = "simulated"


def other_encoder(study):
    with h5py.File(study.features[0], "r+") as file:
        file["features"].attrs["encoder"] = "another"


def nan_in_reports(study):
    with h5py.File(study.folder / "reports.h5", "r+") as file:
        first = next(iter(file))
        file[first][0, 0] = np.nan


def nul_in_time(study):
    path = study.folder / "cohort.csv"
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1][:-3] + b"\0" + lines[1][-3:]
    path.write_bytes(b"\n".join(lines))


def short_row(study):
    path = study.folder / "cohort.csv"
    lines = path.read_text().split("\n")
    lines[2] = lines[2].rsplit(",", 2)[0]
    path.write_text("\n".join(lines))


def too_large(study):
    with h5py.File(study.features[0], "r+") as file:
        x = file["features"][()].astype(float)
        del file["features"]
        file["features"] = x * 1e300
        file["features"].attrs["encoder"] = "simulated"


def no_slide_with_file(study):
    study.table = study.table.assign(slide_id=[f"X{k}" for k in range(len(study.table))])
    study.edit(on_missing={"slide": "drop"})


def linked_report(study):
    with h5py.File(study.folder / "reports.h5", "r+") as file:
        first = next(iter(file))
        del file[first]
        file[first] = h5py.ExternalLink("elsewhere.h5", "x")


def one_report(study):
    with h5py.File(study.folder / "reports.h5", "r+") as file:
        for name in list(file)[1:]:
            del file[name]


def few_events(study):
    table = study.table
    table["os_event"] = ["1", *["0"] * (len(table) - 1)]
    study.table = table.drop_duplicates("patient_id")


def aggregator(name, **options):
    return lambda study: study.edit(
        arms=["image", {"name": "own", "inputs": ["image"], "aggregator": name, "options": options}]
    )


# fmt: off
SPOILED = [
    (missing_column, ["cohort.csv has no column 'os_days'", "its columns are"]),
    (duplicate_slide, ["'slide_id' contains a slide more than once: 1, e.g. SIM-"]),
    (two_outcomes, ["'os_days' differs between rows of one patient: 1, e.g. SIM-"]),
    (lambda s: set_cell(s, "os_days", "0"), ["'os_days' is zero or negative: 1", "('0')"]),
    (lambda s: set_cell(s, "os_days", "-3"), ["'os_days' is zero or negative: 1", "('-3')"]),
    (lambda s: set_cell(s, "os_days", "long"), ["'os_days' is not a number of days: 1", "'long'"]),
    (lambda s: set_cell(s, "os_event", "2"), ["not declared (declared: 0, 1): 1", "event_codes"]),
    (lambda s: set_cell(s, "patient_id", ""), ["'patient_id' is empty: ", "line 2"]),
    (lambda s: set_cell(s, "os_days", "99999"), ["longer than a human life, in days: 1"]),
    (
        lambda s: set_cell(s, "patient_id", "sim-0001"),
        ["'patient_id' has ids that differ only in upper and lower case: 1"],
    ),
    (no_slide_with_file, ["no slide of the cohort table has a feature file"]),
    (slide_without_file, ["slides without a feature file", "on_missing: {slide: drop}"]),
    (empty_file, ["feature files that cannot be used: 1", "is empty (0 bytes)"]),
    (truncated_file, ["feature files that cannot be used: 1", "damaged or not HDF5"]),
    (nan_in_features, ["feature files that cannot be used: 1", "contain NaN"]),
    (other_dimension, ["mix the dimension", "(8)"]),
    (other_encoder, ["mix the encoder", "('another')"]),
    (nan_in_reports, ["reports.h5: NaN or infinite values in the vectors: 1"]),
    (few_events, ["there are 1 events for 3 folds"]),
    (lambda s: s.edit(epochs=3), ["unknown key 'epochs'"]),
    (lambda s: s.edit(training={"epoch": 3}), ["'training.epoch' (did you mean 'epochs'?)"]),
    (lambda s: s.edit(split={"fold": 3}), ["unknown key 'split.fold' (did you mean 'folds'?)"]),
    (lambda s: s.edit(endpoint={"kind": "surival"}), ["endpoint", "survival"]),
    (lambda s: s.edit(arms=["image", "smell"]), ["arms"]),
    (lambda s: s.edit(baseline="report+image"), ["baseline 'report+image' is not among the arms"]),
    (lambda s: s.edit(cohort="nowhere.csv"), ["there is no cohort table", "nowhere.csv"]),
    (lambda s: s.edit(embeddings={"reports": "no.h5"}), ["there is no file", "no.h5"]),
    (lambda s: s.edit(embeddings={"patches": "empty"}), ["there is no folder", "empty"]),
    (lambda s: set_cell(s, "os_days", "inf"), ["'os_days' is not a number of days: 1"]),
    (lambda s: set_cell(s, "os_event", "1e999"), ["not declared (declared: 0, 1): 1", "1e999"]),
    (lambda s: s.edit(endpoint={"time": "patient_id"}), ["a second role: 1, e.g. patient_id"]),
    (lambda s: s.edit(split={"site": "slide_id"}), ["a second role: 1, e.g. slide_id"]),
    (lambda s: s.edit(arms=5), ["'arms': Input should be a valid tuple"]),
    (lambda s: s.edit(training={"threads": 10**12}), ["'training.threads'", "256"]),
    (lambda s: s.edit(training={"learning_rate": float("inf")}), ["'training.learning_rate'"]),
    (lambda s: s.path.write_text("name: 2020-13-45"), ["is not valid YAML"]),
    (lambda s: s.path.write_text("[" * 5000), ["is not valid YAML"]),
    (lambda s: s.edit(endpoint={"name": "\ud800"}), ["not text"]),
    (nul_in_time, ["cohort.csv, line 2 contains a NUL byte"]),
    (short_row, ["1 lines have fewer fields than the header, e.g. line 3"]),
    (too_large, ["feature files that cannot be used: 1", "contain NaN or infinity"]),
    (lambda s: s.edit(endpoint={"horizons": [float("nan")]}), ["endpoint.horizons"]),
    (lambda s: s.edit(endpoint={"event_codes": {0: 1, 1: 1}}), ["one code for 0 and one for 1"]),
    (lambda s: s.edit(arms=[{"name": "", "inputs": ["image"]}]), ["arms.0.name"]),
    (linked_report, ["reports.h5: a link to another place"]),
    (one_report, ["training patients with a report, but 5 are needed"]),
    (lambda s: s.path.write_text("a: [b"), ["is not valid YAML"]),
    (aggregator("nomod.x:Y"), ["'nomod.x:Y' cannot be imported: No module named 'nomod'"]),
    (aggregator(":Y"), ["':Y' cannot be imported"]),
    (aggregator("os.path:join"), ["'os.path:join' cannot be made: "]),
    (aggregator("os.path:exists"), ["'os.path:exists' is not an aggregator", "check_aggregator"]),
    (aggregator("torch.nn:Identity"), ["'torch.nn:Identity' is not an aggregator"]),
    (aggregator("transformer", hats=1), ["'transformer' has no option 'hats'; its options"]),
    (lambda s: s.path.write_text("just words"), ["is not a study file"]),
]
# fmt: on


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("spoil", "messages"), SPOILED)
def test_bad_input(study, outcome, tmp_path, command, spoil, messages):
    spoil(study)
    folder = tmp_path / "run"
    done = outcome(command, study.path, "--out", folder)
    assert done.code == 2
    for message in messages:
        assert message in done.err, done.err
    assert "Traceback" not in done.err
    assert not folder.exists()


def test_all_problems_in_one_message(study, outcome):
    set_cell(study, "os_days", "-3")
    set_cell(study, "os_event", "dead", row=5)
    duplicate_slide(study)
    truncated_file(study)
    nan_in_reports(study)
    done = outcome("check", study.path)
    assert done.code == 2
    for message in (
        "is zero or negative: 1",
        "code that is not declared",
        "contains a slide more than once: 1",
        "feature files that cannot be used: 1",
        "NaN or infinite values in the vectors: 1",
    ):
        assert message in done.err, done.err


@pytest.mark.parametrize("command", ["check", "run"])
def test_networks_that_cannot_be_made_are_told_with_the_rest(study, outcome, command):
    set_cell(study, "os_days", "-3")
    aggregator("nomod.x:Y+os.path:join")(study)
    done = outcome(command, study.path)
    assert done.code == 2
    for message in ("3 problems", "is zero or negative: 1", "'nomod.x:Y'", "'os.path:join'"):
        assert message in done.err, done.err


def test_the_study_file_and_what_it_names_in_one_message(study, outcome):
    """Findings of single sections, of several together, and of files."""
    study.edit(
        split={"folds": 1},
        baseline="nobody",
        cohort="nowhere.csv",
        embeddings={"patches": "empty", "reports": "no.h5"},
        arms=["image", "clinical"],
        covariates={"numeric": [], "categorical": []},
        colour="red",
    )
    done = outcome("check", study.path)
    assert done.code == 2
    for message in (
        "7 problems",
        "'split.folds'",
        "unknown key 'colour'",
        "the baseline 'nobody' is not among the arms",
        "an arm uses 'clinical', but `covariates` names no column",
        "there is no cohort table",
        "there is no folder",
        "there is no file",
    ):
        assert message in done.err, done.err


def test_nothing_is_said_of_sections_that_are_wrong_themselves(study, outcome):
    study.edit(arms=["smell"], baseline="nobody", embeddings={"patches": "empty", "colour": "red"})
    done = outcome("check", study.path)
    assert "study.yaml: 2 problems" in done.err, done.err
    assert "baseline" not in done.err
    assert "folder" not in done.err


def test_a_missing_column_hides_nothing_else(study, outcome):
    study.table = study.table.drop(columns="os_days").assign(fold="a")
    set_cell(study, "os_event", "dead")
    duplicate_slide(study)
    study.edit(
        embeddings={"patches": "empty", "reports": "no.h5"},
        covariates={"numeric": ["age", "weight"]},
        split={"site": "hospital"},
    )
    set_cell(study, "age", "old")
    done = outcome("check", study.path)
    assert done.code == 2
    for message in (
        "8 problems",
        "has no column 'os_days' (endpoint)",
        "has no column 'weight' (covariates.numeric)",
        "has no column 'hospital' (split.site)",
        "not declared (declared: 0, 1): 1",
        "'age' (covariates.numeric) is not a number: 1",
        "contains a slide more than once: 1",
        "there is no folder",
        "there is no file",
    ):
        assert message in done.err, done.err


def test_an_unreadable_cohort_table_hides_no_missing_folder(study, outcome):
    study.edit(cohort="nowhere.csv", embeddings={"patches": "empty"})
    done = outcome("check", study.path)
    assert "2 problems" in done.err
    assert "there is no cohort table" in done.err
    assert "there is no folder" in done.err


def leaking_files(study):
    """A table of folds, two of which have a patient on both sides."""
    people = sorted(set(study.table["patient_id"]))
    rows = [
        (p, 0, k, "test" if i % 3 == k else "development")
        for k in range(3)
        for i, p in enumerate(people)
    ]
    rows += [(people[9 + k], 0, k, "development") for k in (0, 1)]  # tested in fold k
    table = pd.DataFrame(rows, columns=["patient_id", "repeat", "outer_fold", "role"])
    table.to_csv(study.folder / "splits.csv", index=False)
    data = yaml.safe_load(study.path.read_text())
    data["split"] = {"files": "splits.csv"}
    study.path.write_text(yaml.safe_dump(data))


def test_a_leak_is_a_leakage_error_and_hides_nothing(study, outcome):
    leaking_files(study)
    with pytest.raises(LeakageError, match="1 patients are in development and in test"):
        prepare(Sections.read(study.path), study.folder / "cache")
    set_cell(study, "os_days", "-3")
    truncated_file(study)
    done = outcome("check", study.path)
    assert done.code == 2
    for message in (
        "3 problems",
        "fold 0: 1 patients are in development and in test",
        "fold 1: 1 patients are in development and in test",
        "is zero or negative: 1",
        "feature files that cannot be used: 1",
    ):
        assert message in done.err, done.err


def test_the_cohort_file_is_named_once(study, outcome):
    set_cell(study, "os_days", "-5")
    set_cell(study, "os_event", "dead", row=5)
    done = outcome("check", study.path)
    where = study.folder / "cohort.csv"
    assert f"study 'simulated-survival' (cohort table: {where}): 2 problems" in done.err
    assert done.err.count("cohort.csv") == 1
    first = study.table["patient_id"].iloc[0]
    assert f"is zero or negative: 1, e.g. {first} in line 2 ('-5')" in done.err


def test_no_such_study(outcome, tmp_path):
    done = outcome("run", tmp_path / "none.yaml")
    assert done.code == 2
    assert "there is no study file" in done.err


@pytest.mark.parametrize(
    "override",
    [
        "training.epochs",
        "training=3",
        "training.epochs=many",
        "name=2020-13-45",
        "name=" + "[" * 3000,
    ],
)
def test_a_bad_override(study, outcome, override):
    done = outcome("check", study.path, "--set", override)
    assert done.code == 2


def test_what_is_no_error_is_told_and_counted(study, outcome, tmp_path):
    table = study.table
    set_cell(study, "os_days", "")
    stranger = study.features[0].with_name("nobody.h5")
    stranger.write_bytes(study.features[0].read_bytes())
    with h5py.File(study.folder / "reports.h5", "r+") as file:
        file["nobody"] = np.ones((2, 32))
    done = outcome("check", study.path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "1 feature file without a slide in the cohort table" in done.out
    assert "1 report without a patient in the cohort table" in done.out
    assert "patients have no report. They are kept" in done.out
    flow = pd.read_csv(tmp_path / "out" / "cohort_flow.csv")
    assert flow["patients"].tolist() == [24, 23]
    assert flow["reason"].iloc[1] == "1 patient without os_days or os_event"
    lost = pd.read_csv(tmp_path / "out" / "cohort_lost.csv")
    assert lost["patient_id"].tolist() == [table["patient_id"].iloc[0]]


def test_missing_and_empty_slides_are_dropped_where_the_study_says_so(study, outcome, tmp_path):
    study.edit(on_missing={"slide": "drop"})
    gone, bare = study.features[0], study.features[5]
    gone.unlink()
    with h5py.File(bare, "w") as file:
        file["features"] = np.empty((0,), np.float16)
    done = outcome("check", study.path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    lost = pd.read_csv(tmp_path / "out" / "cohort_lost.csv", keep_default_na=False)
    assert {gone.stem, bare.stem} <= set(lost["slide_id"])
    flow = pd.read_csv(tmp_path / "out" / "cohort_flow.csv")
    dropped = flow[["patients", "slides"]].iloc[0] - flow[["patients", "slides"]].iloc[-1]
    assert dropped["slides"] == 2
    assert dropped["patients"] == (lost["slide_id"] == "").sum()


def test_a_row_without_a_slide_id_is_counted(study, outcome, tmp_path):
    table = study.table
    row = table.index[table["patient_id"].duplicated()][0]
    table.loc[row, "slide_id"] = ""
    study.table = table
    done = outcome("check", study.path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    lost = pd.read_csv(tmp_path / "out" / "cohort_lost.csv")
    assert lost["patient_id"].tolist() == [table.loc[row, "patient_id"]]
    assert lost["reason"].tolist() == ["1 row without a slide id"]
    flow = pd.read_csv(tmp_path / "out" / "cohort_flow.csv")
    assert flow["step"].tolist()[:2] == ["in the cohort table", "rows with a slide id"]


def test_a_folder_with_other_files_is_left_alone(small, outcome, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    done = outcome("run", small, "--out", tmp_path)
    assert done.code == 2
    assert "contains other files" in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_folder_of_the_study_is_no_run_folder(study, outcome):
    before = study.path.read_bytes()
    done = outcome("run", study.path, "--out", study.folder)
    assert done.code == 2
    assert "contains other files" in done.err
    assert study.path.read_bytes() == before


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_folder_that_cannot_be_made(study, outcome, command):
    done = outcome(command, study.path, "--out", study.folder / "cohort.csv" / "x")
    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_damaged_cache_is_made_again(study, outcome, tmp_path):
    cache = tmp_path / "cache"
    assert outcome("check", study.path, "--cache", cache).code == 0
    for path in cache.rglob("*.json"):
        path.write_text("{")
    for path in list(cache.rglob("*.mean.npy"))[:3]:
        path.unlink()
    assert outcome("check", study.path, "--cache", cache).code == 0


def test_covariates_may_have_any_name(study, outcome):
    table = study.table
    study.table = table.assign(event=table["age"], label="x", strata="y", site="z")
    study.edit(covariates={"numeric": ["event", "age"], "categorical": ["label", "strata"]})
    assert outcome("check", study.path).code == 0
