"""One page for several runs: the same arms in several cohorts, and their mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from outcome.errors import Problems, RunFolderError
from outcome.evaluation.mean_over_cohorts import Z, mean_over_cohorts
from outcome.evaluation.metric_descriptions import Metric
from outcome.reporting.multi_cohort_page import Cohorts, cohorts_page
from outcome.reporting.page.figure_files import FigureFiles, plain_style
from outcome.reporting.page.formatting import column
from outcome.reporting.page.main_metric import main_scores
from outcome.reporting.page.render import render, write_page
from outcome.run_folder.folder import Run
from outcome.run_folder.read import read_run
from outcome.run_folder.write import write_run_folder

__all__ = ["Cohorts", "write_cohorts"]

COHORT_COLUMNS = [
    "cohort", "arm", "metric", "estimate", "lower", "upper", "se", "n", "events",
]  # fmt: skip
CHANGE_COLUMNS = [
    "cohort", "arm", "baseline", "metric", "difference", "lower", "upper", "se",
]  # fmt: skip


def write_cohorts(folders: Sequence[Path], out: Path) -> Cohorts:
    """Write one page over several run folders: a table and a forest plot per arm.

    Parameters
    ----------
    folders : sequence of Path
        Run folders with the same main metric; two or more.
    out : Path
        Folder for `report.html`, `figures/` and four tables: a new folder, or that of an earlier
        page over cohorts.

    Raises
    ------
    RunFolderError
        A folder is not a run, the runs cannot be combined, or `out` contains other files.
    """
    _check_out(out)
    runs = _read_all(folders)
    main = _one_metric(runs)
    names = _names(runs)
    scores = pd.concat([_scores(n, r, main) for n, r in zip(names, runs, strict=True)])
    changes = pd.concat([_changes(n, r, main) for n, r in zip(names, runs, strict=True)])
    means = mean_over_cohorts(scores, "estimate", ["arm"])
    mean_changes = mean_over_cohorts(changes, "difference", ["arm", "baseline"])
    tables = {
        "cohorts": scores,
        "cohort_means": means,
        "cohort_differences": changes,
        "cohort_mean_differences": mean_changes,
    }
    about = {
        "format": 1,
        "kind": "cohorts",
        "runs": [{"name": n, "created": r.manifest.get("created")}
                 for n, r in zip(names, runs, strict=True)],
        "metric": main.key,
    }  # fmt: skip
    write_run_folder(out, tables, about)
    made = Cohorts(out / "report.html", scores, means, changes, mean_changes)
    with plain_style():
        page = cohorts_page(runs, names, main, made, FigureFiles(out / "figures"))
    write_page(made.path, render(page))
    return made


def _check_out(out: Path) -> None:
    if out.is_file():
        raise RunFolderError(f"{out} is a file; give another folder")
    if not out.is_dir() or not any(out.iterdir()):
        return
    try:
        about = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        mine = isinstance(about, dict) and about.get("kind") == "cohorts"
    except (OSError, ValueError):
        mine = False
    if not mine:
        raise RunFolderError(f"{out} contains other files; give another folder")


def _read_all(folders: Sequence[Path]) -> list[Run]:
    problems = Problems("the runs")
    if len(folders) < 2:
        problems.add("a page over several runs needs at least two runs")
    resolved = [str(Path(f).resolve()) for f in folders]
    if len(set(resolved)) < len(resolved):
        problems.add("a run is given twice", [f for f in resolved if resolved.count(f) > 1][:1])
    runs = []
    for folder in folders:
        try:
            runs.append(read_run(Path(folder)))
        except RunFolderError as error:
            problems.extend([str(error)])
    problems.raise_if_any(RunFolderError)
    return runs


def _one_metric(runs: Sequence[Run]) -> Metric:
    found = [main_scores(run)[0] for run in runs]
    problems = Problems("the runs")
    if lacking := [r.path.name for r, m in zip(runs, found, strict=True) if m is None]:
        problems.add("no metrics", lacking, "evaluate them first")
    kinds = {m.label: r.path.name for r, m in zip(runs, found, strict=True) if m is not None}
    if len(kinds) > 1:
        shown = [f"{where} ({label})" for label, where in kinds.items()]
        problems.add("they have different main metrics", shown, "make a page for each kind")
    problems.raise_if_any(RunFolderError)
    first = found[0]
    assert first is not None
    return first


def _names(runs: Sequence[Run]) -> list[str]:
    """Names of the studies, with the name of the folder if two studies have the same name."""
    names = [r.name for r in runs]
    return [
        f"{n} ({r.path.resolve().name})" if names.count(n) > 1 else n
        for n, r in zip(names, runs, strict=True)
    ]


def _scores(name: str, run: Run, main: Metric) -> pd.DataFrame:
    _, rows = main_scores(run)
    table = run.table("metrics.csv")
    known = table[table["metric"] == main.key].drop_duplicates("arm").set_index("arm")
    error = column(known, "se").reindex(rows["arm"]).to_numpy(dtype=float)
    width = (column(rows, "upper") - column(rows, "lower")).to_numpy(dtype=float) / (2 * Z)
    rows = rows.assign(cohort=name, metric=main.key, se=np.where(np.isnan(error), width, error))
    return rows[COHORT_COLUMNS]


def _changes(name: str, run: Run, main: Metric) -> pd.DataFrame:
    table = run.table("comparisons.csv")
    rows = table[table["metric"] == main.key].assign(cohort=name)
    error = column(rows, "se")
    width = (column(rows, "upper") - column(rows, "lower")) / (2 * Z)
    rows = rows.assign(se=error.fillna(width), lower=column(rows, "lower"))
    return rows.assign(upper=column(rows, "upper"))[CHANGE_COLUMNS]
