"""Commands that take tables of predictions or run folders: evaluate, compare and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outcome.commands.console import (
    EntryColumn,
    EventCodes,
    EventColumn,
    PatientColumn,
    Resamples,
    Seed,
    TimeColumn,
    command_line,
    estimate_text,
    interval_text,
    p_text,
    parse_event_codes,
    print_metrics,
    print_table,
    print_treatment,
    say,
)

if TYPE_CHECKING:
    from outcome.predictions import DeclaredColumns
    from outcome.study import Treatment

Tables = Annotated[
    list[Path],
    typer.Argument(metavar="RUN|PRED.csv...", help="Run folders, or tables of predictions."),
]
Unit = Annotated[str | None, typer.Option(help="Unit of the times: days, months or years.")]
Horizons = Annotated[
    str,
    typer.Option(
        metavar="T1,T2", help="Times at which AUC, Brier score and survival are reported."
    ),
]

Favourable = Annotated[
    bool, typer.Option("--favourable", help="The positive label is the better outcome.")
]


def evaluate(
    tables: Tables,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("reports/evaluation"),
    patient: PatientColumn = "",
    time: TimeColumn = "",
    event: EventColumn = "",
    event_codes: EventCodes = "",
    entry: EntryColumn = "",
    unit: Unit = None,
    horizons: Horizons = "",
    risk_groups: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="median, tertiles, shares (0.25,0.75) or maxstat; default: the groups in the"
            " table, else median. For a run, cut-offs come from its development patients.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Arm (model) to compare with. Default: that of the run, else the arm image, else"
            " the first arm."
        ),
    ] = None,
    covariates: Annotated[
        str,
        typer.Option(
            metavar="C1,C2",
            help="Columns for added value and subgroups; every table must have them.",
        ),
    ] = "",
    treatment: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column with two treatments, to test whether their effect depends on the score."
            " Every table must have it.",
        ),
    ] = "",
    treatment_reference: Annotated[
        str,
        typer.Option(metavar="VALUE", help="With --treatment: the reference treatment."),
    ] = "",
    randomised: Annotated[
        bool | None,
        typer.Option(
            "--randomised/--not-randomised",
            help="With --treatment: whether treatment was randomised.",
        ),
    ] = None,
    favourable: Favourable = False,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Evaluate predictions of any tool.

    Writes metrics with intervals, risk groups, figures and the report.

    Columns: patient_id or case_id; time (or time_days, time_months, time_years) and event, or
    label; risk or probability; optional arm, repeat, fold, strata, risk_group, survival_<h>. Other
    names of the first three are given with --patient, --time and --event. With delayed entry,
    --entry names the column of the start of observation. A run folder already defines its endpoint,
    unit, horizons, baseline and covariates.

    Several models: one table each, or a column arm that names the model. Leave fold out only for a
    score that was fixed before these patients were seen. A column that is named by --treatment or
    --covariates has no other role, even if it is called arm.
    """
    from outcome.evaluation.regrouping import read_rule
    from outcome.pipeline.evaluate import evaluate_tables

    found = evaluate_tables(
        tables, out, baseline=baseline, unit=unit, horizons=numbers(horizons), seed=seed,
        risk_groups=None if risk_groups is None else read_rule(risk_groups),
        covariates=_words(covariates), favourable=favourable, n_resamples=resamples,
        columns=_columns(patient, time, event, event_codes, entry),
        treatment=_treatment(treatment, treatment_reference, randomised),
        command=command_line(),
    )  # fmt: skip
    print_metrics(found.evaluation.metrics, found.evaluation.comparisons, found.baseline)
    print_treatment(found.evaluation.tables)
    say(found.evaluation.notes, found.evaluation.warnings)
    if found.simulated:
        typer.echo("These are SIMULATED patients.")
    typer.echo(f"report: {found.report}")


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.csv", help="Predictions of one arm.")],
    b: Annotated[Path, typer.Argument(metavar="B.csv", help="Predictions of the baseline.")],
    patient: PatientColumn = "",
    time: TimeColumn = "",
    event: EventColumn = "",
    event_codes: EventCodes = "",
    entry: EntryColumn = "",
    unit: Unit = None,
    horizons: Horizons = "",
    favourable: Favourable = False,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Also write everything here.")] = None,
) -> None:
    """Compare two tables of predictions of the same patients.

    Prints the difference in each metric, its interval and p.
    """
    from tempfile import TemporaryDirectory

    from outcome.errors import InputError
    from outcome.pipeline.evaluate import evaluate_tables
    from outcome.predictions import arm_names

    if runs := [str(p) for p in (a, b) if p.is_dir()]:
        raise InputError(
            f"{', '.join(runs)}: compare takes two tables, one arm in each. To do: give a table,"
            " or compare the arms of runs with outcome evaluate RUN --baseline ARM"
        )
    names = arm_names([a, b])
    with TemporaryDirectory() as scratch:
        found = evaluate_tables(
            [a, b], out or Path(scratch) / "comparison", baseline=names[b], unit=unit,
            horizons=numbers(horizons), favourable=favourable, n_resamples=resamples, seed=seed,
            columns=_columns(patient, time, event, event_codes, entry), command=command_line(),
        )  # fmt: skip
    changes = found.evaluation.comparisons
    rows = [
        [r.metric, estimate_text(r.difference, "+.4f"), interval_text(r.lower, r.upper, "+.4f"),
         p_text(r.p_value), r.n_patients_common, r.note]
        for r in changes.itertuples()
    ]  # fmt: skip
    head = ["metric", "difference", "95% interval", "p", "patients", "note"]
    print_table(f"{names[a]} minus {names[b]}", head, rows)
    of_groups = found.group_notes
    say(
        [n for n in found.evaluation.notes if not n.startswith(of_groups)],
        [w for w in found.evaluation.warnings if not w.startswith(of_groups)],
    )
    if out is not None:
        typer.echo(f"report: {found.report}")


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders; several for one page.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the page over several runs.")] = None,
    show_ids: Annotated[
        bool,
        typer.Option("--show-ids", help="Show patient ids, and a table of all patients."),
    ] = False,
) -> None:
    """Make the page of a run again, or one page for several runs.

    Trains nothing.
    """
    from outcome.errors import InputError

    if len(runs) == 1:
        if out is not None:
            raise InputError(
                "--out is only for a page over several runs; the page of one run is in its folder"
            )
        from outcome.pipeline.rebuild_report import report as write_report

        typer.echo(f"report: {write_report(runs[0], show_ids=show_ids)}")
        return
    if show_ids:
        raise InputError(
            "--show-ids is only for the page of one run: a page over several runs has no ids"
        )
    from outcome.reporting.multi_cohort import write_cohorts

    made = write_cohorts(runs, out or Path("reports/cohorts"))
    rows = [
        [
            r["arm"],
            f"{r['estimate']:.3f} ({interval_text(r['lower'], r['upper'], '.3f')})",
            r["cohorts"],
        ]
        for r in made.means.to_dict("records")
    ]
    print_table("Mean over cohorts", ["arm", "mean (95% interval)", "cohorts"], rows)
    typer.echo(f"report: {made.path}")


def _columns(patient: str, time: str, event: str, event_codes: str, entry: str) -> DeclaredColumns:
    from outcome.predictions import DeclaredColumns

    return DeclaredColumns(patient, time, event, parse_event_codes(event_codes), entry)


def _treatment(column: str, reference: str, randomised: bool | None) -> Treatment | None:
    from outcome.errors import InputError
    from outcome.study import Treatment

    if not column:
        if reference or randomised is not None:
            raise InputError("--treatment-reference and --randomised need --treatment COLUMN")
        return None
    if not reference or randomised is None:
        raise InputError(
            f"--treatment {column}: also give --treatment-reference VALUE, and --randomised or"
            " --not-randomised"
        )
    return Treatment(column=column, reference=reference, randomised=randomised)


def _words(text: str) -> list[str]:
    return [w.strip() for w in text.split(",") if w.strip()]


def numbers(text: str) -> list[float]:
    """Read `12,36,60`."""
    from outcome.errors import InputError

    try:
        return [float(w) for w in _words(text)]
    except ValueError:
        raise InputError(f"--horizons {text!r}: write numbers, e.g. --horizons 12,36,60") from None
