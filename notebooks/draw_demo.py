"""Draw the picture of the README: the demonstration's Kaplan-Meier curves and forest plot.

`python notebooks/draw_demo.py [FOLDER]` writes `_static/demo.png` from the results in FOLDER, the
one that `outcome demo FOLDER` wrote; without FOLDER it runs the demonstration first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from outcome.plotting import plot_forest, plot_kaplan_meier
from outcome.plotting.palette import arm_colours

PICTURE = Path(__file__).parent / "_static" / "demo.png"
ARM = "image+report"


def run_demo(folder: Path) -> None:
    """Run `outcome demo` into a folder."""
    program = Path(sys.executable).with_name("outcome")
    subprocess.run([program, "demo", folder], check=True)


def draw(run: Path) -> plt.Figure:
    """Draw both panels from a run folder, with the test that the run has computed."""
    predictions = pd.read_csv(run / "predictions.csv", dtype={"patient_id": str})
    groups = pd.read_csv(run / "risk_groups.csv").query("arm == @ARM")
    metrics = pd.read_csv(run / "metrics.csv").query("metric == 'harrell_c'")
    figure, axes = plt.subplots(
        1, 2, figsize=(9.6, 3.9), width_ratios=[1.15, 1], layout="constrained"
    )
    plot_kaplan_meier(
        predictions.query("arm == @ARM"),
        axes[0],
        unit="days",
        time_unit="years",
        groups=list(groups["group"]),
        note=f"log-rank p = {groups['logrank_p'].iloc[0]:.2g}",
    )
    rows = metrics.rename(columns={"arm": "label"})
    plot_forest(
        rows,
        axes[1],
        xlabel="C-index (95% interval)",
        reference=0.5,
        colours=arm_colours(list(rows["label"])),
    )
    return figure


def main(words: list[str]) -> None:
    """Draw and save."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(words[0]) if words else Path(scratch) / "demo"
        if not words:
            run_demo(folder)
        run = next(folder.rglob("predictions.csv")).parent
        draw(run).savefig(PICTURE, dpi=130)


if __name__ == "__main__":
    main(sys.argv[1:])
