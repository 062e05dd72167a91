"""Pages about a topic: their Python examples run."""

from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize(
    "page",
    [
        "competing_risks.md",
        "delayed_entry.md",
        "file_formats.md",
        "individual_uncertainty.md",
        "treatment.md",
    ],
)
def test_the_examples_of_a_page_run(page, blocks_of, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of(NOTEBOOKS / page, "python")
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {"__name__": "page"})
    assert capsys.readouterr().out
