"""The command line. Only typer is imported at the top, so that help is there at once."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from outcome.commands import (
    bundles,
    embed_reports,
    machine,
    planning,
    simulations,
    studies,
    study_files,
    tables,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does this slide, and this report, tell how the patient will do?",
)
# In the order in which a newcomer meets them.
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": simulations.demo,
    "init": study_files.init,
    "import": study_files.import_,
    "check": studies.check,
    "run": studies.run,
    "report": tables.report,
    "evaluate": tables.evaluate,
    "compare": tables.compare,
    "fit": bundles.fit,
    "predict": bundles.predict,
    "validate": bundles.validate,
    "attention": bundles.attention,
    "embed-reports": embed_reports.embed_reports,
    "simulate": simulations.simulate,
    "power": planning.power,
    "pack": machine.pack,
    "doctor": machine.doctor,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


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
