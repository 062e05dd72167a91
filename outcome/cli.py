"""The command line. Only typer is imported at the top, so that help appears quickly."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from outcome.commands import (
    bundles,
    embed_reports,
    exports,
    machine,
    planning,
    simulations,
    studies,
    study_files,
    tables,
)
from outcome.commands.console import is_verbose, printed_messages, set_verbosity

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: text in brackets is unchanged, and rich is not imported.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Predict clinical outcomes from slides, pathology reports and clinical data.",
)
ARGUMENT = re.compile(r"`([a-z_]+)=(?:True)?`")
"""The form in which the library names an argument: `out=`."""
# In the order in which new users need them.
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
    "export": exports.export,
    "embed-reports": embed_reports.embed_reports,
    "simulate": simulations.simulate,
    "power": planning.power,
    "pack": machine.pack,
    "doctor": machine.doctor,
}
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Also print details, such as every fit, and tracebacks of errors."
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print only warnings and results, without progress and notes."
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"slide-outcome {version('slide-outcome')}")
        raise typer.Exit


@app.callback()
def _before_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and exit."
        ),
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    set_verbosity(verbose=verbose, quiet=quiet)


def _with_verbosity(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--verbose` and `--quiet` to a command, so that they may also follow its name."""

    @functools.wraps(command)
    def wrapped(*args: Any, verbose: bool, quiet: bool, **options: Any) -> None:
        set_verbosity(verbose=verbose, quiet=quiet)
        command(*args, **options)

    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("verbose", Verbose), ("quiet", Quiet))
    ]
    parameters = [*signature.parameters.values(), *added]
    # Functions have no declared `__signature__`; `inspect` and typer read it.
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


for _name, _command in COMMANDS.items():
    app.command(_name)(_with_verbosity(_command))


def as_options(message: str) -> str:
    """Write the arguments that a message names as the options of a command.

    Examples
    --------
    >>> as_options("give another folder with `out=`, or allow it with `allow_import=True`")
    'give another folder with --out, or allow it with --allow-import'
    """
    return ARGUMENT.sub(lambda m: "--" + m[1].replace("_", "-"), message)


def main() -> None:
    """Run a command. Bad input ends with status 2 and one message, a fault with status 1."""
    from outcome.errors import InputError

    with printed_messages():
        try:
            app(prog_name="outcome")
        except InputError as error:
            _end(2, f"error: {as_options(str(error))}")
        except OSError as error:
            _end(2, f"error: a file or folder cannot be read or written: {error}")
        except KeyboardInterrupt:
            _end(130, "\nstopped; run the same command again to continue")
        except Exception as error:  # noqa: BLE001 - any fault ends with one message
            place = traceback.extract_tb(error.__traceback__)[-1]
            _end(
                1,
                f"error: {type(error).__name__}: {error} ({Path(place.filename).name}, line "
                f"{place.lineno})\nThis is a fault of slide-outcome and not of your input. Please "
                "report it with its traceback (--verbose, or run.log of a run).",
            )


def _end(status: int, message: str) -> None:
    sys.stdout.flush()
    if is_verbose():
        typer.echo(traceback.format_exc(), err=True)
    typer.echo(message, err=True)
    sys.exit(status)
