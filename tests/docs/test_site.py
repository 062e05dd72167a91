"""What the site is made of: generated pages, and a place for every page. CI builds it."""

import importlib.util
import re
from pathlib import Path

import pytest

from outcome.cli import COMMANDS

DOCS = Path(__file__).parents[2] / "notebooks"
SECTIONS = ["get_started", "how_to", "concepts", "reference"]


def load(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_its_section():
    pytest.importorskip("sphinx")  # of the extra `docs`, with which CI runs the tests
    text = load("command_reference").page()
    assert re.findall(r"^## outcome (\S+)$", text, re.MULTILINE) == list(COMMANDS)
    assert "| `--set KEY=VALUE` |" in text
    assert "patho-bench\\|panther" in text  # a bar inside a cell of a table


def test_every_public_name_is_in_the_reference():
    import outcome

    text = (DOCS / "reference" / "api.md").read_text("utf-8")
    listed = set(re.findall(r"^   ([\w.]+)$", text, re.MULTILINE))
    modules = ["metrics", "plotting", "models", "testing"]
    wanted = {n for n in outcome.__all__ if n not in modules}
    for module in modules:
        wanted |= {f"{module}.{n}" for n in getattr(outcome, module).__all__}
    assert listed == wanted


def test_every_page_has_its_place():
    """A page is in exactly one table of contents."""
    placed = []
    for index in [DOCS / "index.md", *(DOCS / s / "index.md" for s in SECTIONS)]:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", index.read_text("utf-8"), re.DOTALL):
            lines = [line for line in block.splitlines() if line and not line.startswith(":")]
            entries = [line.split("<")[-1].rstrip(">") for line in lines]
            placed += [(index.parent / entry).resolve() for entry in entries]
    assert len(placed) == len(set(placed))
    pages = [p for p in DOCS.glob("*/*.md") if p.parent.name in SECTIONS]
    pages += [*DOCS.glob("*.md"), *DOCS.glob("*.ipynb")]
    missing = {p.with_suffix("") for p in pages} - set(placed) - {DOCS / "index"}
    assert not missing
