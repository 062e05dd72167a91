"""Cohorts for the speed benchmarks: made fast, in TRIDENT's layout, with a signal to be found."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import yaml

EFFECT = 1.2
SHARE = 0.1


def make(folder: Path, slides: int, patches: int = 3000, dimension: int = 1024) -> Path:
    """Write a cohort of one slide per patient; returns its study file.

    A tenth of the patches is shifted along one direction by the patient's log hazard. Noise is
    one block, rolled and scaled per slide: drawing it anew would take longer than the benchmark.
    """
    path = folder / "study.yaml"
    if path.is_file():
        return path
    features = folder / "features"
    features.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(slides)
    noise = rng.standard_normal((patches, dimension), dtype=np.float32)
    direction = rng.choice([-1.0, 1.0], size=dimension).astype(np.float32) / np.sqrt(dimension)
    hazard = rng.normal(size=slides)
    for i in range(slides):
        x = np.roll(noise, int(rng.integers(dimension)), axis=1)
        x *= rng.uniform(0.8, 1.2, size=(patches, 1)).astype(np.float32)
        some = rng.permutation(patches)[: int(SHARE * patches)]
        x[some] += (4 + 3 * hazard[i]) * direction
        with h5py.File(features / f"s{i:05d}.h5", "w") as file:
            data = file.create_dataset("features", data=x.astype(np.float16), chunks=(1, dimension))
            data.attrs["encoder"] = "simulated"
            file["coords"] = rng.integers(0, 50_000, size=(patches, 2))
    time = rng.exponential(1000 * np.exp(-EFFECT * hazard))
    limit = rng.uniform(300, 4000, size=slides)
    table = pd.DataFrame(
        {
            "patient_id": [f"p{i:05d}" for i in range(slides)],
            "slide_id": [f"s{i:05d}" for i in range(slides)],
            "days": np.minimum(time, limit).round(1) + 1,
            "event": (time <= limit).astype(int),
        }
    )
    table.to_csv(folder / "cohort.csv", index=False)
    study = {
        "name": f"speed-{slides}",
        "cohort": "cohort.csv",
        "endpoint": {"kind": "survival", "time": "days", "event": "event", "unit": "days"},
        "embeddings": {"patches": "features"},
        "arms": ["image"],
    }
    path.write_text(yaml.safe_dump(study))
    return path
