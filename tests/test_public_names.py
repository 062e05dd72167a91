"""What `import outcome` offers, how fast, and how it is found."""

import inspect
import pydoc
import subprocess
import sys

import pytest

import outcome

MODULES = ["metrics", "models", "plotting", "testing"]


def test_dir_is_what_is_public():
    assert dir(outcome) == sorted(outcome.__all__)
    for module in ("metrics", "models", "plotting"):
        found = getattr(outcome, module)
        assert set(found.__all__) <= set(dir(found))
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        outcome.fitt  # noqa: B018


def test_import_is_quick_and_without_torch():
    code = (
        "import sys, time; start = time.process_time(); import outcome;"
        "took = time.process_time() - start; dir(outcome);"
        "assert not {'torch', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules);"
        "assert took < 0.2, took;"
        "outcome.evaluate, outcome.metrics, outcome.plotting, outcome.SlideDataset;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_is_a_tour():
    text = pydoc.render_doc(outcome, renderer=pydoc.plaintext)
    for word in ("cross_validate", "MILCox", "SlideDataset", "plotting.kaplan_meier", ">>> "):
        assert word in text.split("PACKAGE CONTENTS")[0]


@pytest.mark.parametrize(
    "name", [n for n in outcome.__all__ if n not in MODULES] + [f"metrics.{n}" for n in
             outcome.metrics.__all__] + [f"plotting.{n}" for n in outcome.plotting.__all__]
)  # fmt: skip
def test_every_public_name_is_documented(name):
    found = outcome
    for part in name.split("."):
        found = getattr(found, part)
    doc = inspect.getdoc(found)
    assert doc
    if inspect.isfunction(found):
        missing = [p for p in inspect.signature(found).parameters if p not in doc]
        assert not missing or "as for `" in doc or "Parameters and result" in doc, missing
