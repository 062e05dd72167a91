"""Only the commands name options: whoever calls the library from Python has arguments."""

import ast
import re
from pathlib import Path

import outcome

PACKAGE = Path(outcome.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def strings(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_module_below_the_commands_names_an_option():
    library = [
        p for p in PACKAGE.rglob("*.py")
        if p.parent.name != "commands" and p != PACKAGE / "cli.py"
    ]  # fmt: skip
    assert len(library) > 100
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {option.group()}"
        for path in sorted(library)
        for line, text in strings(path)
        if (option := OPTION.search(text))
    ]
    assert found == []


def test_options_are_recognised():
    assert OPTION.search("give another folder with --out")
    assert not OPTION.search("a dash -- like this, or a--b")
