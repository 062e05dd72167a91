"""How long the page of a large run takes, and how large it is.

Run: `python tests/benchmarks/report_speed.py` (a minute). It prints Markdown for
`reports/benchmarks.md`. Five arms x 1,000 patients, four covariates, eight sites, two horizons.
"""

from __future__ import annotations

import importlib.util
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from outcome.pipeline.rebuild_report import report as write_report

_spec = importlib.util.spec_from_file_location(
    "run_folders", Path(__file__).parents[1] / "reporting" / "run_folders.py"
)
assert _spec is not None
assert _spec.loader is not None
folders = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(folders)

N = 1000


def large_run(folder: Path) -> Path:
    """Write the run folder."""
    folders.survival_run(folder, arms={f"arm {i}": ["image"] for i in range(5)}, n=N)
    folders.edit_predictions(folder, folders.with_survival)
    rng = np.random.default_rng(0)
    ids = pd.read_csv(folder / "predictions.csv")["patient_id"].unique()
    people = {"age": rng.integers(30, 90, N), "stage": rng.choice(list("1234"), N)}
    people |= {"sex": rng.choice(["f", "m"], N), "race": rng.choice(list("abc"), N)}
    pd.DataFrame({"patient_id": ids, **people}).to_csv(folder / "covariates.csv", index=False)
    gathered = {"site": rng.choice([f"s{i}" for i in range(8)], N)}
    gathered |= {"slides": rng.integers(1, 4, N), "patches": rng.integers(10, 4000, N)}
    pd.DataFrame({"patient_id": ids, **gathered}).to_csv(folder / "acquisition.csv", index=False)
    declared = {"numeric": ["age"], "categorical": ["stage", "sex", "race"]}
    folders.edit_manifest(folder, covariates=declared)
    return folder


def main() -> None:
    """Measure, and print a line."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = large_run(Path(scratch) / "run")
        wall, processor = time.perf_counter(), time.process_time()
        page = write_report(folder)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        figures = len(list((folder / "figures").glob("*.png")))
        print(
            f"5 arms x {N:,} patients: {wall:.1f} s ({processor:.1f} s of processor time), "
            f"{page.stat().st_size / 1e6:.1f} MB, {figures} figures as PNG and SVG. "
            f"{platform.platform()}"
        )


if __name__ == "__main__":
    main()
