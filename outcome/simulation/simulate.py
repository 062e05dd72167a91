"""Cohorts with a known truth, in the layout that real feature extractors write.

The model
---------
A patch is one of several tissues. Six of them (stroma, fat, muscle, necrosis, normal, blood) make
up most of a slide, in proportions that vary widely between patients and are unrelated to the
outcome. Tumour front and immune aggregates are rare: together at most `informative` of a slide. A
patch vector is the prototype of its tissue, plus low-rank variation within the tissue, plus a shift
of its site (scanner, stain), plus a shift of its slide, plus white noise. A tissue lies in one or
two regions of a slide; the dataset `simulated_tissue` of a slide's file says which patch is of
which tissue.

A report has 3 to 7 chunks. Each has a topic that is unrelated to the outcome; one chunk also
carries the patient's grade, a latent number that is correlated with the tissue by `shared`.

With everything standardised over the cohort, the true log hazard is::

    image_effect * (tumour fraction - immune fraction)
    + report_effect * grade + stage_effect * stage + age_effect * age

where the fractions are those on the patient's slides. Event times are Weibull (shape 1.2) with this
hazard. Censoring is uniform, with its end chosen so that about `event_rate` of the patients have
the event. With `delayed_entry`, a share of the source population comes under observation at a time
that is uniform over the first 1500 days; patients who had the event before entry are never
observed, so the observed patients are not a random sample of the source population. A binary
relapse or a response is drawn with the logit of the same score (a response with its negative); the
effects are then log odds.

A simulated trial (`treatment_effect` is given) has two randomised treatments, in column `arm`. The
log hazard of patients with `drug` increases by::

    treatment_effect + interaction * (tumour fraction - immune fraction)

so the effect of the drug depends on the image.

`truth.csv` holds the score, its parts, and, for a label, the true probability. `world.npz` holds
the parts that an external cohort shares (`outcome.simulation.external`): prototypes, topics,
effects, and the constants of the standardisation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from outcome.errors import InputError
from outcome.progress import CountProgress, no_progress
from outcome.simulation.files import (
    N_COMMON,
    TISSUES,
    features_folder,
    write_features,
    write_reports,
)
from outcome.simulation.world import Constants, PatchWorld, ReportWorld, World

__all__ = ["TISSUES", "Simulation", "draw_patients", "draw_tissues", "simulate", "write_cohort"]

Array = NDArray[np.float64]
ENTRY_SPAN = 1500.0
"""Period, in days, over which patients enter late."""
PER_PATIENT = 4
"""Patients of the source population per observed patient."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What to simulate.

    Parameters
    ----------
    endpoint : {"survival", "relapse", "response"}
        Time to death; relapse yes or no; response to treatment with progression-free survival.
    patients : int
    patches : int
        Median number of patches per slide.
    dimension : int
        Length of a patch vector, and of a report chunk.
    informative : float
        Largest proportion of a slide that carries information on the outcome.
    image_effect, report_effect, stage_effect, age_effect : float
        Log hazard (or log odds) per standard deviation.
    shared : float
        Correlation of the information in the report and in the image.
    sites : int
        Hospitals, each with its own shift of the patch vectors.
    site_shift : float
        Size of that shift, in standard deviations of the noise, per dimension.
    missing_reports : float
        Proportion of patients without a report.
    event_rate : float
        Proportion of patients with an event (survival), or with the positive label.
    delayed_entry : float
        For survival: proportion of the source population with delayed entry, as in a registry.
        `patients` is the number of observed patients.
    seed : int
    treatment_effect : float, optional
        Log hazard ratio of `drug` against `control` in an average patient; for a label, the log
        odds ratio of the worse outcome. By default the cohort has no treatments.
    interaction : float
        Change of this log ratio per standard deviation of the image score. If negative, the benefit
        of the drug increases with the risk seen in the image.
    """

    endpoint: Literal["survival", "relapse", "response"] = "survival"
    patients: int = 300
    patches: int = 500
    dimension: int = 1024
    informative: float = 0.1
    image_effect: float = 0.65
    report_effect: float = 0.55
    stage_effect: float = 0.3
    age_effect: float = 0.2
    shared: float = 0.1
    sites: int = 5
    site_shift: float = 0.15
    missing_reports: float = 0.1
    event_rate: float = 0.5
    delayed_entry: float = 0.0
    seed: int = 0
    treatment_effect: float | None = None
    interaction: float = 0.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be {what}, not {getattr(self, name)}"
            for name, good, what in (
                ("patients", self.patients >= 20, "at least 20"),
                ("patches", self.patches >= 5, "at least 5"),
                ("dimension", self.dimension >= 16, "at least 16"),
                ("informative", 0 < self.informative <= 1, "in (0, 1]"),
                ("shared", -1 < self.shared < 1, "in (-1, 1)"),
                ("sites", self.sites >= 1, "at least 1"),
                ("missing_reports", 0 <= self.missing_reports < 1, "in [0, 1)"),
                ("event_rate", 0 < self.event_rate < 1, "in (0, 1)"),
                ("delayed_entry", 0 <= self.delayed_entry <= 1, "in [0, 1]"),
            )
            if not good
        ]
        if self.endpoint not in ("survival", "relapse", "response"):
            wrong.append(f"endpoint must be survival, relapse or response, not {self.endpoint!r}")
        if self.interaction and self.treatment_effect is None:
            wrong.append(
                "interaction needs treatment_effect, without which no treatments are simulated"
            )
        if self.interaction and not self.image_effect:
            wrong.append("interaction needs an image_effect that is not 0")
        if self.delayed_entry and self.endpoint != "survival":
            wrong.append("delayed_entry needs the endpoint survival")
        if wrong:
            raise InputError("simulate: " + "; ".join(wrong))

    @property
    def population(self) -> int:
        """Patients of the source population; with delayed entry more than are observed."""
        return self.patients * (PER_PATIENT if self.delayed_entry else 1)


def simulate(
    out: str | Path,
    simulation: Simulation | None = None,
    *,
    progress: CountProgress = no_progress,
) -> Path:
    """Write a simulated cohort.

    It consists of study.yaml, cohort.csv, patch features, reports.h5, truth.csv and world.npz.

    Parameters
    ----------
    out : path
        A new or empty folder.
    simulation : Simulation, optional
    progress : callable
        Called with the number of slides written so far, and of all slides.

    Returns
    -------
    Path
        The study file, ready for `outcome run`.

    Raises
    ------
    InputError
        The folder is not empty.

    Examples
    --------
    >>> import outcome
    >>> few = outcome.Simulation(patients=20, patches=5, dimension=16)
    >>> study = outcome.Study.read(outcome.simulate("simulated", few))
    >>> study.arms[-1].inputs
    ('image', 'report')
    """
    s, out = simulation or Simulation(), Path(out)
    rng = np.random.default_rng([s.seed, 20240607])
    return write_cohort(out, s, draw_patients(s, rng), rng, None, progress)


def write_cohort(
    out: Path,
    s: Simulation,
    patients: pd.DataFrame,
    rng: np.random.Generator,
    world: World | None,
    progress: CountProgress,
    *,
    name: str = "",
) -> Path:
    """Write a cohort of these patients; without a given world, a new one is drawn.

    Parameters
    ----------
    out : Path
        A new or empty folder.
    s : Simulation
    patients : DataFrame
        As `draw_patients` returns them.
    rng : Generator
    world : World or None
        Must contain the sites of the patients.
    progress : callable
        Called with the number of slides written so far, and of all slides.
    name : str
        Name of the study.

    Returns
    -------
    Path
        The study file.

    Raises
    ------
    InputError
        The folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty; give a new folder")
    constants = world.constants if world else Constants()
    slides = draw_slides(s, patients, rng)
    tissue = [draw_tissues(s, patients, row, rng) for row in slides.itertuples()]
    score = draw_truth(s, patients, slides, tissue, constants)
    arm = draw_treatment(s, score)
    outcomes = draw_outcomes(s, score, rng, constants)
    if s.delayed_entry:
        seen = np.flatnonzero(outcomes["os_days"].notna())[: s.patients]
        patients, score, outcomes = (
            t.iloc[seen].reset_index(drop=True) for t in (patients, score, outcomes)
        )
        outcomes = outcomes.astype(dict.fromkeys(outcomes.columns[1:], int))
        kept = slides["of"].isin(seen)
        tissue = [t for t, keep in zip(tissue, kept, strict=True) if keep]
        slides = slides[kept].reset_index(drop=True)
        slides["of"] = np.searchsorted(seen, slides["of"])
    cohort = patients[["patient_id", "site", "stage", "age"]].merge(slides, on="patient_id")
    cohort = cohort.drop(columns=["n", "of"]).merge(outcomes, on="patient_id")
    if arm is not None:
        cohort = cohort.merge(arm, on="patient_id")
    features = features_folder(out)
    features.mkdir(parents=True)
    # Drawn only if needed, so that a seed always gives the same cohort.
    patches = world.patches if world else PatchWorld.draw(s, len(TISSUES), patients["site"], rng)
    write_features(patches, features, patients, slides, tissue, rng, progress)
    reports = world.reports if world else ReportWorld.draw(s, rng)
    write_reports(reports, out / "reports.h5", patients, rng)
    World(settings(s), patches, reports, constants).write(out)
    cohort.to_csv(out / "cohort.csv", index=False)
    score.to_csv(out / "truth.csv", index=False)
    study = _study(s, features.relative_to(out), name or f"simulated-{s.endpoint}")
    text = "# SIMULATED data with a known truth (truth.csv), without real patients.\n"
    text += f"# Made by `outcome simulate` with {settings(s)}\n"
    (out / "study.yaml").write_text(text + yaml.safe_dump(study, sort_keys=False))
    return out / "study.yaml"


