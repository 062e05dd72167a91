"""A cross-fitted study of 25 fits beside a plain five-fold run of torchmil: seconds of one thread.

    python tests/benchmarks/speed_study.py FOLDER [--slides 160] [--patches 1000] [--epochs 20]

Ours is `outcome.run` as it is: packing, projecting, 25 fits with their held-out losses, scores of
the test folds, evaluation, report. Theirs is training alone, five folds, as many epochs: one epoch
of four fifths of the bags is measured after a first one, and multiplied. Processor time.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from speed import torchmil
from speed_cohort import make

import outcome

OURS = {
    "default network": [],
    "the same network, bfloat16": [
        "arms=[{name: image, inputs: [image], aggregator: abmil}]",
        "training={components: 0, batch_size: 8, learning_rate: 0.0004}",
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slides", type=int, default=160)
    parser.add_argument("--patches", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = make(
        asked.folder / f"cohort-{asked.slides}-{asked.patches}", asked.slides, asked.patches
    )
    print("| | seconds | C |\n|---|---|---|")
    theirs = peers(path, asked)
    print(
        f"| torchmil, 5 folds x {asked.epochs} epochs, training alone | {theirs:.0f} | |",
        flush=True,
    )
    for name, settings in OURS.items():
        study = outcome.Study.read(path, [*settings, f"training.epochs={asked.epochs}"])
        scratch = asked.folder / "study"
        shutil.rmtree(scratch, ignore_errors=True)
        started = time.process_time()
        found = outcome.run(study, out=scratch / "run", cache=scratch / "cache", jobs=1)
        seconds = time.process_time() - started
        c = found.metrics.query("metric == 'harrell_c'")["estimate"].iloc[0]
        fits = found.manifest["fits"]["trained"]
        print(
            f"| outcome, whole run of {fits} fits, {name} | {seconds:.0f} | {c:.3f} |", flush=True
        )


def peers(path: Path, asked: argparse.Namespace) -> float:
    """Seconds that five folds would take."""
    files = sorted((path.parent / "features").iterdir())
    label = np.arange(asked.slides) % 2
    train = [i for i in range(asked.slides) if i % 5]
    one = torchmil(files, train, [0], label, asked.folder / f"torchmil-{asked.slides}")
    one.epoch()
    measured = []
    for _ in range(3):
        started = time.process_time()
        one.epoch()
        measured.append(time.process_time() - started)
    return 5 * asked.epochs * statistics.median(measured)


if __name__ == "__main__":
    main()
