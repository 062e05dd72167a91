"""Execute notebooks, and keep their outputs small.

`python notebooks/execute.py` runs every notebook in this folder and writes its outputs into it;
`python notebooks/execute.py 01*.ipynb` runs some. Needs the extra `[notebooks]`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
LIMIT = 300_000  # bytes of a notebook with its outputs


def execute(path: Path, *, timeout: int = 600) -> Any:
    """Run a notebook in an empty folder with a cache of its own; return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        kept = os.environ.get("SLIDE_OUTCOME_CACHE")
        os.environ["SLIDE_OUTCOME_CACHE"] = str(Path(folder) / "cache")
        try:
            NotebookClient(
                notebook, timeout=timeout, kernel_name="python3",
                resources={"metadata": {"path": folder}},
            ).execute()  # fmt: skip
        finally:
            os.environ.pop("SLIDE_OUTCOME_CACHE")
            if kept is not None:
                os.environ["SLIDE_OUTCOME_CACHE"] = kept
    return notebook


def tidy(notebook: Any) -> Any:
    """Drop what changes from run to run, and progress on stderr."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                output.pop("metadata", None)
                if output.output_type in ("display_data", "execute_result"):
                    output["metadata"] = {}
    return notebook


def main(paths: list[Path]) -> None:
    """Execute notebooks in place."""
    for path in paths or sorted(HERE.glob("*.ipynb")):
        text = nbformat.writes(tidy(execute(path)))
        if len(text) > LIMIT:
            sys.exit(f"{path.name} would hold {len(text)} bytes; draw smaller figures")
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
