"""One model over two processes, started by torchrun as a user would."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from outcome import Study, run
from outcome.training.ranks import Ranks

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
MAIN = [sys.executable, "-c", "from outcome.cli import main; main()"]
COMMAND = [*TORCHRUN, "--no-python", *MAIN, "run"]
HELPER = Path(__file__).with_name("ranks_helper.py")
NAMES = ("attention", "abmil", "transformer", "prototypes")


def start(words):
    return subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, timeout=300, check=False
    )


def test_shares_are_even_and_whole():
    sizes = [5, 900, 0, 17, 300, 310, 290]
    shares = [Ranks(rank, 2).share(sizes) for rank in (0, 1)]
    assert sorted(shares[0] + shares[1]) == list(range(7))
    loads = [sum(sizes[row] for row in share) for share in shares]
    assert abs(loads[0] - loads[1]) < 50
    assert Ranks().share(sizes) == list(range(7))


def test_gradient_and_training_of_two_processes_equal_those_of_one(tmp_path):
    for words in ([*TORCHRUN, HELPER, tmp_path], [sys.executable, HELPER, tmp_path]):
        done = start(words)
        assert done.returncode == 0, done.stderr
    one, *both = (torch.load(tmp_path / f"{k}.pt") for k in ("0 of 1", "0 of 2", "1 of 2"))
    for name in NAMES:
        alone = one[name]
        assert alone["gradient"].abs().max() > 0.01
        for found in both:
            away = (found[name]["gradient"] - alone["gradient"]).abs().max()
            assert away < 1e-6 * alone["gradient"].abs().max()
            # Adam divides by the size of a gradient, and so makes rounding visible.
            torch.testing.assert_close(found[name]["raw"], alone["raw"], rtol=0, atol=0.03)
        torch.testing.assert_close(both[0][name], both[1][name], rtol=0, atol=0)


def test_a_study_of_two_processes_equals_one(small, tmp_path):
    settings = ["arms=[image, image+report]", "training.epochs=5"]
    words = [*COMMAND, small, "--out", tmp_path / "two", "--set", settings[0], "--set", settings[1]]
    done = start(words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report:") == 1
    one = run(Study.read(small, settings), out=tmp_path / "one", jobs=1)
    two = pd.read_csv(tmp_path / "two" / "predictions.csv", dtype={"patient_id": str})
    assert two["patient_id"].tolist() == one.predictions["patient_id"].tolist()
    np.testing.assert_allclose(two["risk"], one.predictions["risk"], rtol=0, atol=0.003)
    # A second run finds every fit, whether by one process or two.
    again = run(Study.read(small, settings), out=tmp_path / "two", jobs=1)
    assert again.manifest["fits"]["trained"] == 0


def test_bad_input_is_said_once(small, tmp_path):
    done = start([*COMMAND, small, "--out", tmp_path / "x", "--set", "cohort=nowhere.csv"])
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1, done.stderr
    assert "nowhere.csv" in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("option", [["--shard", "1/2"], ["--cluster", "tcp://127.0.0.1:1"]])
def test_other_ways_to_share_work_are_refused(small, tmp_path, option):
    done = start([*COMMAND, small, "--out", tmp_path / "x", *option])
    assert done.returncode != 0
    assert "torchrun already shares the work" in done.stderr