def settings(s: Simulation) -> dict[str, Any]:
    """Return the settings; treatments and delayed entry only if they are simulated."""
    asked = asdict(s)
    if s.treatment_effect is None:
        del asked["treatment_effect"], asked["interaction"]
    if not s.delayed_entry:
        del asked["delayed_entry"]
    return asked


def draw_treatment(s: Simulation, score: pd.DataFrame) -> pd.DataFrame | None:
    """Randomise treatments and add their effect to the score; None without treatments."""
    if s.treatment_effect is None:
        return None
    # A separate generator: treatments must not change the rest of the cohort.
    rng = np.random.default_rng([s.seed, 20261125])
    treated = rng.permutation(s.population) < s.population / 2
    image = score["image"].to_numpy() / (s.image_effect or 1.0)
    score["treatment_effect"] = s.treatment_effect + s.interaction * image
    score["log_hazard"] += np.where(treated, score["treatment_effect"], 0.0)
    arm = np.where(treated, "drug", "control")
    return pd.DataFrame({"patient_id": score["patient_id"], "arm": arm})


def draw_patients(s: Simulation, rng: np.random.Generator) -> pd.DataFrame:
    """Draw sites, covariates, and the latent values that slides and reports express."""
    n = s.population
    tumour, immune, own = rng.normal(size=(3, n))
    tissue = (tumour - immune) / np.sqrt(2)
    stage = rng.choice(4, size=n, p=[0.25, 0.3, 0.3, 0.15])
    return pd.DataFrame(
        {
            "patient_id": [f"SIM-{i:04d}" for i in rng.permutation(n)],
            "site": [f"site-{k + 1}" for k in rng.integers(s.sites, size=n)],
            "tumour": tumour,
            "immune": immune,
            "grade": s.shared * tissue + np.sqrt(1 - s.shared**2) * own,
            "stage_number": stage,
            "stage": np.array(["I", "II", "III", "IV"])[stage],
            "age": np.round(np.clip(rng.normal(63, 11, n), 18, 95)),
            "has_report": rng.random(n) >= s.missing_reports,
        }
    )


