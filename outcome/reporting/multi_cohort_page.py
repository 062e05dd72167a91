"""The page over several runs: a table, and a forest plot of each arm and each comparison."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from outcome.evaluation.metric_descriptions import Metric
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.number_text import estimate, number, plural
from outcome.plotting.palette import INK, arm_colours
from outcome.reporting.page.blocks import (
    Answer,
    Fact,
    Picture,
    ReportSection,
    Tab,
    TableBlock,
    Tabs,
)
from outcome.reporting.page.figure_files import FigureFiles
from outcome.reporting.page.formatting import Cell, Table, joined, quote, slug
from outcome.reporting.page.interval_words import models_held_fixed
from outcome.reporting.page.render import Page
from outcome.run_folder.folder import Run

__all__ = ["Cohorts", "cohorts_page"]


@dataclass(frozen=True)
class Cohorts:
    """The page over several runs, and its tables.

    Parameters
    ----------
    path : Path
    scores : DataFrame
        One row per cohort and arm.
    means : DataFrame
        One row per arm: `arm, estimate, lower, upper, cohorts`.
    changes, mean_changes : DataFrame
        The same for the differences from the baseline.
    """

    path: Path
    scores: pd.DataFrame
    means: pd.DataFrame
    changes: pd.DataFrame
    mean_changes: pd.DataFrame


def cohorts_page(
    runs: Sequence[Run], names: Sequence[str], main: Metric, made: Cohorts, gallery: FigureFiles
) -> Page:
    """Build the page over several runs; its figures are saved in `gallery`."""
    arms = list(dict.fromkeys(made.scores["arm"]))
    scores = ReportSection("cohorts", f"{main.label} in each cohort")
    scores.say(
        "Every row is a separate study: nothing was trained or chosen across cohorts. The mean "
        "gives every cohort the same weight. Its 95% interval applies to these cohorts and "
        "these fitted models, not to future cohorts."
    )
    scores.show(_score_table(made, names, arms, main))
    drawn = _Forests(gallery, main, dict(arm_colours(arms)))
    tabs = [Tab(f"cohorts-{drawn.slugs[a]}", a, [drawn.scores(a, made)]) for a in arms]
    scores.show(Tabs("Arm", tabs))
    sections = [scores]
    if made.changes["difference"].notna().any():
        changes = ReportSection("differences", "Differences from the baseline")
        changes.say(
            "Arm minus baseline, on the same patients and folds of each cohort. If an arm is "
            "missing in a cohort, its mean does not include that cohort."
        )
        pairs = made.mean_changes[["arm", "baseline"]].to_numpy().tolist()
        blocks = [
            Tab(f"differences-{i}", f"{a} against {b}", [drawn.changes(a, b, made, i)])
            for i, (a, b) in enumerate(pairs)
        ]
        changes.show(Tabs("Comparison", blocks))
        changes.show(TableBlock(_change_table(made, main)))
        sections.append(changes)
    sections.append(_about(runs, names))
    return Page(
        title=f"{plural(len(runs), 'cohort')}, {main.label}",
        subtitle=f"{plural(sum(r.n_patients for r in runs), 'patient')} in all",
        simulated=any(r.manifest.get("simulated") for r in runs),
        answers=_answers(made, main),
        trust=_facts(runs, names, made),
        sections=sections,
    )


def _answers(made: Cohorts, main: Metric) -> list[Answer]:
    means = made.means.to_dict("records")
    said = [
        f"{quote(r['arm'])}: {_value(r, main.digits)}, mean of {plural(r['cohorts'], 'cohort')}."
        for r in means
    ]
    better = max if main.higher_is_better else min
    everywhere = max((r["cohorts"] for r in means), default=0)
    rivals = [r for r in means if r["cohorts"] == everywhere]
    best = better(rivals, key=lambda r: float(r["estimate"]), default=None)
    short = f"{main.label} {_value(best, main.digits)}" if best else "Not estimable"
    if best is not None and len(rivals) > 1:
        said.insert(0, f"Best of {len(rivals)} arms: {quote(best['arm'])}.")
    answers = [Answer("How well, on average?", short, said)]
    if len(made.mean_changes):
        words, clear = [], 0
        for r in made.mean_changes.to_dict("records"):
            apart = bool(r["lower"] > 0 or r["upper"] < 0)
            clear += apart
            verdict = "the interval excludes 0" if apart else "no evidence of a difference"
            value = _value(r, main.fine, sign=True)
            words.append(f"{quote(r['arm'])} against {quote(r['baseline'])}: {value}; {verdict}.")
        few = clear < len(made.mean_changes)
        short = "No evidence of it" if not clear else "In part" if few else "It seems so"
        words.append("Descriptive: no correction for the number of comparisons.")
        answers.append(Answer("Do the arms differ from the baseline, on average?", short, words))
    return answers


def _facts(runs: Sequence[Run], names: Sequence[str], made: Cohorts) -> list[Fact]:
    facts = []
    if any(r.manifest.get("simulated") for r in runs):
        facts.append(Fact(False, "Some or all of the data are simulated."))
    counts = made.scores.dropna(subset="estimate").groupby("arm", sort=False).size()
    partial = [str(a) for a, k in counts.items() if k < len(runs)]
    if partial:
        facts.append(
            Fact(
                False,
                f"{joined(partial)} could not be evaluated in every cohort. Means over different "
                "sets of cohorts cannot be compared with each other.",
            )
        )
    if old := [n for n, r in zip(names, runs, strict=True) if models_held_fixed(r)]:
        facts.append(
            Fact(
                False,
                f"The intervals of {joined(old)} treat the fitted models as fixed and are too "
                "narrow. Evaluate these runs again.",
            )
        )
    endpoints = sorted({r.endpoint.name for r in runs})
    if len(endpoints) > 1:
        facts.append(Fact(False, f"The endpoints have different names: {', '.join(endpoints)}."))
    ids = pd.concat([pd.Series(r.predictions.table["patient_id"].unique()) for r in runs])
    if shared := int(ids.duplicated().sum()):
        facts.append(
            Fact(
                False,
                f"{plural(shared, 'patient id')} occur in several cohorts. If they are the same "
                "patients, the cohorts are not independent, and the interval of the mean is "
                "wrong.",
            )
        )
    else:
        facts.append(Fact(True, "No patient id occurs in two cohorts."))
    return facts


def _value(row: Mapping[Hashable, Any], digits: int, *, sign: bool = False) -> str:
    return estimate(row["estimate"], row["lower"], row["upper"], digits, sign=sign)


def _score_table(made: Cohorts, names: Sequence[str], arms: Sequence[str], main: Metric) -> Table:
    columns = ["Cohort", *arms, "Patients", "Events"]
    table = Table(f"{main.label} with 95% intervals", columns, numeric=set(range(1, len(columns))))
    rows = {(r["cohort"], r["arm"]): r for r in made.scores.to_dict("records")}
    for i, name in enumerate(names):
        mine = made.scores[made.scores["cohort"] == name]
        cells = [_cell(rows.get((name, arm)), main) for arm in arms]
        sizes = [float(mine[k].max()) for k in ("n", "events")]
        table.add(Cell(name, i, True), *cells, *sizes)
    means = {r["arm"]: r for r in made.means.to_dict("records")}
    whole = made.scores.groupby("cohort", sort=False)[["n", "events"]].max().sum()
    cells = [_cell(means.get(arm), main) for arm in arms]
    table.add(Cell("Mean", len(names), True), *cells, float(whole["n"]), float(whole["events"]))
    return table


def _cell(row: Mapping[Hashable, Any] | None, main: Metric) -> Cell:
    return Cell("") if row is None else Cell(_value(row, main.digits), float(row["estimate"]))


def _change_table(made: Cohorts, main: Metric) -> Table:
    columns = ["Cohort", "Arm", "Against", "Difference (95% interval)"]
    table = Table(f"Differences in {main.label}", columns, numeric={3})
    rows = made.changes.rename(columns={"difference": "estimate"}).to_dict("records")
    means = [
        {**r, "cohort": f"Mean of {r['cohorts']}"} for r in made.mean_changes.to_dict("records")
    ]
    for r in [*rows, *means]:
        cell = Cell(_value(r, main.fine, sign=True), float(r["estimate"]))
        table.add(str(r["cohort"]), str(r["arm"]), str(r["baseline"]), cell)
    return table


def _about(runs: Sequence[Run], names: Sequence[str]) -> ReportSection:
    section = ReportSection("runs", "The runs")
    columns = ["Cohort", "Endpoint", "Patients", "Events", "Folds", "Repeats", "Warnings", "Made"]
    table = Table("Runs on this page", columns, numeric={2, 3, 4, 5, 6})
    for name, run in zip(names, runs, strict=True):
        warned = len(run.manifest.get("warnings") or []) + len(run.problems)
        table.add(
            name, run.endpoint.name, run.n_patients, run.n_events, run.folds, run.repeats, warned,
            str(run.manifest.get("created") or "")[:10],
        )  # fmt: skip
    table.notes.append("Each run has its own page, with its warnings and methods.")
    section.show(table)
    return section


class _Forests:
    """Forest plots over cohorts, the mean at the bottom."""

    def __init__(self, gallery: FigureFiles, main: Metric, colours: dict[str, str]) -> None:
        self.gallery, self.main, self.colours = gallery, main, colours
        taken: set[str] = set()
        self.slugs = {arm: slug(arm, taken) for arm in colours}

    def scores(self, arm: str, made: Cohorts) -> Picture:
        """Draw one arm in all cohorts."""
        rows = made.scores[made.scores["arm"] == arm]
        mean = made.means[made.means["arm"] == arm]
        shown = rows.assign(label=rows["cohort"] + " (" + rows["events"].map(_count) + ")")
        return self._hang(
            shown, mean, self.colours[arm], f"cohorts-{self.slugs[arm]}", arm,
            f"{self.main.label} (95% interval)", self.main.chance, self.main.digits, sign=False,
            caption=f"{arm}: {self.main.label} in each cohort (events), and the unweighted mean.",
        )  # fmt: skip

    def changes(self, arm: str, base: str, made: Cohorts, number_: int) -> Picture:
        """Draw one comparison in all cohorts."""
        rows = made.changes[(made.changes["arm"] == arm) & (made.changes["baseline"] == base)]
        mean = made.mean_changes
        mean = mean[(mean["arm"] == arm) & (mean["baseline"] == base)]
        shown = rows.assign(label=rows["cohort"], estimate=rows["difference"])
        return self._hang(
            shown, mean, self.colours.get(arm, INK), f"differences-{number_}", arm,
            f"Difference in {self.main.label}", 0.0, self.main.fine, sign=True,
            caption=f"{arm} minus {base}: difference in {self.main.label} in each cohort, and "
            "the unweighted mean.",
        )  # fmt: skip

    def _hang(
        self, rows: pd.DataFrame, mean: pd.DataFrame, colour: str, name: str, arm: str,
        xlabel: str, reference: float, digits: int, *, sign: bool, caption: str,
    ) -> Picture:  # fmt: skip
        columns = ["label", "estimate", "lower", "upper"]
        last = mean.assign(label="Mean", colour=INK, marker="D")
        data = pd.concat([rows[columns].assign(colour=colour, marker="s"), last])
        figure = Figure(figsize=(2.8, 0.8 + 0.34 * len(data)))
        plot_forest(
            data.reset_index(drop=True), figure.add_subplot(), xlabel=xlabel, reference=reference,
            digits=digits, sign=sign,
        )  # fmt: skip
        totals = [f" Mean {_value(r, digits, sign=sign)}." for r in mean.to_dict("records")]
        said = "".join(totals[:1])
        return self.gallery.save(
            figure, name, alt=f"Forest plot of {arm} over {plural(len(rows), 'cohort')}.{said}",
            caption=caption,
        )  # fmt: skip


def _count(events: float) -> str:
    return number(events, 0)
