import re
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import typer

from outcome.cli import app
from outcome.commands.console import LOGGER, printed_messages, say, set_verbosity

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_help_names_the_commands(outcome):
    done = outcome("--help")
    assert done.code == 0
    for command in ("run", "check", "simulate", "demo"):
        assert command in done.out


COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", COMMANDS)
def test_conventions_of_every_command(outcome, name):
    """Each parameter has a help text, none of which is lost or cut; -h, -q and -v are there."""
    short, long = outcome(name, "-h"), outcome(name, "--help")
    assert short.code == 0
    assert short.out == long.out
    shown = " ".join(short.out.split())
    assert "-h, --help Show this message" in shown
    assert "-v, --verbose" in shown
    assert "-q, --quiet" in shown
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert " ".join(parameter.help.split()) in shown.replace("- ", "-"), parameter.name
    assert not re.search(r"--\S+ <bool>", shown)


def test_the_list_of_commands_cuts_no_sentence(outcome):
    listed = outcome("--help").out.partition("Commands:")[2].strip().splitlines()
    assert len(listed) == len(COMMANDS)
    assert not [line for line in listed if line.endswith("...")]


def test_version(outcome):
    assert outcome("--version").out == f"slide-outcome {version('slide-outcome')}\n"


@pytest.mark.parametrize(("before", "after"), [([], []), (["-q"], []), ([], ["--quiet"])])
def test_quiet_leaves_out_progress(outcome, tmp_path, before, after):
    done = outcome(
        *before, "simulate", tmp_path / "c", "--patients", 20, "--patches", 5, "--dimension", 16,
        *after,
    )  # fmt: skip
    assert done.code == 0
    assert "next: outcome run" in done.out
    assert bool(done.err) is not bool(before or after)


def test_quiet_leaves_out_notes(capsys):
    with printed_messages():
        say(["loud"], [])
        set_verbosity(verbose=False, quiet=True)
        say(["quiet"], ["few events"])
        LOGGER.info("found 3 fits")
        LOGGER.warning("a leak")
    assert capsys.readouterr().out == "note: loud\nwarning: few events\nwarning: a leak\n"


def test_verbose_shows_where_an_error_came_from(outcome):
    plain, verbose = outcome("evaluate", "none.csv"), outcome("evaluate", "none.csv", "-v")
    assert plain.code == verbose.code == 2
    assert "Traceback" not in plain.err
    assert "Traceback" in verbose.err
    assert verbose.err.endswith(plain.err)
    both = outcome("-v", "evaluate", "none.csv", "-q", "-v")
    assert both.code == 2
    assert "--verbose and --quiet exclude each other" in both.err


def test_commands_and_options_are_completed(outcome, monkeypatch):
    monkeypatch.setenv("_OUTCOME_COMPLETE", "complete_bash")
    for line, found in (("outcome ev", "evaluate"), ("outcome fit --without", "--without-fold")):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        assert outcome().out.split() == [found]


def test_help_imports_nothing_heavy():
    code = (
        "import sys, outcome.cli, outcome;"
        "heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_check_says_that_a_study_can_be_run(small, outcome):
    done = outcome("check", small)
    assert done.code == 0, done.err
    assert "Cohort flow" in done.out
    assert "patches: total" in done.out
    assert f"{small}: no problems found. Next: outcome run {small}" in done.out


def test_simulate_as_typed(outcome, tmp_path):
    done = outcome(
        "simulate", tmp_path / "c", "--endpoint", "response", "--patients", 20, "--patches", 5,
        "--dimension", 16,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert f"next: outcome run {tmp_path / 'c' / 'study.yaml'}" in done.out


def test_demo_is_resumed(outcome, tmp_path):
    """The demo itself is run by CI as a newcomer runs it; here on what it has made before."""
    from outcome.simulation.simulate import Simulation, simulate

    study = simulate(tmp_path / "cohort", Simulation(patients=40, patches=10, dimension=16))
    text = study.read_text()
    study.write_text(
        text.replace("folds: 5", "folds: 2\n  inner_folds: 2")
        + "training: {epochs: 2, components: 8}\n"
    )
    done = outcome("demo", "--out", tmp_path, "--jobs", 1)
    assert done.code == 0, done.err
    assert "SIMULATED" in done.out
    assert "image+report" in done.out
    assert (tmp_path / "run" / "report.html").is_file()
    # The page shows probabilities at one and two years.
    metrics = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert {"auc_365", "auc_730", "brier_365", "brier_730"} <= set(metrics["metric"])


def test_a_folder_may_be_an_argument_or_an_option(outcome, tmp_path):
    for command in ("demo", "simulate"):
        done = outcome(command, tmp_path / "a", "--out", tmp_path / "b")
        assert done.code == 2
        assert "as an argument and with --out" in done.err
    assert "give a new folder" in outcome("simulate").err
    done = outcome("simulate", "--out", tmp_path / "c", "--patients", 20, "--patches", 5)
    assert done.code == 0, done.err
    assert (tmp_path / "c" / "study.yaml").is_file()


def test_the_readme_names_commands_that_exist():
    named = set(re.findall(r"`outcome ([a-z][a-z-]*)", README))
    named |= set(re.findall(r"^outcome ([a-z][a-z-]*)", README, flags=re.M))
    assert named >= {"run", "check", "init"}
    assert named <= set(COMMANDS)


def test_the_study_file_of_the_readme_is_valid(tmp_path):
    from outcome import Study

    block = re.search(r"```yaml\n(.*?)```", README, flags=re.S).group(1)
    (tmp_path / "study.yaml").write_text(block)
    study = Study.read(tmp_path / "study.yaml")
    assert [a.name for a in study.arms] == ["image", "report", "image+report"]


def test_yes_and_no_are_codes_as_the_guide_writes_them(outcome, tmp_path):
    guide = (ROOT / "notebooks/how_to/dates_and_codes.md").read_text(encoding="utf-8")
    assert "{kind: binary, label: relapse, positive: yes}" in guide
    done = outcome(
        "simulate", tmp_path / "c", "--endpoint", "relapse", "--patients", 40, "--patches", 5,
        "--dimension", 16,
    )  # fmt: skip
    assert done.code == 0
    spec = "endpoint={kind: binary, label: relapse, positive: yes}"
    done = outcome("check", tmp_path / "c" / "study.yaml", "--set", spec)
    assert done.code == 0, done.err


def test_help_is_there_in_half_a_second():
    """Processor time of the whole process: a busy machine makes no difference."""
    code = "import sys; sys.argv = ['outcome', '--help']; from outcome.cli import main; main()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.5, f"{used:.2f} s"


def test_evaluate_does_not_import_torch(tmp_path):
    rows = ["patient_id,time,event,risk"]
    rows += [f"p{i},{i + 1},{i % 2},{-i + 3 * (i % 3)}" for i in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    words = ["outcome", "evaluate", "a.csv", "--unit", "days", "--resamples", "20", "--out", "out"]
    code = (
        f"import sys; sys.argv = {words}\n"
        "from outcome.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_fault_of_the_program_is_one_message_that_says_so(outcome, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("outcome.pipeline.evaluate.evaluate_tables", broken)
    monkeypatch.setattr("outcome.evaluate", broken, raising=False)
    plain, verbose = outcome("evaluate", "none.csv"), outcome("evaluate", "none.csv", "-v")
    assert plain.code == verbose.code == 1
    assert "Traceback" not in plain.err
    assert "error: ZeroDivisionError: division by zero (test_cli.py, line " in plain.err
    assert "a fault of slide-outcome" in plain.err
    assert "Traceback" in verbose.err