def draw_slides(s: Simulation, patients: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One slide for most patients, two for a sixth of them."""
    rows = []
    for row, patient in enumerate(patients["patient_id"]):
        for k in range(1 + int(rng.random() < 1 / 6)):
            n = max(5, int(s.patches * np.exp(0.3 * rng.normal())))
            rows.append((patient, f"{patient}-01Z-00-DX{k + 1}.{rng.integers(16**8):08X}", n, row))
    return pd.DataFrame(rows, columns=["patient_id", "slide_id", "n", "of"])


def draw_tissues(
    s: Simulation, patients: pd.DataFrame, slide: Any, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Tissue of each patch of one slide."""
    patient = patients.iloc[slide.of]
    squash = [1 / (1 + np.exp(-1.5 * patient[k])) for k in ("tumour", "immune")]
    rare = s.informative * np.array([0.6, 0.4]) * squash
    common = rng.dirichlet(np.full(N_COMMON, 1.5)) * (1 - rare.sum())
    counts = rng.multinomial(slide.n, np.append(common, rare))
    # The limit applies to the realised fraction, not only to its expectation.
    limit = int(s.informative * slide.n)
    while counts[N_COMMON:].sum() > limit:
        counts[N_COMMON + int(counts[N_COMMON:].argmax())] -= 1
        counts[0] += 1
    return rng.permutation(np.repeat(np.arange(len(TISSUES)), counts))


def draw_truth(
    s: Simulation,
    patients: pd.DataFrame,
    slides: pd.DataFrame,
    tissue: list[NDArray[np.int64]],
    constants: Constants | None = None,
) -> pd.DataFrame:
    """Return the true score of each patient and its parts, with given or new constants."""
    standard = (constants or Constants()).standardised
    counts = np.stack([np.bincount(t, minlength=len(TISSUES)) for t in tissue])
    per_patient = np.zeros((len(patients), len(TISSUES)))
    np.add.at(per_patient, slides["of"].to_numpy(), counts)
    share = per_patient / per_patient.sum(axis=1, keepdims=True)
    tumour = standard("tumour fraction", share[:, N_COMMON])
    immune = standard("immune fraction", share[:, N_COMMON + 1])
    stage = patients["stage_number"].to_numpy(dtype=float)
    parts = {
        "image": s.image_effect * standard("image", tumour - immune),
        "report": s.report_effect * standard("grade", patients["grade"].to_numpy()),
        "stage": s.stage_effect * standard("stage", stage),
        "age": s.age_effect * standard("age", patients["age"].to_numpy()),
    }
    truth = pd.DataFrame({"patient_id": patients["patient_id"], **parts})
    truth["image+report"] = truth["image"] + truth["report"]
    truth["log_hazard"] = sum(parts.values())
    truth["tumour_fraction"] = share[:, N_COMMON]
    truth["immune_fraction"] = share[:, N_COMMON + 1]
    return truth


def draw_outcomes(
    s: Simulation,
    score: pd.DataFrame,
    rng: np.random.Generator,
    constants: Constants | None = None,
) -> pd.DataFrame:
    """Follow-up or labels; the true probability of a label is added to `score`.

    With delayed entry, patients who are never observed have no follow-up.
    """
    constants = constants or Constants()
    hazard = score["log_hazard"].to_numpy()
    table = pd.DataFrame({"patient_id": score["patient_id"]})
    if s.delayed_entry:
        late = _delayed(hazard, s, rng, constants)
        return table.assign(**late)
    if s.endpoint == "survival":
        table["os_days"], table["os_event"] = _follow_up(hazard, s.event_rate, rng, constants)
        return table
    sign = -1.0 if s.endpoint == "response" else 1.0
    logit = sign * hazard + constants.settle(
        "intercept", lambda: _intercept(sign * hazard, s.event_rate)
    )
    score["probability"] = 1 / (1 + np.exp(-logit))
    positive = rng.random(s.patients) < score["probability"]
    if s.endpoint == "relapse":
        table["relapse"] = np.where(positive, "yes", "no")
        return table
    table["response"] = np.where(positive, "responder", "non-responder")
    table["pfs_days"], table["pfs_event"] = _follow_up(hazard - 0.7 * positive, 0.7, rng, constants)
    return table


def _follow_up(
    hazard: Array, event_rate: float, rng: np.random.Generator, constants: Constants
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n = len(hazard)
    time = 1500 * (rng.exponential(size=n) / np.exp(hazard)) ** (1 / 1.2)
    when = rng.random(n)
    last = constants.settle("longest follow-up", lambda: _last_follow_up(time, when, event_rate))
    seen = time <= when * last
    return np.ceil(np.where(seen, time, when * last)).astype(int), seen.astype(int)


def _delayed(
    hazard: Array, s: Simulation, rng: np.random.Generator, constants: Constants
) -> dict[str, Array]:
    """Return entry, follow-up and event; NaN for those with the event before their entry.

    Censoring is uniform from the entry on.
    """
    n = len(hazard)
    time = 1500 * (rng.exponential(size=n) / np.exp(hazard)) ** (1 / 1.2)
    entry = np.where(rng.random(n) < s.delayed_entry, ENTRY_SPAN * rng.random(n), 0.0)
    when, seen = rng.random(n), time > entry
    last = constants.settle(
        "longest follow-up",
        lambda: _last_follow_up((time - entry)[seen], when[seen], s.event_rate),
    )
    stop = entry + when * last
    found = {
        "os_entry_days": np.floor(entry),
        # A patient who enters is observed for some time.
        "os_days": np.maximum(np.ceil(np.minimum(time, stop)), np.floor(entry) + 1),
        "os_event": (time <= stop).astype(float),
    }
    return {name: np.where(seen, values, np.nan) for name, values in found.items()}


def _last_follow_up(time: Array, when: Array, event_rate: float) -> float:
    """End of uniform censoring at which the desired proportion of patients has the event."""
    low, high = 1.0, 1e7
    for _ in range(80):
        end = float(np.sqrt(low * high))
        low, high = (low, end) if np.mean(time <= when * end) > event_rate else (end, high)
    return high


def _intercept(logit: Array, rate: float) -> float:
    low, high = -50.0, 50.0
    for _ in range(80):
        middle = (low + high) / 2
        below = np.mean(1 / (1 + np.exp(-(logit + middle)))) < rate
        low, high = (middle, high) if below else (low, middle)
    return low


def _study(s: Simulation, features: Path, name: str) -> dict[str, Any]:
    endpoint: dict[str, Any]
    if s.endpoint == "survival":
        endpoint = {"kind": "survival", "name": "overall survival"}
        endpoint |= {"time": "os_days", "event": "os_event", "unit": "days"}
        endpoint |= {"entry": "os_entry_days"} if s.delayed_entry else {}
    elif s.endpoint == "relapse":
        endpoint = {"kind": "binary", "name": "relapse", "label": "relapse", "positive": "yes"}
        endpoint |= {"negative": "no"}
    else:
        endpoint = {"kind": "binary", "name": "response", "label": "response"}
        endpoint |= {"positive": "responder", "negative": "non-responder", "favourable": True}
    treatment = {"column": "arm", "reference": "control", "randomised": True}
    return {
        "name": name,
        "cohort": "cohort.csv",
        "endpoint": endpoint,
        **({"treatment": treatment} if s.treatment_effect is not None else {}),
        "embeddings": {"patches": features.as_posix(), "reports": "reports.h5"},
        "covariates": {"numeric": ["age"], "categorical": ["stage"]},
        "arms": ["image", "report", "image+report"],
        "baseline": "image",
        "split": {"folds": 5, "site": "site"},
    }
