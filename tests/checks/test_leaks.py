"""The leak scan finds what is planted, and raises no alarm where nothing is."""

import h5py
import numpy as np
import pandas as pd
import pytest

from outcome import Study
from outcome.checks import check_study, scan_leaks
from outcome.dataset.study_data import prepare

N = 160
WORDS = (
    "ductal",
    "lobular",
    "grade",
    "margin",
    "node",
    "positive",
    "negative",
    "free",
    "tumor",
    "size",
    "left",
    "right",
    "breast",
)


class Planted:
    """A cohort without signal, on disk, in which a test plants a leak."""

    def __init__(self, folder, seed=0):
        self.folder, self.rng = folder, np.random.default_rng(seed)
        rng = self.rng
        self.table = pd.DataFrame(
            {
                "patient_id": [f"PAT{i:04d}" for i in range(N)],
                "time": rng.exponential(900, N).round() + 31,
                "event": (rng.random(N) < 0.5).astype(int),
                "label": np.where(rng.random(N) < 0.4, "yes", "no"),
                "age": rng.normal(60, 9, N).round(),
                "stage": rng.choice(["I", "II", "III"], N),
                "site": rng.choice(list("ABCDEFGH"), N),
            }
        )
        self.table["slide_id"] = self.table["patient_id"] + "-01"
        self.texts = [" ".join(rng.choice(WORDS, 45)) + "." for _ in range(N)]
        self.bags = rng.normal(size=(N, 6, 16)).astype(np.float32)
        self.sizes = rng.integers(3, 7, N)
        self.vectors = rng.normal(size=(N, 4, 24)).astype(np.float32)

    @property
    def died(self):
        return self.table["event"].to_numpy() == 1

    def scan(self, *, endpoint=None, reports="texts", images=False, **texts):
        study_data, study = self.prepared(endpoint, reports, images, texts)
        return scan_leaks(study, study_data)

    def prepared(self, endpoint=None, reports="texts", images=False, texts=None):
        folder = self.folder
        self.table.to_csv(folder / "cohort.csv", index=False)
        named = self.table[["patient_id"]].assign(text=self.texts, seen="2010-01-01")
        named.to_csv(folder / "texts.csv", index=False)
        if images and not (folder / "features").exists():  # packed once, however often scanned
            (folder / "features").mkdir()
            kept = [bag[:n] for bag, n in zip(self.bags, self.sizes, strict=True)]
            for slide, bag in zip(self.table["slide_id"], kept, strict=True):
                with h5py.File(folder / "features" / f"{slide}.h5", "w") as file:
                    file["features"], file["coords"] = bag, np.zeros((len(bag), 2))
        with h5py.File(folder / "reports.h5", "w") as file:
            for patient, vectors in zip(self.table["patient_id"], self.vectors, strict=True):
                file[patient] = vectors
        embeddings = {"patches": "features"} if images else {}
        if reports:
            entry = {"texts": "texts.csv", "components": 8, **(texts or {})}
            embeddings["reports"] = entry if reports == "texts" else "reports.h5"
        data = {
            "name": "leaks",
            "cohort": "cohort.csv",
            "endpoint": endpoint or {"kind": "survival", "time": "time", "event": "event"},
            "embeddings": embeddings,
            "covariates": {"numeric": ["age"], "categorical": ["stage"]},
            "arms": ["image"] if images else ["report"],
            "split": {"folds": 4, "inner_folds": 3, "site": "site"},
        }
        study = Study.parse(data, folder=folder)
        return prepare(study, folder / "cache"), study


BINARY = {"kind": "binary", "label": "label", "positive": "yes"}


@pytest.fixture
def cohort(tmp_path):
    return Planted(tmp_path)


def severe(scan):
    return [f.what for f in scan.findings if f.severity == "severe"]


@pytest.fixture(scope="module", params=[0, 2])
def innocent(request, tmp_path_factory):
    """A cohort in which nothing is planted."""
    return Planted(tmp_path_factory.mktemp("innocent"), request.param)


