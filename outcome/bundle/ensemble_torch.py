"""Apply networks with torch: aggregators without a numpy version, and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle, BundleMember
from outcome.bundle.patient_vectors import InnerModel, PatientVectors
from outcome.devices import pinned_threads
from outcome.models.network import Inputs, OutcomeNetwork
from outcome.training.trainer import build

__all__ = ["TorchNetwork", "torch_networks"]

CPU = torch.device("cpu")


class TorchNetwork:
    """A network as it was trained, on the CPU.

    Parameters
    ----------
    network : OutcomeNetwork
    dimensions : mapping of input to int
    threads : int
        The same number as in training, on which the result of a sum depends.
    """

    def __init__(
        self, network: OutcomeNetwork, dimensions: Mapping[str, int], threads: int
    ) -> None:
        self.network, self.dimensions, self.threads = network, dimensions, threads
        network.eval()

    def raw(self, patient: PatientVectors) -> float:
        """Return the output."""
        with torch.no_grad(), pinned_threads(self.threads):
            return float(self.network(self._inputs(patient))[0])

    def contributions(self, patient: PatientVectors, steps: int) -> NDArray[np.float64]:
        """Integrated gradients of the output along the patches, shape (n,) [1]_.

        The path goes from a bag in which every patch is the mean patch of training (the origin of
        the projected vectors) to the bag of the patient. The gradients add up to the difference of
        the two outputs, except for the discretisation error.

        References
        ----------
        .. [1] Sundararajan, Taly & Yan (2017), ICML, Axiomatic attribution for deep networks.
        """
        given = self._inputs(patient)
        bag = given["image"].features
        total = torch.zeros(len(bag), dtype=torch.float64)
        with pinned_threads(self.threads):
            for k in range(steps):
                part = ((k + 0.5) / steps * bag).detach().requires_grad_(True)
                image = Inputs.join([part])
                raw = self.network({**given, "image": image})
                (slope,) = torch.autograd.grad(raw.sum(), part)
                total += (slope * bag).sum(1).double()
        found: NDArray[np.float64] = (total / steps).numpy()
        return found

    def _inputs(self, patient: PatientVectors) -> dict[str, Inputs]:
        found = {}
        for name, width in self.dimensions.items():
            bag: Any = patient.seen[name]
            rows = None if bag is None else torch.from_numpy(np.array(bag, dtype=np.float32))
            found[name] = Inputs.join([rows], width, CPU)
        return found


def torch_networks(bundle: Bundle, m: BundleMember) -> list[InnerModel]:
    """Build the inner networks of a member."""
    widths = {name: int(matrix.shape[1]) for name, (_, matrix) in bundle.projections.items()}
    if bundle.clinical is not None:
        widths["clinical"] = bundle.clinical.components
    dimensions = {name: widths[name] for name in m.member.inputs}
    found: list[InnerModel] = []
    for arrays in m.models:
        network = build(dimensions, m.member.settings(bundle.training), m.member)
        network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()})
        found.append(TorchNetwork(network, dimensions, bundle.training.threads))
    return found
