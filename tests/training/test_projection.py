import numpy as np
import pytest
import torch

from outcome.training.projection import Projection


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def bags(rng, sizes, d=12, shift=50.0):
    scale = rng.uniform(0.2, 5, size=d)
    return [torch.from_numpy(rng.normal(size=(n, d)) * scale + shift).float() for n in sizes]


def test_every_patient_counts_the_same_and_large_bags_by_their_first_vectors(rng):
    some = bags(rng, [1, 3, 400, 1, 900, 2000])
    used = [bag[:256].double().numpy() for bag in some]
    mean = np.mean([x.mean(0) for x in used], axis=0)
    covariance = np.mean([(x - mean).T @ (x - mean) / len(x) for x in used], axis=0)
    scale = np.diag(covariance) ** -0.5
    standard = Projection.fit(some, 0)
    np.testing.assert_allclose(standard.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(standard.matrix.diagonal(), scale, rtol=1e-4)
    _, axes = np.linalg.eigh(covariance * np.outer(scale, scale))
    found = Projection.fit(some, 3).matrix.double().numpy() / scale[:, None]
    found /= np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(abs(found.T @ axes[:, :-4:-1]), np.eye(3), atol=2e-3)


def test_no_bag_has_no_projection():
    with pytest.raises(ValueError, match="at least one bag"):
        Projection.fit([], 3)


def test_a_vector_is_projected_as_if_it_were_alone(rng):
    some = bags(rng, [1] * 700 + [30, 800], d=96)
    for components in (0, 16):
        projection = Projection.fit(some, components)
        together = projection(torch.cat(some))
        starts = np.cumsum([0, *map(len, some)])
        for i in (0, 1, 350, 699, 700, 701):
            assert (projection(some[i]) == together[starts[i] : starts[i + 1]]).all()


def test_features_as_they_are_need_no_product_of_matrices(rng):
    some = bags(rng, [5] * 30)
    whole = Projection.fit(some, 0)
    x = torch.cat(some)
    torch.testing.assert_close(whole(x), (x - whole.mean) @ whole.matrix)
    assert whole.scale is not None
    assert Projection.fit(some, 3).scale is None