@pytest.mark.parametrize("endpoint", [None, BINARY])
@pytest.mark.parametrize("reports", ["texts", "vectors"])
def test_no_alarm_where_nothing_is_planted(innocent, endpoint, reports):
    scan = innocent.scan(endpoint=endpoint, reports=reports, images=True)
    assert [str(f) for f in scan.findings if f.severity != "note"] == []
    assert scan.metric == ("C-index" if endpoint is None else "AUROC")
    table = scan.table()
    assert table["estimate"].between(0, 1).all()
    assert (table["lower"] <= table["estimate"]).all()
    names = " | ".join(table["probe"])
    for probed in ("age", "stage", "site", "patch vector", "number of patches", "report"):
        assert probed in names


def test_a_status_field_is_found_by_word_and_by_statistics_without_naming_anybody(cohort):
    for i, died in enumerate(cohort.died):
        cohort.texts[i] += f" Seen by Dr. Quixote{i}. vital status: {'Dead' if died else 'Alive'}."
    scan = cohort.scan()
    found = " ".join(severe(scan))
    assert "160 of 160 reports (160 sentences) state the outcome of the patient" in found
    assert "“dead” in the reports" in found or "“alive” in the reports" in found
    said = " ".join(map(str, scan.findings))
    assert "vital status: Dead" in said
    assert "Quixote" not in said
    assert "PAT0" not in said


def test_a_code_word_that_no_list_knows_is_found(cohort):
    """By statistics alone; and in any language."""
    for i, died in enumerate(cohort.died):
        cohort.texts[i] += " Gestorben." if died else ""
    found = severe(cohort.scan())
    assert any("“gestorben” in the reports" in f for f in found)


def test_words_of_a_yes_no_outcome(cohort):
    for i, label in enumerate(cohort.table["label"]):
        cohort.texts[i] += " zustand schlecht." if label == "yes" else ""
    assert any("“zustand" in f for f in severe(cohort.scan(endpoint=BINARY)))


def test_follow_up_times_are_found_as_numbers(cohort):
    for i, time in enumerate(cohort.table["time"]):
        cohort.texts[i] += f" Item 7: {time:.0f}."
    (found,) = [f for f in severe(cohort.scan()) if "the patient's follow-up time" in f]
    assert found.startswith("160 of 160 reports")


def test_dates_after_the_report_need_its_date(cohort):
    for i in range(40):
        cohort.texts[i] += " Received 2010-01-01. Addendum of 2012-03-04: slides reviewed."
    assert not severe(cohort.scan())
    scan = cohort.scan(columns={"date": "seen"})
    (finding,) = [f for f in scan.findings if f.severity == "severe"]
    assert finding.what.startswith("40 of 160 reports contain dates")
    assert "26 months after the report" in str(finding)
    assert "2012" not in str(finding)


def test_redaction_removes_the_sentences_counts_them_and_silences_the_scan(cohort):
    for i, died in enumerate(cohort.died):
        cohort.texts[i] += f" vital status: {'Dead' if died else 'Alive'}." * (1 + i % 2)
    study_data, study = cohort.prepared(texts={"redact": True})
    assert not scan_leaks(study, study_data).severe
    assert any("240 sentences" in n and "160 patients" in n for n in study_data.notes)


def test_a_chunk_vector_that_gives_it_away_is_found_though_the_mean_hides_it(cohort):
    """The lesson of a real cohort: hidden in the mean, plain in the item."""
    dead = cohort.rng.normal(size=24).astype(np.float32) * 0.02
    cohort.vectors[cohort.died, 0] = dead
    cohort.vectors[:, 1:] *= 5
    scan = cohort.scan(reports="vectors")
    rows = scan.table().set_index("probe")
    assert rows.loc["mean report vectors (ridge)", "estimate"] < 0.65
    assert rows.loc["a report chunk that many patients share", "found"] == "severe"
    assert len(severe(scan)) == 1


