"""Builds a page from its template: one file without external resources."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from outcome.reporting.page.blocks import Answer, Fact, Picture, ReportSection

__all__ = ["Page", "render", "write_page"]

TEMPLATES = ("report.html.j2", "blocks.html.j2", "style.css", "script.js")


@dataclass(frozen=True)
class Page:
    """Content of a page.

    Parameters
    ----------
    title, subtitle : str
    sections : sequence of ReportSection
    answers : sequence of Answer
        The first screen.
    headline : sequence of (str, Picture)
        The figures of the first screen, each with a title; their captions are in the chapters.
    trust : sequence of Fact
        Points for and against the results.
    glossary : sequence of (str, str)
    simulated : bool
        Whether the data are simulated.
    """

    title: str
    subtitle: str
    sections: Sequence[ReportSection]
    answers: Sequence[Answer] = ()
    headline: Sequence[tuple[str, Picture]] = ()
    trust: Sequence[Fact] = ()
    glossary: Sequence[tuple[str, str]] = field(default_factory=list)
    simulated: bool = False


def render(page: Page) -> str:
    """Return the page as HTML; all values are escaped."""
    style, script = _template("style.css").strip(), _template("script.js").strip()
    template = _environment().get_template("report.html.j2")
    return template.render(
        page=page,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def breakable(text: str) -> Markup:
    """Allow a line to break after a plus, so that names of arms do not break inside a word."""
    return Markup("+<wbr>").join(escape(part) for part in str(text).split("+"))


def write_page(path: Path, html: str) -> Path:
    """Write a page atomically: readers see the old page or the new one."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(html, encoding="utf-8")
    partial.replace(path)
    return path


@cache
def _environment() -> Environment:
    """Make the environment once: to compile the templates takes longer than to fill them."""
    environment = Environment(
        loader=DictLoader({name: _template(name) for name in TEMPLATES}),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


@cache
def _template(name: str) -> str:
    return (resources.files("outcome.reporting") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Allow only this style, this script and inline pictures, and no network access."""

    def digest(text: str) -> str:
        value = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        return f"'sha256-{value}'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; "
        f"script-src {digest(script)}; base-uri 'none'; form-action 'none'"
    )
