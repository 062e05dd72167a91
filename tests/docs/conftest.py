"""Reads commands and code out of the project's pages, so that tests can execute them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(outcome [a-z][^`]*)`")
LOOP = re.compile(r"for (\w+) in ([^;]+); do (.+); done")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language; an empty one for blocks without."""
    return [text for found, text in FENCE.findall(page.read_text("utf-8")) if found == language]


def commands(page: Path, substitutions: dict[str, str]) -> Iterator[list[str]]:
    """Yield every `outcome` command of a page, as words, in the order of the page.

    Those in fenced blocks (chains and loops taken apart), and those within a sentence that have an
    argument. `substitutions` replaces text of a command before it is taken apart.
    """
    text = page.read_text("utf-8")
    spans = [(m.start(), line) for m in FENCE.finditer(text) if not m[1] for line in lines(m[2])]
    outside = FENCE.sub(lambda m: " " * len(m[0]), text)
    spans += [(m.start(), m[1]) for m in INLINE.finditer(outside)]
    for _, line in sorted(spans, key=lambda s: s[0]):
        for old, new in substitutions.items():
            line = line.replace(old, new)
        for command in unrolled(line):
            words = shlex.split(command, comments=True)
            if len(words) > 2 and words[0] == "outcome":
                yield words[1:]


def lines(block: str) -> list[str]:
    """Return the lines of a block, continued ones joined."""
    return block.replace("\\\n", " ").splitlines()


def unrolled(line: str) -> Iterator[str]:
    """Yield the commands of a chain or a loop."""
    if loop := LOOP.search(line):
        name, values, body = loop.groups()
        for value in values.split():
            yield from unrolled(body.replace(f"${name}", value))
    else:
        yield from (part.strip() for part in line.split("&&"))


@pytest.fixture
def commands_of():
    """Yield the commands of a page."""
    return commands


@pytest.fixture
def blocks_of():
    """Return the fenced blocks of a page."""
    return blocks
