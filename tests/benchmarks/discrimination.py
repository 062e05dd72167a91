"""How well arms and models rank patients, beside what reviewers and peers would run.

    python tests/benchmarks/discrimination.py --seeds 3 --out FOLDER [STUDY.yaml ...]

Five kinds of simulated cohorts (or, with `--tune`, others for choosing settings), and any study
files that are given. Per cohort one run of `outcome`, with further arms, and two baselines on the
same folds: mean vectors, PCA and ridge as reviewers run them (scikit-learn, scikit-survival), and
gated attention with a discrete-time loss (or cross-entropy), one bag a step, as peers train it.
Prints tables in Markdown and leaves `results.csv`, `differences.csv` and the predictions.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv
from torch import nn

import outcome
from outcome.cohort import Fold
from outcome.dataset.study_data import StudyData, prepare
from outcome.evaluation.evaluation import evaluate_endpoint
from outcome.predictions import Predictions
from outcome.simulation.simulate import Simulation, simulate
from outcome.study import Arm

PLAIN = Simulation(patients=300, patches=150, dimension=256)
COHORTS = {
    "rare": PLAIN,
    "diffuse": replace(PLAIN, informative=0.6),
    "small": replace(PLAIN, patients=150, dimension=1024),
    "large": replace(PLAIN, patients=800, patches=80, dimension=128),
    "sites": replace(PLAIN, sites=8, site_shift=0.6),
}
COMPARED = {
    "image": {},
    "image attention": {"aggregator": "attention"},
    "image linear": {"aggregator": "linear"},
    "image attention+linear": {"aggregator": "attention+linear"},
    "report": {},
    "clinical": {},
    "image+report": {},
    "image+clinical": {},
    "image+report+clinical": {},
}
TUNED = {
    **COMPARED,
    **{
        f"{inputs} {fusion} {aggregator}": {"fusion": fusion, "aggregator": aggregator}
        for inputs in ("image+report", "image+clinical", "image+report+clinical")
        for fusion in ("early", "late", "stacked")
        for aggregator in ("attention", "attention+linear")
    },
}
BASELINES = {"PCA, ridge": "_ridge", "abmil, a bag a step": "_abmil"}


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    cohorts = dict(_simulated(options)) | {p.stem: p for p in map(Path, options.studies)}
    found, differences = [], []
    for name, path in cohorts.items():
        if options.only and name.partition("-")[0] not in options.only:
            continue
        metrics, compared = measure(name, path, options)
        found.append(metrics.assign(cohort=name))
        differences.append(compared.assign(cohort=name))
        pd.concat(found).to_csv(options.out / "results.csv", index=False)
        pd.concat(differences).to_csv(options.out / "differences.csv", index=False)
        print(markdown(found[-1]), flush=True)
    print("\n".join(markdown(m) for m in found))
    print(acceptance(pd.concat(found), pd.concat(differences)))


def acceptance(metrics: pd.DataFrame, differences: pd.DataFrame) -> str:
    """Mean differences over all cohorts, and how many intervals lie wholly below 0."""
    lines = []
    c = metrics.pivot(index="cohort", columns="arm", values="estimate")
    better = c[list(BASELINES)].max(axis=1) if set(BASELINES) <= set(c) else c["image linear"]
    change = c["image"] - better
    lines.append(f"image less the better baseline: mean {change.mean():+.4f} of {len(change)}")
    for (arm, other), rows in differences.groupby(["arm", "baseline"], sort=False):
        below = rows.loc[rows["upper"] < 0, "cohort"].tolist()
        lines.append(
            f"{arm} less {other}: mean {rows['difference'].mean():+.4f} of {len(rows)} cohorts, "
            f"{len(below)} intervals wholly below 0 {below or ''}"
        )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("studies", nargs="*", help="study files of real cohorts")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tune", action="store_true", help="other seeds, and every candidate")
    parser.add_argument("--seeds", type=int, default=1, help="simulations of each kind")
    parser.add_argument("--only", nargs="*", help="names of simulated cohorts or study files")
    parser.add_argument("--no-baselines", action="store_true", help="skip the slow baselines")
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--simulated", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def _simulated(options: argparse.Namespace):
    first = 100 if options.tune else 0
    for k, (name, kind) in enumerate(COHORTS.items() if options.simulated else ()):
        for seed in range(first + k, first + k + 10 * options.seeds, 10):
            folder = options.out / f"{name}-{seed}"
            study = folder / "study.yaml"
            if not study.is_file():
                simulate(folder, replace(kind, seed=seed))
            yield f"{name}-{seed}", study


def measure(name: str, path: Path, options: argparse.Namespace):
    """Run every arm that the cohort has inputs for, and the baseline."""
    study = outcome.Study.read(path)
    have = {"image"} | ({"report"} if study.embeddings.reports else set())
    if study.covariates.numeric or study.covariates.categorical:
        have.add("clinical")
    arms = [
        {"name": arm, "inputs": arm.split()[0].split("+"), **spec}
        for arm, spec in (TUNED if options.tune else COMPARED).items()
        if set(arm.split()[0].split("+")) <= have
    ]
    changed = {"arms": tuple(map(Arm.model_validate, arms)), "baseline": "image", "name": name}
    study = study.model_copy(update=changed)
    folder, cache = options.out / f"{name}-run", options.out / "cache"
    results = outcome.run(study, out=folder, cache=cache, jobs=options.jobs)
    table = results.predictions
    table = pd.concat([table, *_baselines(study, table, folder, options)], ignore_index=True)
    names = set(table["arm"])
    contrasts = [
        (a, b)
        for a, b in [
            ("image", "image linear"), *(("image", b) for b in BASELINES),
            ("image+report", "report"),
            ("image+clinical", "clinical"), ("image+report+clinical", "clinical"),
            ("image+report+clinical", "image+report"),
        ]
        if {a, b} <= names
    ]  # fmt: skip
    found = evaluate_endpoint(
        Predictions(table), study.endpoint, baseline="image", contrasts=contrasts
    )
    main_metric = "harrell_c" if study.endpoint.kind == "survival" else "auroc"
    keep = found.metrics["metric"] == main_metric
    compared = found.comparisons["metric"] == main_metric
    return found.metrics[keep], found.comparisons[compared]


def _baselines(study: outcome.Study, table: pd.DataFrame, folder: Path, options) -> list:
    """Score the baselines on the folds of the run; what is there is not computed again."""
    if options.no_baselines:
        return []
    ours = table[table["arm"] == "image"].drop(columns=["arm", "risk", "risk_group"])
    calibrated = [c for c in ours if c.startswith("survival_") or c == "probability"]
    ours = ours.drop(columns=calibrated).assign(fold=ours["fold"].astype(str))
    found = []
    for arm, name in BASELINES.items():
        scores = folder / f"{name.strip('_')}.csv"
        if not scores.is_file():
            study_data = prepare(study, options.out / "cache")
            pool = joblib.Parallel(n_jobs=options.jobs or -1)
            work = joblib.delayed(globals()[name])
            pd.concat(pool(work(study, study_data, f) for f in study_data.folds)).to_csv(
                scores, index=False
            )
        theirs = pd.read_csv(scores, dtype={"patient_id": str, "fold": str})
        found.append(ours.merge(theirs, on=["patient_id", "repeat", "fold"]).assign(arm=arm))
    return found


def _ridge(study: outcome.Study, study_data: StudyData, fold: Fold) -> pd.DataFrame:
    """Mean vectors, PCA, ridge Cox or logistic; the penalty by inner cross-validation."""
    rows = study_data.cohort.patients.loc[list(fold.development)]
    x = np.stack([study_data.mean("image", p) for p in rows.index])
    parts = [StandardScaler(), PCA(min(32, len(x) // 4, x.shape[1]), random_state=0)]
    divided = KFold(5, shuffle=True, random_state=0)
    if "time" in rows:
        y = Surv.from_arrays(rows["event"] == 1, rows["time"])
        model = GridSearchCV(
            make_pipeline(*parts, CoxPHSurvivalAnalysis(ties="efron")),
            {"coxphsurvivalanalysis__alpha": [1, 10, 100, 1000]},
            cv=divided,
        ).fit(x, y)
        decide = model.predict
    else:
        penalties = LogisticRegressionCV(Cs=[1e-4, 1e-3, 1e-2, 1e-1, 1], cv=divided, max_iter=1000)
        model = make_pipeline(*parts, penalties).fit(x, rows["label"].astype(int))
        decide = model.decision_function
    risk = decide(np.stack([study_data.mean("image", p) for p in fold.test]))
    return pd.DataFrame(
        {"patient_id": fold.test, "repeat": fold.repeat, "fold": fold.name, "risk": risk}
    )


class _Abmil(nn.Module):
    def __init__(self, dimension: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(dimension, 512), nn.ReLU(), nn.Dropout(0.25))
        self.content, self.gate = nn.Linear(512, 256), nn.Linear(512, 256)
        self.score, self.out = nn.Linear(256, 1), nn.Linear(512, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        a = torch.softmax(self.score(torch.tanh(self.content(h)) * torch.sigmoid(self.gate(h))), 0)
        return self.out((a * h).sum(0))


def _abmil(
    study: outcome.Study, study_data: StudyData, fold: Fold, epochs: int = 20
) -> pd.DataFrame:
    """Train on all development patients for a fixed number of epochs, one bag a step."""
    torch.set_num_threads(1)
    patients = study_data.cohort.patients
    survival = "time" in patients
    rows = patients.loc[list(fold.development)]
    bins = 4 if survival else 1
    with torch.random.fork_rng():
        torch.manual_seed(len(fold.development))  # noqa: TID251 - a script of its own
        network = _Abmil(study_data.dimensions["image"], bins)
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-4, weight_decay=1e-5)
        edges = []
        if survival:
            edges = np.quantile(rows["time"][rows["event"] == 1], [0.25, 0.5, 0.75])
        network.train()
        for _ in range(epochs):
            for i in torch.randperm(len(rows)).tolist():
                x = torch.from_numpy(np.array(study_data.sample(rows.index[i]).patches)).float()
                loss = _peer_loss(network(x), rows.iloc[i], edges)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        network.eval()
        risk = []
        with torch.no_grad():
            for patient in fold.test:
                x = torch.from_numpy(np.array(study_data.sample(patient).patches)).float()
                out = network(x)
                survived = torch.cumprod(1 - torch.sigmoid(out), 0)
                risk.append(float(-survived.sum()) if survival else float(out[0]))
    return pd.DataFrame(
        {"patient_id": fold.test, "repeat": fold.repeat, "fold": fold.name, "risk": risk}
    )


def _peer_loss(out: torch.Tensor, row: pd.Series, edges) -> torch.Tensor:
    if "time" not in row:
        label = torch.tensor(float(row["label"]))
        return nn.functional.binary_cross_entropy_with_logits(out[0], label)
    k = int(np.searchsorted(edges, row["time"], side="right"))
    hazard = torch.sigmoid(out).clamp(1e-7, 1 - 1e-7)
    survived = torch.log1p(-hazard)
    if row["event"] == 1:
        return -(torch.log(hazard[k]) + survived[:k].sum())
    return -survived[: k + 1].sum()


def markdown(metrics: pd.DataFrame) -> str:
    rows = [
        f"| {m.cohort} ({m.n} / {m.events}) | {m.arm} | {m.estimate:.3f} ({m.lower:.3f} to"
        f" {m.upper:.3f}) |"
        for m in metrics.itertuples()
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
