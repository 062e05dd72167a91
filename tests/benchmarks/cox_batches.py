"""Which Cox training converges better: risk sets of 64 patients, or of all development patients?

    python tests/benchmarks/cox_batches.py --out FOLDER STUDY.yaml [STUDY.yaml ...]

Both back-propagate the exact gradient of their partial likelihood. Per study the image arm is
trained with mini-batches (about n/64 steps an epoch, at least 3), with whole risk sets for as many
epochs (a step each), and with whole risk sets for as many steps. Prints the mean C of the test
folds, the mean epoch chosen, and the least held-out inner loss (mean over fits), in Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import monotonic

import outcome

MODES = {
    "batches of 64": {},
    "all, as many epochs": {"batch_size": "all"},
    "all, 3 x epochs": {"batch_size": "all", "epochs": 120},
    "all, 3 x epochs, 3 x rate": {"batch_size": "all", "epochs": 120, "learning_rate": 0.015},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    heads = ["cohort", "training", "C", "epoch chosen", "least inner loss", "seconds"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for path in options.studies:
        for mode, settings in MODES.items():
            sets = [f"training.{k}={v}" for k, v in settings.items()]
            study = outcome.Study.read(
                path, ["arms=[{name: image, inputs: [image], aggregator: attention}]", *sets]
            )
            name = f"{path.parent.name}-{study.name}"
            started = monotonic()
            found = outcome.run(
                study, out=options.out / f"{name} {mode}", cache=options.out / "cache"
            )
            seconds = monotonic() - started
            c = found.metrics.query("metric == 'harrell_c'")["estimate"].iloc[0]
            epochs = [e["epochs"] for e in found.manifest["epochs"]]
            fits = found.history.groupby(["fold", "inner_fold"])["tune_loss"].min()
            print(
                f"| {name} | {mode} | {c:.3f} | {sum(epochs) / len(epochs):.0f} |"
                f" {fits.mean():.4f} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
