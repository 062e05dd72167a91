"""The documentation site: `sphinx-build -W notebooks notebooks/_build/html`, without a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import outcome  # noqa: E402 - after the path, as `command_reference` is

project = "slide-outcome"
author = "The slide-outcome authors"
project_copyright = "the slide-outcome authors, GPL-3.0-or-later"
version = release = outcome.__version__

extensions = [
    "command_reference",
    "mathml",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
# The first suffix is that of the pages that autosummary writes.
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
default_role = "code"  # docstrings write `name` for code
language = "en"
smartquotes_action = "qe"  # quotes and ellipses only: `--option` must stay as it is typed

# Notebooks hold their outputs, and a test executes them.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}  # from a content delivery network by default
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings give types and shapes
autodoc_member_order = "bysource"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
html_theme = "pydata_sphinx_theme"
html_title = f"slide-outcome {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_search_summary = False  # would fetch pages, which a browser refuses for files
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 2,
    "show_prev_next": True,
}


def _links_within_the_site(app: Any, document: str, source: list[str]) -> None:
    """Lead links to files of the repository to their page here, or keep their text only."""
    folder = (HERE / document).parent

    def lead(link: re.Match[str]) -> str:
        place = (folder / link[2]).resolve()
        if place == HERE.parent / "reports" / "benchmarks.md":
            return f"[{link[1]}](/benchmarks.md{link[3] or ''})"
        return link[0] if place.is_relative_to(HERE) else link[1]

    source[0] = re.sub(r"\[([^\]]+)\]\((\.\./[^)#\s]+)(#[^)\s]+)?\)", lead, source[0])


def setup(app: Any) -> None:
    """Have links rewritten as pages are read."""
    app.connect("source-read", _links_within_the_site)
