"""One model over two processes, started by torchrun as a user would."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from outcome import Study, run
from outcome.crossval.run_changes import claim
from outcome.errors import RunFolderError
from outcome.training.data_parallel import Ranks, WorkersError, device_of_rank

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
MAIN = [sys.executable, "-c", "from outcome.cli import main; main()"]
COMMAND = [*TORCHRUN, "--no-python", *MAIN, "run"]
HELPER = Path(__file__).with_name("ranks_helper.py")
NAMES = ("attention", "abmil", "transformer", "prototypes")


@pytest.fixture
def two(forked):
    """Start a program twice, in processes as torchrun makes them; the words may depend on the rank.

    What torchrun itself does is in the one test that starts it.
    """

    def start(program, *words, of_rank=([], [])):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        group = {
            "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        both = [
            forked(
                program, *words, *own, environment={**group, "RANK": str(k), "LOCAL_RANK": str(k)}
            )
            for k, own in enumerate(of_rank)
        ]
        return [process.wait() for process in both]

    return start


def test_shares_are_even_and_whole():
    sizes = [5, 900, 0, 17, 300, 310, 290]
    shares = [Ranks(rank, 2).share(sizes) for rank in (0, 1)]
    assert sorted(shares[0] + shares[1]) == list(range(7))
    loads = [sum(sizes[row] for row in share) for share in shares]
    assert abs(loads[0] - loads[1]) < 50
    assert Ranks().share(sizes) == list(range(7))


def test_gradient_and_training_of_two_processes_equal_those_of_one(two, forked, tmp_path):
    for done in (*two(HELPER, tmp_path), forked(HELPER, tmp_path).wait()):
        assert done.code == 0, done.err
    one, *both = (torch.load(tmp_path / f"{k}.pt") for k in ("0 of 1", "0 of 2", "1 of 2"))
    for name in NAMES:
        alone = one[name]
        assert alone["gradient"].abs().max() > 0.01
        assert any(alone["without"])
        for found in both:
            away = (found[name]["gradient"] - alone["gradient"]).abs().max()
            assert away < 1e-6 * alone["gradient"].abs().max()
            # What nothing reaches has no gradient, rather than one of zero, which AdamW would use.
            assert found[name]["without"] == alone["without"]
            # Adam divides by the size of a gradient, and so makes rounding visible.
            torch.testing.assert_close(found[name]["raw"], alone["raw"], rtol=0, atol=0.03)
        torch.testing.assert_close(both[0][name]["raw"], both[1][name]["raw"], rtol=0, atol=0)


@pytest.mark.usefixtures("unreported")
def test_a_study_of_two_processes_equals_one(small, tmp_path):
    settings = ["arms=[image, image+report]", "training.epochs=5"]
    words = [*COMMAND, small, "--out", tmp_path / "two", "--set", settings[0], "--set", settings[1]]
    done = subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("18 of 18 fits exist") == 1
    two = run(Study.read(small, settings), out=tmp_path / "two", jobs=1)
    assert two.manifest["fits"] == {"total": 18, "kept": 18, "trained": 0}
    one = run(Study.read(small, settings), out=tmp_path / "one", jobs=1)
    assert two.predictions["patient_id"].tolist() == one.predictions["patient_id"].tolist()
    np.testing.assert_allclose(two.predictions["risk"], one.predictions["risk"], rtol=0, atol=0.003)


def test_processes_with_other_settings_are_refused(small, two, tmp_path):
    other = ["--set", "training.epochs=3"], ["--set", "training.epochs=4"]
    first, second = two("outcome", "run", small, "--out", tmp_path / "x", of_rank=other)
    assert first.code != 0
    assert second.code != 0
    assert "processes of torchrun differ" in first.err
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("unreported")
def test_a_job_killed_right_after_its_claim_can_be_repeated(small, tmp_path):
    study = Study.read(small, ["arms=[image]", "training.epochs=3"])
    claim(tmp_path / "x", study)
    assert run(study, out=tmp_path / "x", jobs=1).manifest["fits"]["trained"] == 6
    # A folder of the user's that holds a study file is none.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_bytes(small.read_bytes())
    with pytest.raises(RunFolderError, match="contains other files"):
        run(study, out=tmp_path / "mine", jobs=1)


@pytest.fixture
def second_of_two(monkeypatch):
    """The second process on a machine; a function says how many GPUs there are."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    return lambda gpus: monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


@pytest.mark.parametrize(
    ("asked", "gpus", "found"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda:1"), ("cuda", 2, "cuda:1"), ("cpu", 2, "cpu")],
)
def test_each_process_has_a_device_of_its_own(second_of_two, asked, gpus, found):
    second_of_two(gpus)
    assert device_of_rank(asked) == found


@pytest.mark.parametrize(
    ("asked", "gpus", "said"),
    [
        ("cuda", 1, "2 processes for 1 GPUs"),
        ("cuda:0", 2, "give auto, cpu"),
        ("mps", 0, "give auto"),
    ],
)
def test_devices_that_would_be_shared_are_refused(second_of_two, asked, gpus, said):
    second_of_two(gpus)
    with pytest.raises(WorkersError, match=said):
        device_of_rank(asked)


def test_bad_input_is_said_once(small, two, tmp_path):
    both = two("outcome", "run", small, "--out", tmp_path / "x", "--set", "cohort=nowhere.csv")
    assert all(done.code != 0 for done in both)
    said = "".join(done.err for done in both)
    assert said.count("error: ") == 1, said
    assert "nowhere.csv" in said
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("option", [["--shard", "1/2"], ["--permutations", "199"]])
def test_what_is_for_other_runs_is_refused(small, tmp_path, option, outcome, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    done = outcome("run", small, "--out", tmp_path / "x", *option)
    assert done.code == 2
    assert "torchrun only trains" in done.err
