"""Patients in memory and in files, as a map-style dataset."""

import numpy as np
import pandas as pd
import pytest
import torch
from sksurv.util import Surv
from torch.utils.data import DataLoader

from outcome import InputError, SlideDataset, Study
from outcome.models import GatedAttention, OutcomeNetwork, collate, collate_padded, cox_nll


def bags(n=4, d=3):
    rng = np.random.default_rng(0)
    return {f"p{i}": rng.normal(size=(i + 2, d)) for i in range(n)}


def test_it_is_indexed_as_a_list_and_as_an_array():
    data = SlideDataset(bags())
    assert len(data) == 4
    assert data.shape == (4,)
    assert [s.patient for s in data] == ["p0", "p1", "p2", "p3"]
    assert data[-1].patient == "p3"
    assert data["p2"].patches.shape == (4, 3)
    for rows in ([0, 2], np.array([0, 2]), np.array([True, False, True, False]), slice(0, 3, 2)):
        assert data[rows].patients.tolist() == ["p0", "p2"]
    assert data[np.array([1]), ...].patients.tolist() == ["p1"]  # as scikit-learn does
    assert data.take([3, 1]).patients.tolist() == ["p3", "p1"]
    with pytest.raises(IndexError):
        data[4]
    with pytest.raises(KeyError, match=r"no patient 'p9'; e\.g\. 'p0'"):
        data["p9"]
    with pytest.raises(InputError, match="no row True"):
        data[True]
    with pytest.raises(InputError, match="only once"):
        data.take([1, 1])


def test_vectors_are_checked_when_the_dataset_is_made():
    mixed = bags() | {"p1": np.ones((3, 5)), "p2": np.full((2, 3), np.nan)}
    with pytest.raises(InputError) as raised:
        SlideDataset(mixed)
    assert "(most have 3): 1, e.g. p1 (5)" in str(raised.value)
    assert "p2: 2 of 2 patches contain NaN" in str(raised.value)


def test_inputs_are_joined_by_patient_or_by_position():
    table = pd.DataFrame({"age": [1, 2, 3, 4], "sex": list("fmfm")}, index=["p3", "p2", "p1", "p0"])
    data = SlideDataset(bags(), reports={"p2": np.ones(5), "other": np.ones(5)}, covariates=table)
    assert data[0].covariates == {"age": 4, "sex": "m"}
    assert (data.declared.numeric, data.declared.categorical) == (("age",), ("sex",))
    assert data[0].report is None
    assert data[2].report.shape == (5,)
    assert data.inputs == ("image", "report", "clinical")
    listed = SlideDataset(list(bags().values()), covariates=table.reset_index(drop=True))
    assert listed.patients.tolist() == ["0", "1", "2", "3"]
    assert listed[0].covariates["age"] == 1
    named = SlideDataset(list(bags().values()), covariates=table)
    assert named.patients.tolist() == table.index.tolist()


def test_several_slides_and_one_vector_per_patient():
    data = SlideDataset({"a": {"s1.svs": np.zeros((2, 3)), "s2": np.ones((1, 3))}, "b": None})
    assert data.slides("a") == ["s1", "s2"]
    assert data["a"].patches.shape == (3, 3)
    assert data["b"].patches is None
    assert SlideDataset(np.zeros((5, 3)))[0].patches.shape == (3,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the dataset has no inputs"),
        ({"bags": []}, "the dataset has no patients"),
        ({"bags": 3}, "`bags` is int"),
        ({"bags": [np.zeros((2, 2))], "patients": ["a", "b"]}, "1 entries for 2 patients"),
        ({"bags": [["a"]]}, "no array of real numbers"),
        ({"bags": [np.zeros((2, 2))] * 2, "patients": ["a", "a"]}, "more than once: 1, e.g. a"),
        ({"bags": bags(), "reports": {"x": np.ones(2)}}, "`reports` contains none of the 4"),
        ({"bags": bags(), "covariates": pd.DataFrame({"age": [1]}, index=["p0"])}, "no row for"),
        ({"bags": bags(), "outcomes": pd.DataFrame({"os": [1] * 4})}, "rename"),
        ({"bags": bags(), "numeric": ["age"]}, "`covariates` has no column"),
    ],
)
def test_what_does_not_fit_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        SlideDataset(**given)


def test_folders_and_studies_give_the_same_patients(small, tmp_path):
    study = Study.read(small)
    data = SlideDataset.from_study(study, cache=tmp_path)
    assert data.inputs == ("image", "report", "clinical")
    assert list(data.outcomes) == ["time", "event"]
    cohort = pd.read_csv(small.parent / "cohort.csv", dtype=str)
    files = SlideDataset.from_folders(
        study.embeddings.patches,
        study.embeddings.reports,
        slides=dict(zip(cohort["slide_id"], cohort["patient_id"], strict=True)),
        covariates=data.covariates,
        cache=tmp_path,
    )
    assert files.patients.tolist() == data.patients.tolist()
    for one, other in zip(data, files, strict=True):
        np.testing.assert_array_equal(one.patches, other.patches)
        np.testing.assert_array_equal(one.coords, other.coords)
        assert (one.report is None) == (other.report is None)
    assert files.covariates.equals(data.covariates)
    with pytest.raises(InputError, match="give `patches=`"):
        SlideDataset.from_folders()


def test_a_data_loader_takes_it_as_it_is():
    y = Surv.from_arrays([True, True, False, True], [3.0, 1.0, 4.0, 2.0])
    data = SlideDataset(bags(), reports={"p1": np.ones(5)}, outcomes=y)
    batches = list(DataLoader(data, batch_size=3, collate_fn=collate))
    first = batches[0]
    assert first.patients == ["p0", "p1", "p2"]
    assert list(first.inputs) == ["image", "report"]
    assert [int(n) for n in first.inputs["report"].lengths] == [0, 1, 0]
    assert first.target.time.tolist() == [3, 1, 4]
    assert first.target.event.tolist() == [True, True, False]
    assert list(batches[1].inputs) == ["image"]
    network = OutcomeNetwork({"image": GatedAttention(3)}, {"image": 3})
    loss = cox_nll(network(first.inputs), first.target.time, first.target.event)
    assert torch.isfinite(loss)


def test_bags_are_padded_with_a_mask():
    batch = collate_padded(list(SlideDataset(bags(), outcomes=[0, 1, 1, 0])))
    assert batch.features.shape == (4, 5, 3)
    assert batch.mask.sum(dim=1).tolist() == [2, 3, 4, 5]
    assert (batch.features[~batch.mask] == 0).all()
    assert batch.target.time is None
    assert batch.target.event.tolist() == [False, True, True, False]
    with pytest.raises(InputError, match=r"no patches, e.g. b"):
        collate_padded(list(SlideDataset({"a": np.zeros((1, 2)), "b": None})))
