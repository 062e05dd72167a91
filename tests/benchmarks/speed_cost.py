"""What a patch costs: processor time of packing, projecting and training, by size and dimension.

python tests/benchmarks/speed_cost.py FOLDER

Prints microseconds of processor time per patch on one thread, a straight line in the dimension
fitted to them, bytes per patch as found on disk, and what follows for large cohorts.
"""

import argparse
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from speed_cohort import make

import outcome
from outcome.dataset.study_data import prepare
from outcome.models.heads import CoxHead, Target
from outcome.training.arm_members import Member
from outcome.training.batching import Patients
from outcome.training.optimizer import ClippedAdamW
from outcome.training.projection import development_vectors
from outcome.training.trainer import build, one_epoch

CPU = torch.device("cpu")
GRID = [(20, 512), (60, 512), (20, 1024), (60, 1024), (20, 2048)]
PATCHES = 1000
STEPS = ["pack", "project", "attention epoch", "abmil bfloat16 epoch"]
COHORTS = [20_000, 1_000_000]
PER_SLIDE, WIDE, FOLDS, INNER, EPOCHS = 10_000, 1024, 5, 5, 40


def measured(folder: Path, slides: int, dimension: int) -> tuple[list[float], float, float]:
    """Microseconds of processor time per patch of each step, and bytes per patch on disk."""
    study = outcome.Study.read(
        make(folder / f"cohort-{slides}-{PATCHES}-{dimension}", slides, PATCHES, dimension)
    )
    patches = slides * PATCHES
    for name in ("cache", "scratch"):
        shutil.rmtree(folder / name, ignore_errors=True)
    start = time.process_time()
    study_data = prepare(study, folder / "cache")
    found = [time.process_time() - start]
    names = list(study_data.cohort.patients.index)
    for components, low in ((64, False), (0, True)):
        start = time.process_time()
        _, vectors = development_vectors(
            study_data, "image", names, components=components, low_precision=low,
            scratch=folder / "scratch",
        )  # fmt: skip
        if components:
            found.append(time.process_time() - start)
            scratch = sum(f.stat().st_size for f in (folder / "scratch").rglob("vectors.npy"))
        found.append(epoch(study, study_data, vectors.of(names), components, low))
    packed = sum(f.stat().st_size for f in (folder / "cache").rglob("*.npy"))
    return [1e6 * f / patches for f in found], packed / patches, scratch / patches


def epoch(study, study_data, bags, components: int, low: bool) -> float:
    """Processor time of the second epoch: the first makes what is made once."""
    table = study_data.cohort.patients
    target = Target(
        torch.tensor(table["time"].to_numpy(float)), torch.tensor(table["event"].to_numpy() == 1)
    )
    settings = study.training.model_copy(
        update={"components": components, "precision": "bfloat16" if low else "float32"}
    )
    patients = Patients({"image": bags}, target)
    network = build(
        patients.dimensions, settings, Member(("image",), "abmil" if low else "attention")
    )
    optimizer = ClippedAdamW(network.parameters(), lr=1e-4, weight_decay=0.01)
    order = np.random.default_rng(0)
    for _ in range(2):
        start = time.process_time()
        one_epoch(network, optimizer, patients, CoxHead(), settings, order, CPU)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    rows = []
    print(f"| slides | dimension | {' | '.join(STEPS)} | packed B | projected B |")
    print("|" + "---|" * (len(STEPS) + 4))
    for slides, dimension in GRID:
        found, packed, scratch = measured(folder, slides, dimension)
        rows.append(found)
        times = " | ".join(f"{f:.2f}" for f in found)
        print(f"| {slides} | {dimension} | {times} | {packed:.0f} | {scratch:.0f} |", flush=True)
    design = np.array([[1, d / 1024] for _, d in GRID])
    line = np.linalg.lstsq(design, np.array(rows), rcond=None)[0]
    for step, (a, b) in zip(STEPS, line.T, strict=True):
        if step != "project":
            print(f"{step}: {a:.2f} + {b:.2f} * d / 1024 microseconds per patch")
    cost = dict(zip(STEPS, (np.array([1, WIDE / 1024]) @ line).tolist(), strict=True))
    cost["project"] = projecting([row[1] for row in rows])
    for slides in COHORTS:
        print(extrapolated(slides, cost))


def projecting(times: list[float]) -> float:
    """Microseconds per patch of a large cohort of large slides.

    The time has a part per patch, and one per fold (the eigenvectors), by the cube of the
    dimension, which small cohorts feel and large ones do not.
    """
    design = [[d / 1024, (d / 1024) ** 3 * 20 / slides] for slides, d in GRID]
    a, b = np.linalg.lstsq(np.array(design), np.array(times), rcond=None)[0].tolist()
    seconds = b * 20 * PATCHES / 1e6
    print(
        f"project: {a:.2f} * d / 1024 microseconds per patch, {seconds:.2f} * (d / 1024)^3 s a fold"
    )
    return a * WIDE / 1024


def extrapolated(slides: int, cost: dict[str, float]) -> str:
    """Core hours and disk of a default study, and of one with the peers' network."""
    patches = slides * PER_SLIDE
    develop = (FOLDS - 1) / FOLDS
    hours = {
        "pack": patches * cost["pack"],
        "project": FOLDS * patches * cost["project"],
        # A fit trains on 4 of 5 inner parts, and predicts the fifth after every epoch.
        "default": FOLDS * INNER * EPOCHS * patches * develop * 0.87 * cost["attention epoch"],
        "abmil": FOLDS * INNER * EPOCHS * patches * develop * 0.87 * cost["abmil bfloat16 epoch"],
    }
    times = ", ".join(f"{k} {v / 3.6e9:,.0f}" for k, v in hours.items())
    packed, projected = patches * (2 * WIDE + 16) / 1e12, FOLDS * patches * 256 / 1e12
    disk = f"packed {packed:.1f} TB, projected {projected:.2f} TB"
    return f"{slides:,} slides of {PER_SLIDE:,} patches: core hours: {times}; {disk}"


if __name__ == "__main__":
    main()
