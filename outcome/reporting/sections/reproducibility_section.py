"""The chapters on methods, warnings, reproducibility, and the list of patients."""

from __future__ import annotations

from outcome.plotting.number_text import number
from outcome.reporting.page.blocks import Fact, Facts, ReportSection
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.formatting import Cell, Table, entry, from_mapping
from outcome.reporting.sections.methods_section import methods
from outcome.run_folder.folder import Run

__all__ = ["how", "patients", "reproducibility", "warnings"]

MOST_INPUTS = 40


def how(run: Run, drawings: ReportFigures) -> ReportSection:
    """Describe the methods, from the manifest."""
    section = ReportSection("methods", "Methods")
    section.say(*methods(run))
    settings = from_mapping("Protocol", ["Setting", "Value"], run.part("protocol"))
    section.show(settings)
    section.show(from_mapping("Training settings", ["Setting", "Value"], run.part("training")))
    return section


def warnings(run: Run, drawings: ReportFigures) -> ReportSection:
    """List the warnings and notes of the run."""
    section = ReportSection("warnings", "Warnings and notes")
    found = [str(w) for w in run.manifest.get("warnings") or []] + list(run.problems)
    notes = [str(n) for n in run.manifest.get("notes") or []]
    if found:
        section.show(Facts([Fact(False, text) for text in found]))
    else:
        section.say("This run gave no warnings.")
    if notes:
        section.say("Notes:")
        section.show(Facts([Fact(True, text) for text in notes], mark=False))
    return section


def reproducibility(run: Run, drawings: ReportFigures) -> ReportSection:
    """List what is needed to reproduce the run."""
    section = ReportSection("reproducibility", "Reproducibility")
    about = {
        "Command": run.manifest.get("command"),
        "Made": run.manifest.get("created"),
        "Platform": run.manifest.get("platform"),
        "Device": run.manifest.get("device"),
        "Threads per fit": run.manifest.get("threads"),
        "Seed of the division": run.part("split").get("seed"),
        "Seed of training": run.part("training").get("seed"),
        "Duration": _duration(run.manifest.get("seconds")),
    }
    given = {k: v for k, v in about.items() if v not in (None, "")}
    if (run.path / "fits").is_dir():
        given["Network weights"] = "fits/, one folder per fit"
    section.show(from_mapping("This run", ["What", "Value"], given))
    section.show(from_mapping("Versions", ["Package", "Version"], run.part("versions")))
    inputs = run.part("inputs")
    shown = dict(list(inputs.items())[:MOST_INPUTS])
    table = from_mapping("Input files", ["File", "SHA-256"], shown)
    if len(inputs) > len(shown):
        table.notes.append(
            f"The first {len(shown)} of {len(inputs):,} files; manifest.json lists all of them."
        )
    section.show(table)
    return section


def _duration(seconds: object) -> str | None:
    if not isinstance(seconds, (int, float)):
        return None
    if seconds < 120:
        return f"{number(seconds, 0)} s"
    return f"{number(seconds / 60, 0)} min" if seconds < 7200 else f"{number(seconds / 3600, 1)} h"


def patients(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """List every patient with the scores of each arm, if ids are requested."""
    if not run.show_ids:
        return None
    section = ReportSection("patients", "Patients")
    first = run.first_repeat(run.arms[0]).set_index("patient_id")
    kept = [c for c in ("fold", "strata", "entry", "time", "event", "label") if c in first]
    heads = [c.capitalize() for c in kept]
    arms = [(a, run.first_repeat(a).set_index("patient_id")) for a in run.arms]
    what = "Patients of the first repeat" if run.repeats > 1 else "Patients"
    scored = [f"{arm}: risk (group)" for arm, _ in arms]
    first_score = 1 + len(heads)
    numeric = set(range(first_score, first_score + len(arms)))
    table = Table(what, ["Patient", *heads, *scored], numeric=numeric)
    for patient in dict.fromkeys(p for _, rows in arms for p in rows.index):
        cells: list[Cell | str | float] = []
        for name in kept:
            value = first[name].get(patient, "")
            cells.append(value if isinstance(value, str) else float(value))
        for _, rows in arms:
            here = rows.loc[patient] if patient in rows.index else {}
            risk, group = entry(here, "risk"), str(here.get("risk_group", ""))
            cells.append(Cell(number(risk, 3) + (f" ({group})" if group else ""), risk))
        table.add(str(patient), *cells)
    if run.cross_validated:
        table.notes.append("Risk scores of different folds have no common scale.")
    section.show(table)
    return section
