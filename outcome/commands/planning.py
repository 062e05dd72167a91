"""Commands that plan a study: power."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outcome.commands.console import Set, StudyFile, print_table, progress_bars


def power(
    study: StudyFile,
    baseline_c: Annotated[float, typer.Option(help="C-index (or AUROC) of the baseline.")],
    arm_c: Annotated[float, typer.Option(help="C-index (or AUROC) of the other arm.")],
    correlation: Annotated[
        float | None,
        typer.Option(
            help="Correlation of the scores; default: the better score contains the information of "
            "the other."
        ),
    ] = None,
    target: Annotated[float, typer.Option(help="Target power.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Two-sided significance level.")] = 0.05,
    sizes: Annotated[
        str, typer.Option(metavar="N1,N2", help="Numbers of patients to simulate.")
    ] = "100,200,400,800,1600",
    simulations: Annotated[int, typer.Option(help="Cohorts per size.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the table here (csv).")] = None,
    set_: Set = None,
) -> None:
    """Estimate the number of patients needed to compare two arms.

    Cohorts are simulated, with the event rate and censoring of the study's cohort table; embeddings
    are not needed.
    """
    from outcome import Study
    from outcome.simulation.power import ExpectedDifference
    from outcome.simulation.power import power as simulate

    read = Study.read(study, set_ or [])
    wanted = ExpectedDifference(
        baseline=baseline_c, arm=arm_c, correlation=correlation, alpha=alpha, target=target
    )
    with progress_bars() as progress:
        found = simulate(
            read, wanted, sizes=_sizes(sizes), simulations=simulations, seed=seed,
            progress=lambda done, total: progress("simulating", done, total),
        )  # fmt: skip
    rows = [
        [r.patients, f"{r.events:.0f}", f"{r.difference:+.3f} ± {r.half_width:.3f}",
         f"{r.power_held_out:.0%}", f"{r.power_cross_validated:.0%}"]
        for r in found.table.itertuples()
    ]  # fmt: skip
    head = ["patients", "events", "difference ± half of its 95% interval", "power, held out",
            "power, cross-validated"]  # fmt: skip
    print_table(f"{arm_c:g} against {baseline_c:g}, simulated", head, rows)
    for kind, n in found.needed.items():
        name = kind.replace("_", "-" if kind.startswith("cross") else " ")
        if n is None:
            typer.echo(f"{name}: no simulated size has a power of {target:.0%}; try larger --sizes")
        else:
            bound = "at most " if n == found.table["patients"].min() else "about "
            events = found.events(n)
            typer.echo(f"{name}: {bound}{n} patients ({events} events) for a power of {target:.0%}")
    typer.echo(
        f"assumptions: the scores have a correlation of {found.correlation:.2f}, and the arms "
        "reach these values with these numbers of patients. In cross-validation the standard "
        "error is taken to be 1.14 to 1.29 times as large (as measured), because folds share "
        "training patients"
    )
    if read.endpoint.strata:
        typer.echo(
            f"strata ({read.endpoint.strata}) are not simulated. A run compares only patients of "
            "the same stratum, so more patients are needed"
        )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        found.table.to_csv(out, index=False)


def _sizes(text: str) -> list[int]:
    from outcome.errors import InputError

    try:
        return [int(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise InputError(f"--sizes {text!r}: write numbers, e.g. --sizes 100,200,400") from None