def test_report_vectors_that_give_it_away(cohort):
    cohort.vectors[..., 5] += np.where(cohort.died, 3, -3)[:, None]
    cohort.vectors[..., 5] -= np.log(cohort.table["time"].to_numpy())[:, None] * 2
    found = " ".join(severe(cohort.scan(reports="vectors")))
    assert "mean report vectors" in found
    assert "feature 5 of the mean report vector" in found


def test_a_covariate_that_is_the_outcome(cohort):
    cohort.table["age"] = -cohort.table["time"] + cohort.rng.normal(0, 20, N)
    (found,) = severe(cohort.scan())
    assert found.startswith("covariate age: C-index")
    assert "above 0.85" in found


def test_a_category_that_is_the_outcome(cohort):
    cohort.table["stage"] = np.where(cohort.table["label"] == "yes", "x", "y")
    assert any(f.startswith("covariate stage: AUROC") for f in severe(cohort.scan(endpoint=BINARY)))


def test_a_feature_that_is_the_outcome(cohort):
    cohort.bags[..., 11] = np.where(cohort.table["label"] == "yes", 1, 0)[:, None]
    found = severe(cohort.scan(endpoint=BINARY, images=True))
    assert any(f.startswith("feature 11 of the mean patch vector") for f in found)


def test_sites_that_determine_the_outcome(cohort):
    yes = cohort.table["label"] == "yes"
    cohort.table["site"] = np.where(
        yes, cohort.rng.choice(list("ABC"), N), cohort.rng.choice(list("DEF"), N)
    )
    assert any(f.startswith("the site: AUROC") for f in severe(cohort.scan(endpoint=BINARY)))


def test_the_amount_of_tissue_that_determines_the_outcome(cohort):
    cohort.sizes = np.where(cohort.table["label"] == "yes", 6, 3)
    found = severe(cohort.scan(endpoint=BINARY, images=True))
    assert any(f.startswith("the number of patches") for f in found)


def test_the_same_bag_under_two_patients(cohort):
    cohort.sizes[:10] = 6
    cohort.bags[7] = cohort.bags[3][::-1]  # in another order
    cohort.bags[9] = cohort.bags[3]
    (found,) = severe(cohort.scan(images=True))
    assert found.startswith("1 bags of patches are identical in different patients (3 patients)")


@pytest.mark.parametrize("reports", ["texts", "vectors"])
def test_the_same_report_under_two_patients(cohort, reports):
    cohort.texts[5], cohort.vectors[5] = cohort.texts[6], cohort.vectors[6]
    cohort.texts[8] = cohort.texts[9] = "Not available."
    scan = cohort.scan(reports=reports)
    assert any(f.startswith("1 reports are identical") for f in severe(scan))
    short = [f for f in scan.findings if "short reports" in f.what]
    assert [f.severity for f in short] == (["note"] if reports == "texts" else [])


def test_a_slide_that_carries_another_patients_id(cohort):
    cohort.table.loc[3, "slide_id"] = "PAT0100-02"
    cohort.table.loc[4, "slide_id"] = "whatever-02"
    cohort.table.loc[5, "slide_id"] = "PAT0005_of_PAT0006"
    (found,) = severe(cohort.scan(images=True))
    assert found.startswith("1 slides are named after a patient other than")


def test_findings_become_warnings_of_a_run(cohort):
    cohort.sizes[7], cohort.bags[7] = cohort.sizes[3], cohort.bags[3]
    study_data, study = cohort.prepared(images=True)
    warnings = check_study(study, study_data).warnings
    assert warnings[0].startswith("Leak scan, severe: 1 bags")
    assert any("site_preserved" in w for w in warnings[1:])


def test_simulated_cohorts_raise_nothing_severe(small):
    study = Study.read(small)
    scan = scan_leaks(study, prepare(study, small.parent / "cache"))
    assert not scan.severe


def test_texts_in_another_language_are_noted(cohort):
    cohort.texts = ["karzinom der linken brust mit freien rändern und ohne befall " * 4] * N
    assert any("do not seem to be English" in f.what for f in cohort.scan().findings)
