"""Make the simulated cohort tables of this folder: `python cohorts/make_tables.py [FOLDER]`.

No patient in them exists. Every table follows the same model. A patient has covariates and a hidden
severity (standard normal; it is what slides and reports of real patients would partly show)::

    log hazard = covariate effects + severity_effect * severity

Event times are Weibull given that hazard, with a scale of its own for every stratum (cancer type);
censoring is administrative, uniform between the shortest and the longest follow-up of the study. A
response is drawn with a logit that falls with the same severity, and progression-free survival
follows it. Sizes and event rates are of the order of the published cohorts, cut where a folder's
README says so. `outcome simulate OUT --study STUDY` then makes embeddings for a table.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent

# Type: patients, share with the event, months within which half of the events come (about).
TYPES = {
    "BLCA": (110, 0.40, 16.0),
    "BRCA": (270, 0.11, 40.0),
    "COADREAD": (150, 0.18, 22.0),
    "GBMLGG": (160, 0.33, 18.0),
    "HNSC": (120, 0.30, 18.0),
    "KIRC": (140, 0.24, 30.0),
    "LUAD": (130, 0.28, 20.0),
    "UCEC": (120, 0.14, 24.0),
}


def follow_up(
    rng: np.random.Generator, log_hazard: np.ndarray, scale: float, shortest: float, longest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weibull (shape 1.2) event times in months, censored uniformly: time and event."""
    n = len(log_hazard)
    time = scale * (rng.exponential(size=n) / np.exp(log_hazard)) ** (1 / 1.2)
    end = rng.uniform(shortest, longest, n)
    return np.maximum(np.round(np.minimum(time, end), 1), 0.1), (time <= end).astype(int)


def scale_for(log_hazard: np.ndarray, rate: float, shortest: float, longest: float) -> float:
    """Weibull scale that gives about this share of events."""
    low, high = 1.0, 1e6
    for _ in range(60):
        middle = np.sqrt(low * high)
        _, event = follow_up(np.random.default_rng(1), log_hazard, middle, shortest, longest)
        low, high = (middle, high) if event.mean() > rate else (low, middle)
    return float(low)


def melanoma(n: int = 1300) -> pd.DataFrame:
    """Primary melanomas, relapse within 5 years; some patients are not followed for that long."""
    rng = np.random.default_rng([2026, 1])
    thickness = np.round(np.clip(np.exp(rng.normal(0.35, 0.95, n)), 0.2, 20), 1)
    ulcerated = rng.random(n) < 1 / (1 + np.exp(-(np.log(thickness) * 1.1 - 1.6)))
    age = np.round(np.clip(rng.normal(61, 16, n), 18, 95)).astype(int)
    severity = rng.normal(size=n)
    log_hazard = 0.65 * np.log(thickness) + 0.5 * ulcerated + 0.01 * (age - 61) + 0.7 * severity
    scale = scale_for(log_hazard, 0.17, 30, 110)
    time, relapsed = follow_up(rng, log_hazard, scale, 30, 110)
    death = np.round(rng.exponential(1 / (0.0008 * np.exp(0.06 * (age - 61)))), 1)
    died = death < time
    time = np.maximum(np.where(died, death, time), 0.1)
    status = np.where(died, "died", np.where(relapsed == 1, "relapse", "event-free"))
    five_years = np.where(
        (status == "relapse") & (time <= 60),
        "yes",
        np.where((time > 60) | (status == "died"), "no", ""),
    )
    ids = [f"MEL-{i:04d}" for i in range(1, n + 1)]
    return pd.DataFrame(
        {
            "patient_id": ids,
            "slide_id": [f"{i}-A1.tif" for i in ids],
            "centre": [f"centre-{c:02d}" for c in rng.integers(1, 13, n)],
            "age": age,
            "sex": rng.choice(["female", "male"], n),
            "body_site": rng.choice(
                ["trunk", "lower limb", "upper limb", "head and neck"], n, p=[0.38, 0.26, 0.2, 0.16]
            ),
            "breslow_mm": thickness,
            "ulceration": np.where(ulcerated, "yes", "no"),
            "months": time,
            "status": status,
            "relapse_5y": five_years,
        }
    )


