"""Where the risk groups of a run come from, in words."""

from __future__ import annotations

from outcome.risk.cutoffs import rule_words
from outcome.run_folder.folder import Run

__all__ = ["group_names_text", "grouping"]


def grouping(run: Run) -> str:
    """Say in a sentence or two how patients were divided into risk groups."""
    if "risk_group" not in run.predictions.table:
        return "Patients are grouped by their risk score; the predictions contained no groups."
    cut = run.part("protocol").get("cutoffs")
    if said := str(run.part("protocol").get("risk groups") or ""):
        named = said.startswith(tuple(run.arms))  # a name keeps its letters
        return f"{said if named else said[0].upper() + said[1:]}."
    if not cut:
        return (
            "Patients are grouped by their risk score; the groups are those given with the "
            "predictions."
        )
    return (
        "Patients are grouped by their risk score, with cut-offs that were fixed on development "
        f"patients only ({rule_words(cut)})."
    )


def group_names_text(run: Run) -> str:
    """List the names of the groups of all arms, from low to high."""
    names = dict.fromkeys(group for arm in run.arms for group in run.groups(arm))
    return ", ".join(names)
