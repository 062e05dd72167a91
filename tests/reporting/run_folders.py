"""Run folders as a study writes them, from simulated numbers; metrics here are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ARMS = {"image": ["image"], "report": ["report"], "image+report": ["image", "report"]}
LONG = "image+report+clinical, late fusion of calibrated log hazards, everything that was recorded"
HOSTILE = '<script>alert("x")</script>&\'💉$\\frac{1}{2}$' + "z" * 160


def survival_run(
    folder: Path,
    *,
    arms: dict[str, list[str]] | None = None,
    n: int = 90,
    folds: int = 3,
    repeats: int = 1,
    groups: tuple[str, ...] = ("low", "high"),
    constant: str = "",
    ids: list[str] | None = None,
    **manifest: Any,
) -> Path:
    """A survival study; `constant` names an arm whose risk is the same for everybody."""
    rng = np.random.default_rng(3)
    arms = ARMS if arms is None else arms
    ids = [f"SIM-{i:04d}" for i in range(n)] if ids is None else ids
    truth = rng.normal(size=n)
    time = rng.exponential(900 * np.exp(-0.8 * truth)).clip(1).round()
    end = rng.uniform(200, 2600, n).round()
    base = pd.DataFrame(
        {"patient_id": ids, "time": np.minimum(time, end), "event": (time <= end).astype(int)}
    )
    parts = []
    for k, arm in enumerate(arms):
        for repeat in range(repeats):
            noise = rng.normal(size=n) * (1.6 - 0.35 * k)
            risk = np.zeros(n) if arm == constant else truth + noise
            fold = (np.arange(n) + repeat) % folds
            cut = np.quantile(risk, np.linspace(0, 1, len(groups) + 1)[1:-1])
            group = [groups[j] for j in np.searchsorted(cut, risk, side="left")]
            if arm == constant:
                group = [groups[0]] * n
            parts.append(
                base.assign(arm=arm, repeat=repeat, fold=fold, risk=risk, risk_group=group)
            )
    predictions = pd.concat(parts, ignore_index=True)
    predictions.to_csv(_made(folder) / "predictions.csv", index=False)
    endpoint = {
        "kind": "survival",
        "name": "relapse-free survival",
        "time": "rfs_days",
        "event": "rfs_event",
        "unit": "days",
        "horizons": [365, 1095],
        "favourable": False,
        "strata": None,
    }
    _write_common(folder, predictions, arms, endpoint, folds, repeats, manifest)
    keys = ("harrell_c", "uno_c", "auc_365", "auc_1095", "ibs")
    _write_metrics(folder, predictions, arms, keys, "harrell_c", constant)
    _write_groups(folder, predictions, arms, groups)
    return folder


def binary_run(
    folder: Path,
    *,
    arms: dict[str, list[str]] | None = None,
    n: int = 90,
    favourable: bool = False,
    probability: bool = True,
    **manifest: Any,
) -> Path:
    """A yes/no study; label 1 is the positive class."""
    rng = np.random.default_rng(5)
    arms = ARMS if arms is None else arms
    truth = rng.normal(size=n)
    label = (rng.uniform(size=n) < 1 / (1 + np.exp(-1.4 * truth + 0.6))).astype(int)
    parts = []
    for k, arm in enumerate(arms):
        logit = truth + rng.normal(size=n) * (1.5 - 0.4 * k)
        chance = 1 / (1 + np.exp(-logit + 0.5))
        rows = pd.DataFrame(
            {
                "arm": arm,
                "patient_id": [f"SIM-{i:04d}" for i in range(n)],
                "repeat": 0,
                "fold": np.arange(n) % 5,
                "label": label,
                "risk": -logit if favourable else logit,
                "risk_group": np.where((logit > 0) != favourable, "high", "low"),
            }
        )
        parts.append(rows.assign(probability=chance) if probability else rows)
    predictions = pd.concat(parts, ignore_index=True)
    predictions.to_csv(_made(folder) / "predictions.csv", index=False)
    endpoint = {
        "kind": "binary",
        "name": "response to immunotherapy" if favourable else "relapse",
        "label": "response" if favourable else "relapse",
        "positive": "responder" if favourable else "relapse",
        "favourable": favourable,
    }
    _write_common(folder, predictions, arms, endpoint, 5, 1, manifest)
    _write_metrics(folder, predictions, arms, ("auroc", "auprc", "brier"), "auroc", "")
    rates = predictions.groupby(["arm", "risk_group"])["label"].agg(["size", "sum", "mean"])
    rates = rates.reset_index().set_axis(["arm", "group", "n", "events", "event_rate"], axis=1)
    rates = rates.assign(lower=rates["event_rate"] - 0.1, upper=rates["event_rate"] + 0.1)
    rates.assign(note="").to_csv(folder / "risk_groups.csv", index=False)
    return folder


def add_patients(folder: Path, *, hostile: str = "") -> pd.DataFrame:
    """Put covariates, and how the material was gathered, beside a run; returns the covariates."""
    ids = pd.read_csv(folder / "predictions.csv", dtype={"patient_id": str})["patient_id"].unique()
    rng = np.random.default_rng(8)
    n = len(ids)
    stage = rng.choice(["I", "II", hostile or "III"], n)
    age = rng.normal(62, 9, n).round().astype(object)
    age[::9] = ""
    covariates = pd.DataFrame({"patient_id": ids, "age": age, "stage": stage})
    covariates.to_csv(folder / "covariates.csv", index=False)
    gathered = {"site": rng.choice(["north", hostile or "south"], n), "slides": 1}
    gathered |= {"patches": rng.integers(50, 900, n), "report missing": rng.integers(0, 2, n)}
    pd.DataFrame({"patient_id": ids, **gathered}).to_csv(folder / "acquisition.csv", index=False)
    edit_manifest(folder, covariates={"numeric": ["age"], "categorical": ["stage"]})
    return covariates


def edit_predictions(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the table of predictions."""
    path = folder / "predictions.csv"
    change(pd.read_csv(path, dtype={"patient_id": str})).to_csv(path, index=False)