def pan_cancer() -> pd.DataFrame:
    """Disease-specific survival in eight cancer types, each with a baseline hazard of its own."""
    rng = np.random.default_rng([2026, 2])
    tables = []
    for cancer, (n, rate, half) in TYPES.items():
        stage = rng.choice(4, n, p=[0.3, 0.3, 0.25, 0.15])
        age = np.round(np.clip(rng.normal(61, 12, n), 20, 90)).astype(int)
        log_hazard = 0.45 * stage + 0.015 * (age - 61) + 0.7 * rng.normal(size=n)
        longest = 4.0 * half
        scale = scale_for(log_hazard, rate, 3, longest)
        time, event = follow_up(rng, log_hazard, scale, 3, longest)
        ids = [f"{cancer}-{i:03d}" for i in range(1, n + 1)]
        table = pd.DataFrame(
            {
                "patient_id": ids,
                "cancer_type": cancer,
                "site": [f"{cancer}-site-{s}" for s in rng.integers(1, 7, n)],
                "age": age,
                "sex": rng.choice(["female", "male"], n),
                "stage": np.array(["I", "II", "III", "IV"])[stage],
                "dss_months": time,
                "dss_event": event,
                "fold": folds(rng, event),
            }
        )
        second = rng.random(n) < 0.1
        slides = [(i, f"{i}-01Z-00-DX1.svs") for i in ids]
        slides += [(i, f"{i}-01Z-00-DX2.svs") for i, two in zip(ids, second, strict=True) if two]
        named = pd.DataFrame(slides, columns=["patient_id", "slide_id"])
        tables.append(named.merge(table, on="patient_id").sort_values("slide_id"))
    cohort = pd.concat(tables, ignore_index=True)
    for cancer in TYPES:
        # Empty elsewhere: a study on this column is a study of this type, in the same folds.
        cohort[f"fold_{cancer}"] = cohort["fold"].where(cohort["cancer_type"] == cancer)
        cohort[f"fold_{cancer}"] = cohort[f"fold_{cancer}"].astype("Int64")
    return cohort


def folds(rng: np.random.Generator, event: np.ndarray, n_folds: int = 5) -> np.ndarray:
    """Folds 0 to 4, events spread evenly."""
    fold = np.zeros(len(event), dtype=int)
    for value in (0, 1):
        rows = rng.permutation(np.flatnonzero(event == value))
        fold[rows] = np.arange(len(rows)) % n_folds
    return fold


def immunotherapy() -> pd.DataFrame:
    """Two-armed trial in lung and gastro-oesophageal cancer: response, and PFS.

    Half of the patients of each cancer have a checkpoint inhibitor, half chemotherapy, drawn by
    lot. PD-L1, TMB and severity matter for response to the inhibitor, and little for response to
    chemotherapy; PFS follows the response.
    """
    rng = np.random.default_rng([2026, 3])
    tables = []
    for cancer, prefix, n, rate in (
        ("NSCLC", "LUNG", 236, 0.33),
        ("gastro-oesophageal", "GAST", 202, 0.30),
    ):
        pd_l1 = np.round(np.where(rng.random(n) < 0.35, 0, 100 * rng.beta(0.7, 1.1, n)))
        tmb = np.round(np.exp(rng.normal(1.9, 0.75, n)), 1)
        age = np.round(np.clip(rng.normal(64, 10, n), 30, 88)).astype(int)
        severity = rng.normal(size=n)
        inhibitor = rng.permutation(n) < n / 2
        logit = 0.9 * (pd_l1 / 100 - 0.3) + 0.5 * (np.log(tmb) - 1.9) - 0.8 * severity
        logit = np.where(inhibitor, logit + 0.6, 0.2 * logit)
        shift = np.quantile(-(logit + rng.logistic(size=n)), rate)
        responds = logit + rng.logistic(size=n) + shift > 0
        log_hazard = 0.4 * severity - 1.1 * responds - 0.2 * (np.log(tmb) - 1.9)
        scale = scale_for(log_hazard, 0.75, 6, 40)
        time, event = follow_up(rng, log_hazard, scale, 6, 40)
        ids = [f"{prefix}-{i:03d}" for i in range(1, n + 1)]
        response = np.where(responds, "responder", "non-responder")
        tables.append(
            pd.DataFrame(
                {
                    "patient_id": ids,
                    "slide_id": [f"{i}-biopsy.svs" for i in ids],
                    "cancer": cancer,
                    "arm": np.where(inhibitor, "inhibitor", "chemotherapy"),
                    "centre": [f"centre-{c}" for c in rng.integers(1, 4, n)],
                    "age": age,
                    "ecog": rng.choice([0, 1, 2], n, p=[0.35, 0.5, 0.15]),
                    # Not measured for everybody, as in practice.
                    "pd_l1": pd.Series(pd_l1).where(rng.random(n) < 0.9).astype("Int64"),
                    "tmb": pd.Series(tmb).where(rng.random(n) < 0.75),
                    "response": response,
                    "pfs_months": time,
                    "pfs_event": event,
                    "fold": folds(rng, responds.astype(int)),
                }
            )
        )
    cohort = pd.concat(tables, ignore_index=True)
    for name, cancer in (("fold_lung", "NSCLC"), ("fold_gastric", "gastro-oesophageal")):
        cohort[name] = cohort["fold"].where(cohort["cancer"] == cancer).astype("Int64")
    return cohort


TABLES = {
    "melanoma_relapse": melanoma,
    "pan_cancer_prognosis": pan_cancer,
    "immunotherapy_response": immunotherapy,
}


def main(folder: Path = HERE) -> None:
    """Write every table below `folder`."""
    for name, make in TABLES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        make().to_csv(folder / name / "cohort.csv", index=False)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
