"""Apply a trained model to one patient at a time, with numpy if possible.

The predictions for a patient depend only on this patient, not on other patients or the number of
processes. Importing torch takes longer than scoring a patient, so networks with built-in pooling
are applied with numpy. `outcome.bundle.fit` checks that both agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle, BundleMember
from outcome.bundle.patient_vectors import Array, InnerModel, PatientVectors

__all__ = ["Ensemble", "LinearModel", "PlainNetwork"]
Arrays = Mapping[str, Array]
PLAIN = {
    "attention": {"content.weight", "content.bias", "gate.weight", "gate.bias", "score.weight"},
    "mean": set[str](),
}
"""Aggregators that are applied with numpy, and their arrays."""


class LinearModel:
    """A ridge model of mean vectors.

    Parameters
    ----------
    inputs : tuple of str
    arrays : mapping
        `mean, scale, weights`, shape (d,), and `intercept`, shape (1,).
    widths : mapping of input to int
    """

    def __init__(self, inputs: tuple[str, ...], arrays: Arrays, widths: Mapping[str, int]) -> None:
        self.inputs, self.arrays, self.widths = inputs, arrays, widths

    def raw(self, patient: PatientVectors) -> float:
        """Return the output; a missing input counts as the mean."""
        blocks = []
        for name in self.inputs:
            mean = patient.means[name]
            blocks.append(np.full(self.widths[name], np.nan) if mean is None else mean)
        a = self.arrays
        standard = np.nan_to_num((np.concatenate(blocks) - a["mean"]) / a["scale"])
        return float(standard @ a["weights"] + a["intercept"][0])

    def slope(self, name: str) -> tuple[Array, Array]:
        """Return reference and weight of each feature of one input, both of shape (d,)."""
        start = 0
        for other in self.inputs:
            if other == name:
                break
            start += self.widths[other]
        rows = slice(start, start + self.widths[name])
        a = self.arrays
        return a["mean"][rows], a["weights"][rows] / a["scale"][rows]


class PlainNetwork:
    """A network with built-in pooling, in numpy and double precision.

    Parameters
    ----------
    member : BundleMember
    arrays : mapping
        State of the network.
    """

    def __init__(self, member: BundleMember, arrays: Arrays) -> None:
        self.inputs = member.member.inputs
        self.aggregator = member.member.aggregator
        self.gated = member.member.fusion == "gated" and len(self.inputs) > 1
        self.arrays = {k: np.asarray(v, dtype=np.float64) for k, v in arrays.items()}
        self.widths = {name: len(self.arrays[f"absent.{name}"]) for name in self.inputs}

    @staticmethod
    def possible(member: BundleMember) -> bool:
        """Whether this class supports these networks and all of their arrays."""
        m = member.member
        if m.aggregator not in PLAIN or m.fusion not in ("early", "gated"):
            return False
        expected = {"readout.weight", "readout.bias"}
        for name in m.inputs:
            expected |= {f"absent.{name}", f"mean_{name}", f"gain_{name}"}
            if name != "clinical":  # a single vector needs no pooling
                expected |= {f"pools.{name}.{part}" for part in PLAIN[m.aggregator]}
        if m.fusion == "gated" and len(m.inputs) > 1:
            expected |= {"gate.weight", "gate.bias"}
        return all(set(arrays) == expected for arrays in member.models)

    def raw(self, patient: PatientVectors) -> float:
        """Return the output."""
        vectors = self.vectors(patient)
        terms = [
            gate * (vectors[name] @ self.readout(name))
            for name, gate in self.gates(vectors).items()
        ]
        return float(sum(terms) + self.arrays["readout.bias"][0])

    def vectors(self, patient: PatientVectors) -> dict[str, Array]:
        """Pooled and standardised vector of each input."""
        found = {}
        for name in self.inputs:
            bag = patient.seen[name]
            found[name] = self.arrays[f"absent.{name}"] if bag is None else self.pool(name, bag)
        return found

    def pool(self, name: str, bag: Array) -> Array:
        """Pool and standardise one bag of shape (n, k)."""
        x = bag.astype(np.float64)
        weighted: Array = (self.attention(name, x).T @ x).reshape(-1)
        pooled: Array = (weighted - self.arrays[f"mean_{name}"]) * self.arrays[f"gain_{name}"]
        return pooled

    def attention(self, name: str, x: Array) -> Array:
        """Weight of each vector of a bag, shape (n, heads); each head sums to 1."""
        if self.aggregator == "mean" or name == "clinical":
            return np.full((len(x), 1), 1.0 / len(x))
        part = {k: self.arrays[f"pools.{name}.{k}"] for k in PLAIN["attention"]}
        content = np.tanh(x @ part["content.weight"].T + part["content.bias"])
        gate = 1 / (1 + np.exp(-(x @ part["gate.weight"].T + part["gate.bias"])))
        score = (content * gate) @ part["score.weight"].T
        weights = np.exp(score - score.max(axis=0))
        normal: Array = weights / weights.sum(axis=0)
        return normal

    def gates(self, vectors: Mapping[str, Array]) -> dict[str, float]:
        """Return the factor of the term of each input; 1 without gated fusion."""
        if not self.gated:
            return dict.fromkeys(self.inputs, 1.0)
        joined = np.concatenate([vectors[name] for name in self.inputs])
        logits = self.arrays["gate.weight"] @ joined + self.arrays["gate.bias"]
        return dict(zip(self.inputs, (2 / (1 + np.exp(-logits))).tolist(), strict=True))

    def readout(self, name: str) -> Array:
        """Weights of the linear output layer for the vector of one input."""
        start = 0
        for other in self.inputs:
            if other == name:
                break
            start += self.widths[other]
        weights: Array = self.arrays["readout.weight"][0, start : start + self.widths[name]]
        return weights


class Ensemble:
    """All inner models of a bundle, ready for scoring.

    Parameters
    ----------
    bundle : Bundle
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.sign = -1.0 if bundle.endpoint.favourable else 1.0
        self.members = [(m, self._models(m)) for m in bundle.members]

    def see(
        self, image: Array | None = None, report: Array | None = None, clinical: Array | None = None
    ) -> PatientVectors:
        """Project the vectors of a patient.

        Parameters
        ----------
        image, report : array, shape (n, d), optional
        clinical : array, shape (k,), optional
            Coded.
        """
        given = {"image": image, "report": report, "clinical": clinical}
        raw: dict[str, Array | None] = {}
        seen: dict[str, Array | None] = {}
        for name in self.bundle.inputs:
            bag = given[name]
            raw[name] = seen[name] = None if bag is None else np.atleast_2d(bag)
            if bag is not None and name != "clinical":
                mean, matrix = self.bundle.projections[name]
                x = bag.astype(np.float32)
                x -= mean
                seen[name] = x @ matrix
        return PatientVectors(raw, seen)

    def inner_risks(self, patient: PatientVectors) -> NDArray[np.float64]:
        """Risk by each inner model, members joined, shape (inner models,); higher is worse."""
        total = np.zeros(len(self.bundle.members[0].centres))
        for m, models in self.members:
            raw = np.array([model.raw(patient) for model in models])
            total += m.weight * (self.sign * raw - np.asarray(m.centres))
        return total

    def risk(self, patient: PatientVectors) -> float:
        """Mean over the inner models."""
        return float(self.inner_risks(patient).mean())

    def log_hazard(self, patient: PatientVectors) -> float:
        """Calibrated log hazard, or logit of the worse outcome."""
        risk = np.array([self.risk(patient)])
        return float(self.bundle.calibration.linear_predictor(risk)[0])

    def _models(self, m: BundleMember) -> list[InnerModel]:
        if m.member.linear:
            bundle = self.bundle
            widths = {name: c.dimension for name, c in bundle.contracts.items()}
            if bundle.clinical is not None:
                widths["clinical"] = bundle.clinical.components
            return [LinearModel(m.member.inputs, arrays, widths) for arrays in m.models]
        if m.plain:
            return [PlainNetwork(m, arrays) for arrays in m.models]
        from outcome.bundle.ensemble_torch import torch_networks

        return torch_networks(self.bundle, m)