def with_survival(table: pd.DataFrame) -> pd.DataFrame:
    """Add calibrated columns at the horizons."""
    hazard = np.exp(np.clip(0.5 * table["risk"], -3, 3) - 7.2)
    return table.assign(survival_365=np.exp(-365 * hazard), survival_1095=np.exp(-1095 * hazard))


def edit_manifest(folder: Path, **values: Any) -> None:
    """Change keys of the manifest; `None` takes a key away."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | values
    path.write_text(json.dumps({k: v for k, v in manifest.items() if v is not None}))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_common(
    folder: Path,
    predictions: pd.DataFrame,
    arms: dict[str, list[str]],
    endpoint: dict[str, Any],
    folds: int,
    repeats: int,
    extra: dict[str, Any],
) -> None:
    once = predictions.drop_duplicates("patient_id")
    n = len(once)
    events = int(once["event" if "event" in once else "label"].sum())
    slides = n + n // 6
    flow = [
        ("cohort table", n + 11, slides + 14, events + 3, ""),
        ("outcome known", n + 4, slides + 5, events, "follow-up time is missing"),
        ("slides found", n, slides, events, "no file of patch embeddings"),
    ]
    columns = ["step", "patients", "slides", "events", "reason"]
    pd.DataFrame(flow, columns=columns).to_csv(folder / "cohort_flow.csv", index=False)
    splits = []
    first = predictions[predictions["arm"] == next(iter(arms))]
    for repeat, rows in first.groupby("repeat"):
        for fold in range(folds):
            role = np.where(rows["fold"] == fold, "test", "development")
            part = {"patient_id": rows["patient_id"], "repeat": repeat, "outer_fold": fold}
            splits.append(pd.DataFrame(part | {"role": role, "inner_fold": 0}))
    pd.concat(splits).to_csv(folder / "splits.csv", index=False)
    rng = np.random.default_rng(0)
    epochs, history = [], []
    for arm in arms:
        for repeat in range(repeats):
            for fold in range(folds):
                best = int(rng.integers(8, 22))
                record = {"arm": arm, "repeat": repeat, "fold": fold, "epochs": best}
                epochs.append(record | {"inner_folds": 5})
                for inner in range(3):
                    e = np.arange(1, 31)
                    tune = 1.2 - 0.3 * np.exp(-(((e - best) / 14) ** 2)) + rng.normal(0, 0.01, 30)
                    curve = {"arm": arm, "repeat": repeat, "fold": fold, "inner_fold": inner}
                    curve |= {"epoch": e, "train_loss": 1.2 - 0.02 * e, "tune_loss": tune}
                    history.append(pd.DataFrame(curve))
    pd.concat(history).to_csv(folder / "history.csv", index=False)
    manifest = {
        "format": 1,
        "name": "demo study",
        "created": "2026-03-02T10:11:12+00:00",
        "command": "outcome run study.yaml",
        "simulated": True,
        "versions": {"slide-outcome": "0.1.0", "torch": "2.13.0", "lifelines": "0.30.3"},
        "platform": "Linux x86_64, Python 3.11",
        "device": "cpu",
        "threads": 1,
        "endpoint": endpoint,
        "arms": [{"name": a, "inputs": i} for a, i in arms.items()],
        "baseline": next(iter(arms)),
        "cohort": {
            "patients": n,
            "slides": slides,
            "events": events,
            "patches": {"total": 900 * n, "median": 870, "min": 120, "max": 2100},
            "dimension": 1024,
            "encoder": "MUSK",
            "reports": {"with": n - 7, "without": 7, "dimension": 1024},
        },
        "split": {
            "source": "made from the seed",
            "folds": folds,
            "repeats": repeats,
            "inner_folds": 5,
            "seed": 0,
            "stratify": True,
        },
        "protocol": {"cutoffs": "median"},
        "training": {"epochs": 40, "batch_size": 64, "learning_rate": 3e-4, "seed": 0},
        "epochs": epochs,
        "resamples": 1000,
        "inputs": {"cohort.csv": "ab" * 32, "reports.h5": "cd" * 32},
        "notes": ["3 files of patch embeddings belong to no slide of the cohort"],
        "warnings": [],
        "seconds": 97.3,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | extra))
    (folder / "study.yaml").write_text("name: demo study\n")


def _write_metrics(
    folder: Path,
    predictions: pd.DataFrame,
    arms: dict[str, list[str]],
    keys: tuple[str, ...],
    main: str,
    constant: str,
) -> None:
    once = predictions.drop_duplicates("patient_id")
    n, events = len(once), int(once["event" if "event" in once else "label"].sum())
    width = 1.1 / np.sqrt(max(events, 4)) / 2
    rows, differences = [], []
    one_set = predictions[["repeat", "fold"]].drop_duplicates().shape[0] == 1
    variance = "fixed models" if one_set else "inner models"
    for k, arm in enumerate(arms):
        value = 0.5 if arm == constant else min(0.62 + 0.05 * k, 0.9)
        for j, key in enumerate(keys):
            at = 0.21 - 0.01 * k if key in ("ibs", "brier") else value + 0.01 * j
            spread = 0.0 if arm == constant else width * (0.3 if key in ("ibs", "brier") else 1)
            rows.append((arm, key, at, at - spread, at + spread, n, events, variance))
        if k:
            gap = 0.05 * k
            differences.append(
                (arm, next(iter(arms)), main, gap, gap - 0.07, gap + 0.07, 0.16 / k**3, 0.16 / k**2)
            )
    columns = ["arm", "metric", "estimate", "lower", "upper", "n", "events", "variance"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "metrics.csv", index=False)
    columns = ["arm", "baseline", "metric", "difference", "lower", "upper", "p_value", "p_adjusted"]
    pd.DataFrame(differences, columns=columns).to_csv(folder / "comparisons.csv", index=False)


def _write_groups(
    folder: Path, predictions: pd.DataFrame, arms: dict[str, list[str]], groups: tuple[str, ...]
) -> None:
    rows = []
    for arm in arms:
        mine = predictions[(predictions["arm"] == arm) & (predictions["repeat"] == 0)]
        present = mine["risk_group"].nunique() > 1
        for i, group in enumerate(groups):
            part = mine[mine["risk_group"] == group]
            ratio = (1.8**i, 1.8**i * 0.7, 1.8**i * 1.4) if i and present else (np.nan,) * 3
            median = (np.nan,) * 3 if i == 0 else (800 / i, 600 / i, np.nan)
            p = 0.0004 if present else np.nan
            test = p, p / 2, "inner models"
            rows.append((arm, group, len(part), int(part["event"].sum()), *median, *ratio, *test))
    columns = ["arm", "group", "n", "events", "median_survival", "lower", "upper"]
    columns += ["hazard_ratio", "hr_lower", "hr_upper", "logrank_p", "logrank_p_fixed", "variance"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "risk_groups.csv", index=False)
