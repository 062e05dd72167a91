"""Made the bundle and the inputs in this folder, once, with release 0.1.0. Not run again."""

import shutil
import tempfile
from pathlib import Path

import h5py
import pandas as pd
import yaml

import outcome
from outcome.simulation.simulate import Simulation, simulate

HERE = Path(__file__).parent
ARM = {
    "name": "all",
    "inputs": ["image", "report", "clinical"],
    "fusion": "stacked",
    "aggregator": "attention+linear",
    "options": {"heads": 2},
}

with tempfile.TemporaryDirectory() as scratch:
    path = simulate(
        Path(scratch) / "cohort",
        Simulation(patients=80, patches=10, dimension=16, informative=0.5, image_effect=1.5),
    )
    settings = yaml.safe_load(path.read_text())
    settings |= {
        "arms": ["image", ARM],
        "split": {"folds": 3, "inner_folds": 2},
        "training": {"epochs": 6, "components": 4, "attention_width": 3},
    }
    path.write_text(yaml.safe_dump(settings))
    study = outcome.Study.read(path)
    outcome.fit(study, arm="all", out=HERE / "bundle")
    table = pd.read_csv(study.cohort, dtype=str)
    some = sorted(set(table["patient_id"]))[:3]
    table[table["patient_id"].isin(some)].to_csv(HERE / "cohort.csv", index=False)
    (HERE / "features").mkdir(exist_ok=True)
    for slide in table.loc[table["patient_id"].isin(some), "slide_id"]:
        shutil.copy(study.embeddings.patches / f"{slide}.h5", HERE / "features")
    with h5py.File(study.embeddings.reports) as old, h5py.File(HERE / "reports.h5", "w") as new:
        new.attrs["encoder"] = old.attrs["encoder"]
        for patient in set(some) & set(old):
            old.copy(patient, new)

found = outcome.predict(
    HERE / "bundle", HERE / "cohort.csv", patches=HERE / "features", reports=HERE / "reports.h5"
)
found.table.to_csv(HERE / "predictions.csv", index=False)
