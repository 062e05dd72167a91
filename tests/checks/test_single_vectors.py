from types import SimpleNamespace

import numpy as np

from outcome.checks import single_vectors


def study(*inputs):
    return SimpleNamespace(arms=[SimpleNamespace(inputs=inputs)])


class Reports:
    def __init__(self, chunks):
        self.rows = {f"p{i}": i for i in range(len(chunks))}
        self.chunks = chunks

    def vectors(self, patient):
        return np.zeros((self.chunks[self.rows[patient]], 4))


def study_data(slides, chunks):
    images = {f"p{i}": tuple(SimpleNamespace(n=n) for n in each) for i, each in enumerate(slides)}
    made = SimpleNamespace(slides=images, reports=Reports(chunks), folds=("a fold",))
    made.of_fold = lambda fold: made
    return made


def test_one_vector_per_patient_is_recognised():
    (image, report) = single_vectors(study("image", "report"), study_data([[1], [1], []], [1, 1]))
    assert "image: one vector per patient (2 patients)" in image
    assert "report: one vector per patient (2 patients)" in report


def test_nothing_is_said_of_inputs_with_several_vectors_or_not_used():
    several = study_data([[1], [1, 1]], [1, 2])
    assert single_vectors(study("image", "report"), several) == []
    assert single_vectors(study("clinical"), study_data([[1]], [1])) == []
