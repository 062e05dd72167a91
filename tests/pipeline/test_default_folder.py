"""The folder of results if none is given."""

from pathlib import Path

import pytest

from outcome.errors import RunFolderError
from outcome.pipeline.prepare import default_folder
from outcome.study import Study


def study(reports):
    parts = {
        "name": "s",
        "cohort": "c.csv",
        "endpoint": {"kind": "survival", "time": "t", "event": "e"},
        "embeddings": {"patches": "features", "reports": {"texts": reports}},
        "arms": ["image"],
    }
    return Study.parse(parts, folder=Path.cwd())


def test_results_are_not_written_among_report_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    assert default_folder(study("texts"), "-bundle") == Path("reports/s-bundle")
    with pytest.raises(RunFolderError, match=r"reports/ contains inputs of this study.*`out=`"):
        default_folder(study("reports"))
