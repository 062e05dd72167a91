"""The model card of a bundle: description, performance and limits of use."""

from __future__ import annotations

from typing import Any

from outcome.bundle.bundle import Bundle
from outcome.bundle.serialization import bundle_digest

__all__ = ["about_bundle", "model_card"]


def model_card(bundle: Bundle) -> str:
    """Write the card as Markdown, only from the bundle."""
    parts = [
        f"# {bundle.arm.name} of {bundle.name}",
        _what(bundle),
        "## Performance\n\n" + _performance(bundle.facts.get("performance") or []),
        "## Training data\n\n" + _trained(bundle),
        "## Inputs\n\n" + _contracts(bundle),
        "## Out-of-scope use\n\nResearch use only. The model is not a medical device, and its "
        "output must not guide the care of a patient. Absolute risks are valid for patients "
        "like those of the training cohort; `outcome validate` shows how well they hold in "
        "other cohorts. MUSK's weights, and models trained on its embeddings, are for "
        "non-commercial use only (CC-BY-NC-ND).",
        "## Training procedure\n\n" + _made(bundle),
    ]
    return "\n\n".join(parts) + "\n"


def _what(bundle: Bundle) -> str:
    endpoint = bundle.endpoint
    simulated = " Trained on SIMULATED patients." if bundle.facts.get("simulated") else ""
    worse = "Higher risk is worse."
    if endpoint.favourable:
        worse = "The probability is of the favourable label; higher risk is worse."
    return (
        f"Predicts {endpoint.label} ({endpoint.kind}) from {', '.join(bundle.inputs)}."
        f" {worse}{simulated}"
    )


def _performance(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return (
            "Unknown: no cross-validated run of the same arm and settings was found when the "
            "model was fitted. `outcome run` measures the performance."
        )
    lines = [
        "Cross-validated: each patient was scored by models that were not trained on this "
        "patient. This final model was fitted on more patients and has not been tested itself.",
        "",
        "| metric | estimate | 95% interval | patients | events |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        between = "" if r.get("lower") is None else f"{r['lower']:.3f} to {r['upper']:.3f}"
        lines.append(
            f"| {r['metric']} | {r['estimate']:.3f} | {between} | {r['n']} | {r['events']} |"
        )
    return "\n".join(lines)


def _trained(bundle: Bundle) -> str:
    facts = bundle.facts
    left = facts.get("left_out_fold")
    lines = [f"- {facts['patients']} patients, {facts['events']} with the event or label"]
    if left is not None:
        lines.append(f"- the patients of fold {left} were excluded")
    if "longest_follow_up" in facts:
        lines.append(f"- followed for up to {facts['longest_follow_up']:g} {bundle.endpoint.unit}")
    if bundle.endpoint.entry is not None:
        lines.append("- at risk only from their entry (delayed entry, left truncation)")
    lines += [f"- {note}" for note in facts.get("notes", [])]
    return "\n".join(lines)


def _contracts(bundle: Bundle) -> str:
    lines = []
    for name, c in bundle.contracts.items():
        geometry = ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in c.geometry.items())
        what = f"- {name}: vectors of {c.dimension} numbers"
        what += f" by encoder {c.encoder!r}" if c.encoder else " (encoder unknown)"
        lines.append(f"{what}; {geometry}" if geometry else what)
    if bundle.clinical is not None:
        columns = [*bundle.clinical.numeric, *bundle.clinical.categorical]
        lines.append(f"- clinical columns: {', '.join(columns)}")
    return "\n".join(lines)


def _made(bundle: Bundle) -> str:
    lines = [
        f"- {bundle.facts['inner_models']} inner models per member, each trained without one inner"
        " fold; their centred risks are averaged",
    ]
    for m in bundle.members:
        step = "penalty" if m.member.linear else "epochs"
        value = (
            ", ".join(f"{p:g} ({name})" for name, p in m.step.items())
            if isinstance(m.step, dict)
            else f"{m.step:g}"
        )
        lines.append(f"- {m.member.name}: {step} {value}, weight {m.weight:.4g}")
    cuts = ", ".join(
        f"{s or 'all'}: {', '.join(f'{c:.4g}' for c in own)}" for s, own in bundle.cuts.items()
    )
    lines.append(
        f"- calibration slope {bundle.calibration.slope:.3f}; cut-offs of the risk: {cuts}"
    )
    versions = ", ".join(f"{k} {v}" for k, v in bundle.facts.get("versions", {}).items())
    lines.append(f"- made {bundle.facts['created']} with {versions}")
    lines.append(f"- digest {bundle_digest(bundle)}")
    return "\n".join(lines)


def about_bundle(bundle: Bundle) -> dict[str, Any]:
    """Return the description of the model in the manifest of a validation."""
    endpoint, facts = bundle.endpoint, bundle.facts
    return {
        "simulated": bool(facts.get("simulated")),
        "endpoint": {
            "kind": endpoint.kind,
            "name": endpoint.label,
            "strata": endpoint.strata,
            "unit": endpoint.unit,
            "favourable": endpoint.favourable,
            "positive": endpoint.details().get("positive", ""),
        },
        "inputs_of_arm": list(bundle.inputs),
        "model": {
            "study": bundle.name,
            "arm": bundle.arm.name,
            "digest": bundle_digest(bundle),
            "created": facts.get("created"),
            "patients": facts.get("patients"),
            "events": facts.get("events"),
            "slide-outcome": facts.get("versions", {}).get("slide-outcome"),
        },
    }
