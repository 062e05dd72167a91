"""Draw figures/delayed_entry.svg, and print the biases that delayed_entry.md gives.

A registry is simulated many times: of a source population, patients come under observation late,
and those who had the event before are never seen. Estimates that ignore the entry (naive) and those
that allow for it are compared with the truth in the source population.
`python notebooks/delayed_entry_figure.py` takes about a minute.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from outcome.statistics.concordance import concordance, harrell
from outcome.statistics.cox import fit_cox
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.risk_sets import number_at_risk

HERE = Path(__file__).parent
REPETITIONS, PATIENTS, HORIZON = 300, 500, 24.0
EFFECT, SHAPE, SCALE = 0.8, 1.2, 36.0
GRID = np.linspace(0, 60, 61)
TIMES = np.linspace(0.25, 108, 432)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Patients:
    """Score, entry, end of follow-up (months) and whether it ended with the event."""

    score: Array
    entry: Array
    time: Array
    event: NDArray[np.bool_]


def draw(n: int, rng: np.random.Generator, *, late: float) -> Patients:
    """Draw n patients who are seen; a share `late` of the source population may enter late."""
    size = 4 * n
    score = rng.normal(size=size)
    time = SCALE * (rng.exponential(size=size) / np.exp(EFFECT * score)) ** (1 / SHAPE)
    entry = np.where(rng.random(size) < late, rng.uniform(0, 36, size), 0.0)
    stop = entry + rng.uniform(6, 72, size)
    seen = np.flatnonzero(time > entry)[:n]
    end = np.minimum(time, stop)
    return Patients(score[seen], entry[seen], end[seen], (time <= stop)[seen])


def estimates(p: Patients, entry: Array | None) -> dict[str, Any]:
    """Survival on the grid and at the horizon, C and log hazard ratio."""
    curve = kaplan_meier(p.time, p.event, entry)
    return {
        "curve": curve.at(GRID),
        "S": float(curve.at(HORIZON)),
        "C": harrell(p.time, p.event, p.score, entry=entry).c,
        "log HR": float(fit_cox(p.time, p.event, p.score, entry=entry).coef[0]),
    }


def at_the_same_times(population: Patients, at_risk: Array) -> float:
    """C of the population with as many pairs at each time as a registry has.

    The pairs of an event at t grow with the square of the number at risk at t.
    """
    share = at_risk / np.maximum(number_at_risk(population.time, TIMES), 1)
    weight = np.interp(population.time, TIMES, share) ** 2
    return concordance(population.time, population.event, population.score, weight=weight).c


def say(line: str) -> None:
    """Write a line of results."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Simulate, print and draw."""
    rng = np.random.default_rng(20261125)
    everybody = draw(20_000, rng, late=0.0)
    truth = estimates(everybody, None) | {"log HR": EFFECT}
    found: dict[str, list[dict[str, Any]]] = {"naive": [], "with entry": []}
    shares, at_risk = [], np.zeros(len(TIMES))
    for _ in range(REPETITIONS):
        p = draw(PATIENTS, rng, late=0.7)
        shares.append(float((p.entry > 0).mean()))
        at_risk += number_at_risk(p.time, TIMES, p.entry) / REPETITIONS
        found["naive"].append(estimates(p, None))
        found["with entry"].append(estimates(p, p.entry))
    truth["C from the origin"] = truth["C"]
    truth["C"] = at_the_same_times(everybody, at_risk)
    say(f"C of the source population, followed from the origin: {truth['C from the origin']:.3f}")
    say(f"{REPETITIONS} registries of {PATIENTS} patients, {np.mean(shares):.0%} entered late")
    for name in ("S", "C", "log HR"):
        say(f"{name}: truth {truth[name]:.3f}")
        for way, rows in found.items():
            values = np.array([r[name] for r in rows])
            error = values.std(ddof=1) / np.sqrt(len(values))
            bias = values.mean() - truth[name]
            say(f"  {way}: mean {values.mean():.3f}, bias {bias:+.4f} (simulation SE {error:.4f})")
    plot(truth, found)


def plot(truth: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> None:
    """Survival on the left, errors of the concordance on the right."""
    colours = {"naive": "#c4552d", "with entry": "#2f6f9f"}
    labels = {"naive": "entry ignored", "with entry": "risk sets with entry"}
    figure = Figure(figsize=(7.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    for way, rows in found.items():
        curves = np.array([r["curve"] for r in rows])
        low, high = np.quantile(curves, [0.025, 0.975], axis=0)
        left.fill_between(GRID, low, high, color=colours[way], alpha=0.18, linewidth=0)
        left.plot(GRID, curves.mean(axis=0), color=colours[way], label=labels[way], linewidth=1.8)
    left.plot(GRID, truth["curve"], "--", color="0.15", label="source population", linewidth=1.4)
    left.set(xlim=(0, 60), ylim=(0, 1.02), xlabel="Time (months)", ylabel="Probability of no event")
    left.legend(frameon=False, fontsize=8)
    for k, (way, rows) in enumerate(found.items()):
        error = np.array([r["C"] for r in rows]) - truth["C"]
        right.boxplot(
            [error], positions=[k], widths=0.5, showfliers=False, patch_artist=True,
            boxprops={"facecolor": colours[way], "alpha": 0.35}, medianprops={"color": "0.15"},
        )  # fmt: skip
    right.axhline(0, linestyle="--", color="0.15", linewidth=1)
    right.set(xlim=(-0.6, 1.6), ylabel="Error of the C-index")
    right.set_xticks([0, 1], ["entry\nignored", "risk sets\nwith entry"])
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    (HERE / "figures").mkdir(exist_ok=True)
    figure.savefig(HERE / "figures" / "delayed_entry.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
