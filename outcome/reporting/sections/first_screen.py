"""The figures of the first screen: the best arm and the baseline, and a forest of all arms."""

from __future__ import annotations

from collections.abc import Sequence

from outcome.reporting.page.blocks import Picture
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.main_metric import main_scores
from outcome.reporting.sections.discrimination_section import draw_arms_forest
from outcome.reporting.sections.risk_groups_section import draw_curves
from outcome.reporting.sections.scores_section import draw_roc
from outcome.run_folder.folder import Run

__all__ = ["first_screen", "headline_arms"]


def headline_arms(run: Run) -> list[str]:
    """Return the best arm by the main metric and the baseline; if they are the same, the next best.

    The best arm is selected afterwards, only for display; no decision depends on it.
    """
    main, rows = main_scores(run)
    known = rows[rows["estimate"].notna()] if main is not None else rows.iloc[:0]
    if main is None or known.empty:
        return run.arms[:2]
    ranked = known.sort_values("estimate", ascending=not main.higher_is_better, kind="stable")
    order = [str(a) for a in ranked["arm"]]
    first = [order[0], run.baseline if run.baseline in run.arms else order[-1]]
    return list(dict.fromkeys([*first, *order]))[:2]


def first_screen(run: Run, drawings: ReportFigures) -> list[tuple[str, Picture]]:
    """Draw the curves of risk groups, or ROC curves of a yes/no outcome, and the forest.

    Returns
    -------
    list of (str, Picture)
        Each with its title.
    """
    main, rows = main_scores(run)
    chosen = headline_arms(run)
    made = [
        (_title(run, arm, chosen), picture)
        for arm in chosen
        if (picture := _curve(run, drawings, arm)) is not None
    ]
    if main is not None and len(rows):
        forest = draw_arms_forest(drawings, main, rows)
        made.append((f"{main.label[0].upper()}{main.label[1:]} of each arm", forest))
    return made


def _title(run: Run, arm: str, chosen: Sequence[str]) -> str:
    """Name the arm and the reason why it is shown."""
    if len(run.arms) == 1:
        return arm
    about = []
    if arm == chosen[0] and len(run.arms) > 2:
        about.append("best arm")
    if arm == run.baseline:
        about.append("baseline")
    return f"{arm} ({', '.join(about)})" if about else arm


def _curve(run: Run, drawings: ReportFigures, arm: str) -> Picture | None:
    if run.endpoint.times and (picture := draw_curves(drawings, arm)):
        return picture
    curves = run.table("roc_curves.csv")
    mine = curves[curves["arm"] == arm] if len(curves) else curves
    return draw_roc(drawings, arm, mine) if len(mine) else None
