"""The methods paragraph: each clause comes from the manifest, or is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from outcome.reporting.folder import Run
from outcome.reporting.headline import joined
from outcome.reporting.labels import horizon_text
from outcome.reporting.tables import number, plural

__all__ = ["methods"]

_CUTOFFS = {
    "median": "at the median",
    "tertile": "at the tertiles",
    "tertiles": "at the tertiles",
    "quartile": "at the quartiles",
    "quartiles": "at the quartiles",
}


def methods(run: Run) -> list[str]:
    """Describe what was run, a paragraph per topic."""
    parts = (_cohort(run), _inputs(run), _validation(run), _training(run), _evaluation(run))
    return [" ".join(part) for part in parts if part]


def _cohort(run: Run) -> list[str]:
    cohort, end = run.part("cohort"), run.endpoint
    said = []
    if patients := cohort.get("patients"):
        slides = cohort.get("slides")
        events = cohort.get("events")
        text = f"The cohort has {plural(int(patients), 'patient')}"
        text += f" with {plural(int(slides), 'slide')}" if slides else ""
        if events is not None:
            share = f" ({100 * int(events) / int(patients):.0f}%)"
            text += f"; {plural(int(events), end.word)}{share}"
        said.append(f"{text}.")
    kinds = {
        "survival": "a time to event, right-censored",
        "binary": f"a yes/no outcome, positive where it is “{end.positive}”",
        "landmark": "whether the event came by a fixed time from the origin",
    }
    unit = f", in {end.unit}" if end.unit and end.kind != "binary" else ""
    said.append(f"The endpoint is {end.name}: {kinds[end.kind]}{unit}.")
    if end.kind == "binary" and end.favourable:
        said.append("The positive class is the better outcome; a higher risk score is worse.")
    if end.horizons:
        at = ", ".join(horizon_text(h, end.unit) for h in end.horizons)
        said.append(f"The declared horizons are {at}.")
    if end.strata:
        said.append(f"Strata ({end.strata}) had their own baseline hazard and comparisons.")
    return said


def _inputs(run: Run) -> list[str]:
    cohort, said = run.part("cohort"), []
    patches = cohort.get("patches")
    encoder = cohort.get("encoder")
    dimension = cohort.get("dimension")
    if isinstance(patches, Mapping) and patches.get("total"):
        vectors = f"{plural(int(patches['total']), 'patch embedding')}"
        vectors += f" of {dimension} dimensions" if dimension else ""
        vectors += f" ({encoder})" if encoder else ""
        text = f"Images entered as {vectors}"
        if patches.get("median") is not None:
            text += f", a median of {number(patches['median'], 0)} per patient"
        if patches.get("min") is not None and patches.get("max") is not None:
            text += f" ({number(patches['min'], 0)} to {number(patches['max'], 0)})"
        said.append(f"{text}.")
    reports = cohort.get("reports")
    if isinstance(reports, Mapping) and reports.get("with") is not None:
        size = f" of {reports['dimension']} dimensions" if reports.get("dimension") else ""
        text = f"Report embeddings{size} were there for {plural(int(reports['with']), 'patient')}"
        if reports.get("without") is not None:
            text += f" and missing for {int(reports['without']):,}"
        said.append(f"{text}.")
    arms = [f"“{a}” ({', '.join(run.inputs[a])})" for a in run.arms if run.inputs.get(a)]
    if arms:
        said.append(f"The arms and what they see: {'; '.join(arms)}.")
    return said


def _validation(run: Run) -> list[str]:
    split, protocol, said = run.part("split"), run.part("protocol"), []
    if run.cross_validated:
        times = f", repeated {run.repeats} times" if run.repeats > 1 else ""
        said.append(
            f"Patients were divided into {run.folds} folds{times}; each fold was scored by models "
            "trained on the others, and read once."
        )
    if source := split.get("source"):
        said.append(f"The division: {source}.")
    if inner := split.get("inner_folds"):
        said.append(
            f"What had to be chosen was chosen on the development patients alone, in up to {inner} "
            "inner folds."
        )
    if cut := protocol.get("cutoffs"):
        where = _CUTOFFS.get(str(cut), f"by the rule “{cut}”, from those")
        said.append(f"Risk groups were cut {where} of the development patients’ risks.")
    if split.get("seed") is not None:
        said.append(f"The seed of the division is {split['seed']}.")
    return said


def _training(run: Run) -> list[str]:
    chosen = [e for e in run.manifest.get("epochs") or [] if e.get("epochs") is not None]
    said = []
    for arm in run.arms:
        epochs = [float(e["epochs"]) for e in chosen if e.get("arm") == arm]
        if epochs:
            middle = number(float(np.median(epochs)), 0 if np.median(epochs) % 1 == 0 else 1)
            span = f"{min(epochs):.0f} to {max(epochs):.0f}"
            said.append(f"{joined([arm])} was trained for a median of {middle} epochs ({span}).")
        penalties = [
            float(e["penalty"])
            for e in run.manifest.get("epochs") or []
            if e.get("arm") == arm and e.get("penalty") is not None
        ]
        if penalties:
            span = f"{min(penalties):g} to {max(penalties):g}"
            said.append(
                f"{joined([arm])} is a linear model of mean vectors with a ridge penalty ({span})."
            )
    return said


def _evaluation(run: Run) -> list[str]:
    said, present = [], set(run.table("metrics.csv")["metric"])
    resamples = run.manifest.get("resamples")
    if resamples:
        per_fold = ", within folds" if run.cross_validated else ""
        said.append(
            f"95% intervals are percentiles of {int(resamples):,} bootstrap resamples of "
            f"patients{per_fold}, the same resamples for every arm."
        )
    if present & {"harrell_c", "auroc"} and run.cross_validated:
        name = "C-index" if "harrell_c" in present else "AUROC"
        said.append(
            f"Risk scores of different folds were never compared: the {name} was computed in each "
            "test fold and averaged."
        )
    if run.cross_validated:
        said.append(
            "In a cross-validated study intervals and p-values are given these fitted models, "
            "and every p is exploratory."
        )
    if run.manifest.get("versions"):
        kept = ("slide-outcome", "outcome", "torch", "lifelines", "scikit-survival")
        versions: Mapping[str, Any] = run.part("versions")
        named = [f"{k} {versions[k]}" for k in kept if k in versions]
        if named:
            said.append(f"Software: {', '.join(named)}.")
    return said
