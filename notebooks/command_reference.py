"""Sphinx extension: write `reference/commands.md` from the commands themselves, at each build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HEAD = """\
# Commands

Made from the program at each build of these pages. `outcome COMMAND -h` prints the same. Three
options belong to every command: `-h` prints its help, `-q` leaves out progress and notes, and `-v`
adds details (every fit; for an error, its traceback). `outcome --version` prints the version.
`outcome --install-completion` installs completion for your shell.

Exit status 0 means success. Status 2 means that the input cannot be used: the message names file,
column and rows, and nothing has been written. Status 1 is any other failure.

"""
EVERYWHERE = {"verbose", "quiet"}


def page() -> str:
    """Write the page: each command with its arguments, options and defaults."""
    from typer.main import get_command

    from outcome.cli import app

    group: Any = get_command(app)
    return HEAD + "\n\n".join(_section(name, command) for name, command in group.commands.items())


def _section(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## outcome {name}", "", (command.help or "").strip(), ""]
    lines += ["```text", f"outcome {name} {usage}", "```", ""]
    lines += ["| argument or option | meaning |", "|---|---|"]
    for parameter in command.params:
        if parameter.name not in EVERYWHERE:
            names, meaning = parameter.get_help_record(context)
            lines.append(f"| `{_cell(names)}` | {_cell(meaning)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write(app: Sphinx) -> None:
    """Write the page where it has changed."""
    target = Path(app.srcdir) / "reference" / "commands.md"
    text = page()
    if not target.exists() or target.read_text("utf-8") != text:
        target.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before Sphinx looks for sources."""
    app.connect("builder-inited", write, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
