import time

import pytest
import yaml

from outcome import Study
from outcome.errors import StudyError
from outcome.yamlfile import dump_yaml, load_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)
)
MERGES = "m0: &m0 {k: 1}\n" + "".join(
    f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}, *m{i - 1}]}}\n" for i in range(1, 40)
)


def test_words_and_numbers():
    text = "[yes, no, on, 00123, 12:30, 1_000, 1e3, 1.5, -3, 0x1F, true, null, .5, 010]"
    assert load_yaml(text) == [
        "yes", "no", "on", "00123", "12:30", "1_000", 1000.0, 1.5, -3, 31, True, None, 0.5, "010",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    ["yes", "00123", "12:30", "1e3", "1_000", "010", "=", "~", "", "a: b", "# c", "K\u00f6ln"],
)
def test_text_comes_back_as_text(value):
    for inline in (False, True):
        assert load_yaml(dump_yaml({"k": value}, inline=inline)) == {"k": value}
        assert yaml.safe_load(dump_yaml({"k": value}, inline=inline)) == {"k": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b", "'name' is given twice"),
        ("endpoint: {kind: survival, kind: binary}", "'kind' is given twice"),
        (BOMB, "expand"),
        (MERGES, "expand"),
        ("a: &a [*a]", "contains itself"),
        ("a: [" + "1," * 30_000 + "1]", "more than 20,000 entries"),
        ("a: '" + "x" * 600_000 + "'", "larger than"),
        ("a: " + "1:" * 200_000 + "1", "unknown key"),
        ("a: " + "9" * 400_000, "missing|unknown"),
        ("[" * 100_000, "not valid YAML"),
        ("{" * 100_000, "not valid YAML"),
        ("!!python/object/apply:os.system ['touch harm']", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
    ],
    ids=range(13),
)
def test_hostile_study_files(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    started = time.monotonic()
    with pytest.raises(StudyError, match=message):
        Study.read(tmp_path / "study.yaml")
    assert time.monotonic() - started < 10


def test_aliases_that_save_typing_are_fine():
    assert load_yaml("a: &a {k: [1, 2]}\nb: {<<: *a, c: 3}\nd: *a")["b"] == {"k": [1, 2], "c": 3}
