"""What the default settings are worth: each changed alone, on cohorts that reports do not use.

    python tests/benchmarks/settings.py --out FOLDER STUDY.yaml [STUDY.yaml ...]

Per study and variation one run of the image arm (attention), and of image+report where there are
reports. Prints the mean C of the test folds per study, and the mean change against the first line
of its kind, in Markdown.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

import outcome

VARIATIONS = {
    "defaults": {},
    "no weight decay": {"weight_decay": 0},
    "weight decay 0.1": {"weight_decay": 0.1},
    "weight decay 1": {"weight_decay": 1},
    "dropout 0.25": {"dropout": 0.25},
    "dropout 0.5": {"dropout": 0.5},
    "16 components": {"components": 16},
    "32 components": {"components": 32},
    "128 components": {"components": 128},
    "attention width 4": {"attention_width": 4},
    "attention width 64": {"attention_width": 64},
    "learning rate 0.002": {"learning_rate": 0.002},
    "learning rate 0.01": {"learning_rate": 0.01},
}
MODELS = {
    "4 heads": {"options": {"heads": 4}},
    "transformer": {"aggregator": "transformer"},
    "prototypes": {"aggregator": "prototypes"},
    "search of 4": {},
}
TOGETHER = {
    "early": {},
    "early, inputs hidden 0.2": {},
    "cross": {"fusion": "cross"},
    "gated": {"fusion": "gated"},
    "late": {"fusion": "late"},
    "stacked": {"fusion": "stacked"},
}
EXTRA = {"search of 4": {"search": 4}, "early, inputs hidden 0.2": {"hidden_inputs": 0.2}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for inputs, names in ((["image"], [*VARIATIONS, *MODELS]), (["image", "report"], TOGETHER)):
        found: dict[str, dict[str, float]] = {}
        for path in options.studies:
            if "report" in inputs and outcome.Study.read(path).embeddings.reports is None:
                continue
            cohort = path.parent.name if path.name == "study.yaml" else path.stem
            for name in names:
                value = measure(path, name, inputs, options.out, cohort)
                found.setdefault(name, {})[cohort] = value
                print(f"{cohort}, {name}: {value:.3f}", flush=True)
        print(markdown(pd.DataFrame(found).T))


def measure(path: Path, name: str, inputs: list[str], out: Path, cohort: str) -> float:
    """Run one variation; returns the mean C (or AUROC) of the test folds."""
    arm = {"name": "image", "inputs": inputs, "aggregator": "attention", "fusion": "early"}
    arm |= MODELS.get(name, {}) | TOGETHER.get(name, {})
    settings = VARIATIONS.get(name, {}) | EXTRA.get(name, {})
    sets = [f"training.{k}={v}" for k, v in settings.items()]
    study = outcome.Study.read(path, [f"arms={json.dumps([arm])}", *sets])
    results = outcome.run(study, out=out / cohort / name, cache=out / "cache")
    main_metric = results.metrics["metric"].isin(["harrell_c", "auroc"])
    return float(results.metrics.loc[main_metric, "estimate"].iloc[0])


def markdown(table: pd.DataFrame) -> str:
    table["mean change"] = (table - table.iloc[0]).mean(axis=1)
    lines = [f"| setting | {' | '.join(table.columns)} |", "|---" * (len(table.columns) + 1) + "|"]
    for name, row in table.iterrows():
        cells = [f"{v:.3f}" for v in row.iloc[:-1]] + [f"{row.iloc[-1]:+.3f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
