import h5py
import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index

from outcome.errors import InputError
from outcome.simulation.simulate import TISSUES, Simulation, simulate


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Default effects and size, few and small patches."""
    folder = tmp_path_factory.mktemp("simulated") / "cohort"
    simulate(folder, Simulation(patches=60, dimension=16))
    return folder


def test_layout_is_tridents(cohort):
    files = sorted((cohort / "20x_384px_0px_overlap" / "features_simulated").glob("*.h5"))
    table = pd.read_csv(cohort / "cohort.csv")
    assert [f.stem for f in files] == sorted(table["slide_id"])
    assert table["patient_id"].duplicated().sum() > 20  # several slides for some patients
    with h5py.File(files[0]) as file:
        n = len(file["features"])
        assert file["features"].chunks == (1, 16)
        assert file["features"].dtype == np.float16
        assert file["features"].attrs["encoder"] == "simulated"
        assert file["coords"].shape == (n, 2)
        assert file["coords"].attrs["patch_size_level0"] == 768


def test_at_most_the_stated_share_of_patches_is_informative(cohort):
    for path in cohort.rglob("SIM-*.h5"):
        with h5py.File(path) as file:
            kinds = file["simulated_tissue"][()]
        assert (kinds >= len(TISSUES) - 2).mean() <= 0.1


def test_reports_are_missing_for_some_and_have_several_chunks(cohort):
    with h5py.File(cohort / "reports.h5") as file:
        chunks = [len(file[k]) for k in file]
    assert 240 < len(chunks) < 290
    assert set(chunks) == {3, 4, 5, 6, 7}


def test_truth_reaches_the_stated_concordance():
    """Mean over seeds: about .72 with both inputs, .66 image alone, .64 report alone."""
    reached = []
    for seed in range(5):
        truth, table = truth_and_table(seed)
        for part in ("image", "report", "image+report"):
            c = concordance_index(table["os_days"], -truth[part], table["os_event"])
            reached.append((part, c))
    mean = pd.DataFrame(reached).groupby(0)[1].mean()
    assert mean["image"] == pytest.approx(0.66, abs=0.02)
    assert mean["report"] == pytest.approx(0.64, abs=0.02)
    assert mean["image+report"] == pytest.approx(0.72, abs=0.02)


def truth_and_table(seed):
    from outcome.simulation import simulate as module

    s = Simulation(patches=60, dimension=16, seed=seed)
    rng = np.random.default_rng([s.seed, 20240607])
    patients = module.draw_patients(s, rng)
    slides = module.draw_slides(s, patients, rng)
    tissue = [module.draw_tissues(s, patients, row, rng) for row in slides.itertuples()]
    truth = module.draw_truth(s, patients, slides, tissue)
    return truth, module.draw_outcomes(s, truth, rng)


@pytest.mark.parametrize(
    ("endpoint", "columns"),
    [("relapse", ["relapse"]), ("response", ["response", "pfs_days", "pfs_event"])],
)
def test_labels_follow_their_true_probability(tmp_path, endpoint, columns):
    simulate(tmp_path / "c", Simulation(endpoint=endpoint, patients=400, patches=5, dimension=16))
    table = pd.read_csv(tmp_path / "c" / "cohort.csv").drop_duplicates("patient_id")
    truth = pd.read_csv(tmp_path / "c" / "truth.csv").set_index("patient_id")
    assert set(columns) <= set(table.columns)
    positive = table.set_index("patient_id")[columns[0]].isin(["yes", "responder"])
    p = truth.loc[positive.index, "probability"]
    # Within three standard errors of what the probabilities say, in both halves.
    for half in (p > p.median(), p <= p.median()):
        se = np.sqrt((p[half] * (1 - p[half])).sum()) / half.sum()
        assert abs(positive[half].mean() - p[half].mean()) < 3 * se


def test_same_seed_same_cohort(tmp_path):
    small = Simulation(patients=20, patches=5, dimension=16)
    for name in ("a", "b"):
        simulate(tmp_path / name, small)
    for name in ("cohort.csv", "truth.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        simulate(tmp_path, Simulation(patients=20))


def test_impossible_wishes_are_told_at_once(outcome, tmp_path):
    done = outcome("simulate", tmp_path / "x", "--patients", 3, "--informative", 2)
    assert done.code == 2
    assert "patients must be at least 20, not 3" in done.err
    assert "informative must be in (0, 1], not 2.0" in done.err
    assert not (tmp_path / "x").exists()
