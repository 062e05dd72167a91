"""Writes `report.html` and `figures/` from the files of a run folder."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, select_autoescape
from markupsafe import Markup

from outcome.reporting.drawings import Drawings
from outcome.reporting.folder import Run, read_run
from outcome.reporting.gallery import Gallery, plain_style
from outcome.reporting.glossary import glossary
from outcome.reporting.headline import answers, main_scores
from outcome.reporting.sections import SECTIONS
from outcome.reporting.tables import plural
from outcome.reporting.trust import trust

__all__ = ["write_report"]

TEMPLATES = ("report.html.j2", "blocks.html.j2", "style.css", "script.js")


def write_report(folder: Path, *, show_ids: bool = False) -> Path:
    """Write `report.html`, and `figures/*.png` and `*.svg`, from a run folder alone.

    Parameters
    ----------
    folder : Path
        What a run wrote: `manifest.json` and `predictions.csv` are needed, every other file is
        used where it is there.
    show_ids : bool
        Add a table of all patients. Without it no patient id is on the page: ids in notes,
        warnings and file names are replaced, unless they look like a plain word or number.

    Returns
    -------
    Path
        The page, one self-contained file: it loads nothing.

    Raises
    ------
    RunFolderError
        The folder is not a run folder.
    PredictionsError
        Its predictions cannot be used.
    """
    run = read_run(Path(folder), show_ids=show_ids)
    with plain_style():
        drawings = Drawings(run, Gallery(run.path / "figures"))
        made = [make(run, drawings) for make in SECTIONS]
    html = _render(run, [section for section in made if section is not None])
    target = run.path / "report.html"
    partial = run.path / "report.html.part"
    partial.write_text(html, encoding="utf-8")
    partial.replace(target)
    return target


def _render(run: Run, sections: list[Any]) -> str:
    texts = {name: _template(name) for name in TEMPLATES}
    environment = Environment(
        loader=DictLoader(texts),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = texts["style.css"].strip(), texts["script.js"].strip()
    main, rows = main_scores(run)
    return environment.get_template("report.html.j2").render(
        run=run,
        subtitle=_subtitle(run),
        answers=answers(run),
        trust=trust(run),
        main=main,
        rows=rows,
        glossary=glossary(run, main),
        sections=sections,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def _template(name: str) -> str:
    return (resources.files("outcome.reporting") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Allow this style, this script and inline pictures; nothing else, and no network."""

    def digest(text: str) -> str:
        value = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        return f"'sha256-{value}'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; "
        f"script-src {digest(script)}; base-uri 'none'; form-action 'none'"
    )


def _subtitle(run: Run) -> str:
    end = run.endpoint
    count = f"{plural(run.patients, 'patient')}, {plural(run.events, end.word)}"
    how = f"{run.folds}-fold cross-validation" if run.cross_validated else "one test set"
    repeats = f", {run.repeats} repeats" if run.repeats > 1 else ""
    day = str(run.manifest.get("created") or "")[:10]
    return " · ".join(x for x in (end.name, count, f"{how}{repeats}", day) if x)
