"""The command line. Only typer is imported at the top, so that help is there at once."""

from __future__ import annotations

import re
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
# In the order in which a new user needs them.
ARGUMENT = re.compile(r"`([a-z_]+)=(?:True)?`")
"""How the library names an argument: `out=`."""
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


def as_options(message: str) -> str:
    """Write the arguments that a message names as the options of a command.

    Examples
    --------
    >>> as_options("name another folder with `out=`, or allow it with `allow_import=True`")
    'name another folder with --out, or allow it with --allow-import'
    """
    return ARGUMENT.sub(lambda m: "--" + m[1].replace("_", "-"), message)


def main() -> None:
    """Run a command; bad input ends with status 2 and one message, never a traceback."""
    from outcome.errors import InputError

    try:
        app()
    except InputError as error:
        sys.stdout.flush()
        typer.echo(f"error: {as_options(str(error))}", err=True)
        sys.exit(2)
    except OSError as error:
        sys.stdout.flush()
        typer.echo(f"error: a file or folder cannot be read or written: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("\nstopped; run the same command again to go on", err=True)
        sys.exit(130)
