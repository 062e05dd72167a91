"""What speaks for the numbers of a run, and what against them."""

from __future__ import annotations

from outcome.reporting.page.blocks import Fact
from outcome.run_folder.folder import Run, constant_risk
from outcome.reporting.sections.summary_section import FEW_EVENTS, joined
from outcome.reporting.page.formatting import plural

__all__ = ["tested_apart", "trust"]


def tested_apart(run: Run) -> bool | None:
    """Check in `splits.csv` that nobody was scored by a model that had seen them.

    Returns
    -------
    bool or None
        None where the file is absent.
    """
    splits = run.table("splits.csv")
    if splits.empty:
        return None
    keys = ["repeat", "fold", "patient_id"]
    roles = splits.rename(columns={"outer_fold": "fold"})
    if "repeat" not in roles:
        roles = roles.assign(repeat=0)
    scored = run.predictions.table[keys].drop_duplicates()
    scored = scored.assign(repeat=scored["repeat"].astype(float), fold=scored["fold"].astype(str))
    roles = roles.assign(repeat=roles["repeat"].astype(float), fold=roles["fold"].astype(str))
    merged = scored.merge(roles[[*keys, "role"]], on=keys, how="left")
    return bool((merged["role"] == "test").all())


def trust(run: Run) -> list[Fact]:
    """List what speaks for the numbers of this run, and what against them."""
    facts = []
    if run.manifest.get("simulated"):
        facts.append(Fact(False, "The data are simulated: nothing here is about real patients."))
    facts += [*_split_facts(run), *_size_facts(run)]
    constant = [a for a in run.arms if constant_risk(run.predictions.arm(a))]
    if constant:
        facts.append(
            Fact(
                False, f"{joined(constant)} gives every patient the same risk: it learned nothing."
            )
        )
    warned = len(run.manifest.get("warnings") or []) + len(run.problems)
    if warned:
        facts.append(Fact(False, f"This run gave {plural(warned, 'warning')}.", "warnings"))
    return facts


def _split_facts(run: Run) -> list[Fact]:
    apart = tested_apart(run)
    how = f" ({run.division})" if run.cross_validated else ""
    facts = []
    if apart:
        text = f"Every patient was scored only by models that had not been trained on them{how}."
        facts.append(Fact(True, f"{text} This was checked in the recorded division."))
    elif apart is None:
        facts.append(
            Fact(False, f"There is no record of who was trained on and who was tested{how}.")
        )
    else:
        facts.append(Fact(False, "Some scored patients were not test patients of their fold."))
    if run.cross_validated:
        facts.append(
            Fact(
                False,
                "No patients from elsewhere: performance is often lower on those.",
            )
        )
        if run.repeats == 1:
            facts.append(
                Fact(
                    False,
                    "How much the numbers would change with another division of the patients was "
                    "not measured (one repeat).",
                )
            )
    return facts


def _size_facts(run: Run) -> list[Fact]:
    n, word = run.events, run.endpoint.word
    if not run.endpoint.ordinal:
        known = int((run.status != run.outcome_words[2]).sum())
        n = min(n, known - n)
        word = "patient of the rarer class" if n == 1 else "patients of the rarer class"
        counted = f"{n:,} {word}"
    else:
        counted = plural(n, word)
    if n >= FEW_EVENTS:
        return [Fact(True, f"{counted}: not fewer than the {FEW_EVENTS} commonly asked for.")]
    return [
        Fact(
            False,
            f"Only {counted}; {FEW_EVENTS} are commonly asked for. Small differences between arms "
            "can be chance.",
        )
    ]
