"""The command line. Only typer is imported at the top, so that help is there at once."""

from __future__ import annotations

import sys

import typer

from outcome.commands import (
    bundles,
    cohorts,
    machine,
    planning,
    simulated,
    studies,
    tables,
    texts,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does this slide, and this report, tell how the patient will do?",
)
for _command in (
    studies.run,
    studies.check,
    tables.evaluate,
    tables.compare,
    texts.embed_reports,
    bundles.fit,
    bundles.predict,
    bundles.validate,
    bundles.attention,
    tables.report,
    simulated.simulate,
    simulated.demo,
    cohorts.init,
    machine.pack,
    machine.doctor,
    planning.power,
):
    app.command()(_command)
app.command("import")(cohorts.import_)


def main() -> None:
    """Run a command; bad input ends with status 2 and one message, never a traceback."""
    from outcome.errors import InputError

    try:
        app()
    except InputError as error:
        sys.stdout.flush()
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        sys.stdout.flush()
        typer.echo(f"error: a file or folder cannot be read or written: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("\nstopped; run the same command again to go on", err=True)
        sys.exit(130)
