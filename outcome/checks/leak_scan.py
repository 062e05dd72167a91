"""The leak scan: checks whether the inputs contain the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from outcome.checks.duplicate_inputs import foreign_slide_ids, identical_bags, identical_reports
from outcome.checks.findings import SEVERITIES, Finding, Severity
from outcome.checks.probes import Accuracy, ProbeOutcomes, joint, single, tokens
from outcome.checks.report_text_leaks import scan_follow_up, scan_words
from outcome.dataset.study_data import StudyData
from outcome.embeddings.reports.study_texts import StudyTexts, study_texts
from outcome.endpoint import is_blank
from outcome.study import ReportTexts, Study

__all__ = ["BOUNDS", "LeakScan", "Probe", "scan_leaks"]

Array = NDArray[np.float64]
BOUNDS = {
    "token": 0.80,
    "text": 0.75,
    "report": 0.75,
    "covariate": 0.85,
    "feature": 0.85,
    "nuisance": 0.75,
}
"""C-index or AUROC above which a value is implausible. A finding is severe if the whole interval is
above the bound. It is a warning if the value is above the bound and the whole interval is in the
upper half of the range from chance to the bound."""
REMEDY = {
    "token": "check where this word occurs in the texts; remove text that was written later",
    "text": "check the texts for passages that were written after the outcome was known",
    "report": "check the reports for passages that were written after the outcome was known",
    "covariate": "make sure that its values were known at the start of follow-up",
    "feature": "check this feature of the vectors: is it a column of the table, included by "
    "mistake?",
    "nuisance": "check whether cases and controls were collected differently; consider "
    "`split.site_preserved`",
}
SHOWN_TOKENS = 3
LEVEL_FOLDS, SHRINKAGE = 5, 5


@dataclass(frozen=True)
class Probe:
    """How well one variable predicts the outcome, compared with a plausible bound.

    Parameters
    ----------
    kind : str
        A key of `BOUNDS`.
    name : str
    accuracy : Accuracy
    """

    kind: str
    name: str
    accuracy: Accuracy

    @property
    def bound(self) -> float:
        """Bound of implausible values."""
        return BOUNDS[self.kind]

    @property
    def severity(self) -> Severity | None:
        """`severe`, `warning`, or None if the value is plausible."""
        if self.accuracy.lower > self.bound:
            return "severe"
        halfway = (0.5 + self.bound) / 2
        doubtful = self.accuracy.value > self.bound and self.accuracy.lower > halfway
        return "warning" if doubtful else None


@dataclass(frozen=True)
class LeakScan:
    """Results of the scan.

    Parameters
    ----------
    findings : tuple of Finding
        Most severe first.
    probes : tuple of Probe
        All statistical probes, with or without a finding.
    metric : str
        `C-index` or `AUROC`.
    """

    findings: tuple[Finding, ...]
    probes: tuple[Probe, ...]
    metric: str

    @property
    def severe(self) -> list[Finding]:
        """Findings that would make the results wrong."""
        return [f for f in self.findings if f.severity == "severe"]

    @property
    def warnings(self) -> list[str]:
        """Findings that are warnings, as sentences."""
        return [f"Leak scan, {f}" for f in self.findings if f.severity != "note"]

    def table(self) -> pd.DataFrame:
        """Return the probes, with columns `probe, metric, estimate, lower, upper, bound, found`."""
        rows = [
            (p.name, self.metric, p.accuracy.value, p.accuracy.lower, p.accuracy.upper, p.bound,
             p.severity or "")
            for p in self.probes
        ]  # fmt: skip
        columns = ["probe", "metric", "estimate", "lower", "upper", "bound", "found"]
        return pd.DataFrame(rows, columns=columns)


def scan_leaks(study: Study, study_data: StudyData) -> LeakScan:
    """Look for the outcome in texts, vectors, covariates and ids.

    Parameters
    ----------
    study : Study
    study_data : StudyData

    Notes
    -----
    Only texts named in the study can be read. If there are only report vectors, chunks that are
    identical in several patients replace tokens, because a leak that is obvious in a word can be
    almost invisible in the mean of the vectors.
    """
    patients = study_data.cohort.patients
    table = _texts(study, study_data)
    findings = [*identical_bags(study_data), *identical_reports(study_data, table.texts)]
    findings += foreign_slide_ids(study_data.cohort.slides)
    if table.texts:
        findings += scan_words(table.texts, table.dates)
        findings += scan_follow_up(table.texts, patients)
    outcomes = ProbeOutcomes.of(study_data)
    metric = "AUROC" if outcomes.time is None else "C-index"
    probes = [p for p in _probes(study, study_data, table.texts, outcomes) if _usable(p)]
    findings += [f for p in probes if (f := _finding(p, metric)) is not None]
    findings.sort(key=lambda f: SEVERITIES.index(f.severity))
    return LeakScan(tuple(findings), tuple(probes), metric)


def _texts(study: Study, study_data: StudyData) -> StudyTexts:
    source = study.embeddings.reports
    if not isinstance(source, ReportTexts):
        return StudyTexts({}, {})
    found = study_texts(source, study.columns.patient)
    mine = {p: t for p, t in found.texts.items() if p in study_data.cohort.patients.index}
    return StudyTexts(mine, found.dates)


def _usable(probe: Probe) -> bool:
    return bool(np.isfinite(probe.accuracy.value) and np.isfinite(probe.accuracy.lower))


def _finding(probe: Probe, metric: str) -> Finding | None:
    if probe.severity is None:
        return None
    a = probe.accuracy
    many = f", corrected for {a.tested:,} tests" if a.tested > 1 else ""
    what = (
        f"{probe.name}: {metric} {a.value:.2f} (95% interval {a.lower:.2f} to {a.upper:.2f}{many})"
        f" is implausibly good, above {probe.bound}"
    )
    return Finding(probe.severity, what, remedy=REMEDY[probe.kind])


def _probes(
    study: Study, study_data: StudyData, texts: Mapping[str, str], outcomes: ProbeOutcomes
) -> Iterator[Probe]:
    if texts:
        yield from text_probes(texts, outcomes)
    if study_data.reports is not None and not _learned(study):
        yield from _report_probes(study_data, outcomes)
    rows = study_data.cohort.patients.loc[list(outcomes.patients)]
    for name in study.covariates.numeric:
        text = rows[f"column:{name}"]
        number = pd.to_numeric(text.where(~is_blank(text)), errors="coerce").to_numpy(dtype=float)
        yield from _one("covariate", f"covariate {name}", number, outcomes)
    for name in study.covariates.categorical:
        levels = rows[f"column:{name}"].astype(str).to_numpy()
        yield Probe("covariate", f"covariate {name}", _levels(levels, outcomes))
    if study_data.slides:
        means = [study_data.mean("image", p) for p in outcomes.patients]
        width = study_data.dimensions["image"]
        x = np.stack([np.full(width, np.nan) if m is None else m for m in means])
        if (best := single(x, outcomes)) is not None:
            yield Probe("feature", f"feature {best.index} of the mean patch vector", best)
    yield from _nuisances(study_data, rows, outcomes)


def _learned(study: Study) -> bool:
    source = study.embeddings.reports
    return isinstance(source, ReportTexts) and source.learned


def text_probes(texts: Mapping[str, str], outcomes: ProbeOutcomes) -> Iterator[Probe]:
    ordered = [texts.get(p, "") for p in outcomes.patients]
    counter = CountVectorizer(binary=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    try:
        present = counter.fit_transform(ordered).tocsc()
    except ValueError:  # no words at all
        return
    words = counter.get_feature_names_out()
    shown: set[str] = set()
    for found in tokens(present, outcomes):
        said = str(words[found.index])
        # One finding per word: pairs with neighbouring words give the same information.
        if len(shown) < SHOWN_TOKENS and not shown & set(said.split()):
            shown.update(said.split())
            masked = "".join("#" if c.isdigit() else c for c in said)
            yield Probe("token", f"“{masked}” in the reports", found)
    # TF-IDF weights do not depend on the outcome and may be fitted on all patients, unlike the
    # regression.
    weigh = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1, 2), max_features=20_000)
    try:
        x = weigh.fit_transform(ordered).tocsr()
    except ValueError:  # no word occurs in three reports
        return
    yield Probe("text", "all words of the reports together (TF-IDF, ridge)", joint(x, outcomes))


def _report_probes(study_data: StudyData, outcomes: ProbeOutcomes) -> Iterator[Probe]:
    means = [study_data.mean("report", p) for p in outcomes.patients]
    width = study_data.dimensions["report"]
    x = np.stack([np.full(width, np.nan) if m is None else m for m in means])
    yield Probe("report", "mean report vectors (ridge)", joint(x, outcomes))
    if (best := single(x, outcomes)) is not None:
        yield Probe("feature", f"feature {best.index} of the mean report vector", best)
    for found in tokens(_shared_chunks(study_data, outcomes), outcomes)[:1]:
        yield Probe("token", "a report chunk that many patients share", found)


def _shared_chunks(study_data: StudyData, outcomes: ProbeOutcomes) -> sparse.csc_matrix:
    """Patients with each chunk vector; vectors that agree to three digits count as identical."""
    index: dict[bytes, int] = {}
    rows, columns = [], []
    for row, patient in enumerate(outcomes.patients):
        vectors = study_data.reports.vectors(patient) if study_data.reports is not None else None
        if vectors is None:
            continue
        rounded = np.round(vectors, 3) + 0.0
        for chunk in {c.tobytes(): None for c in rounded}:
            rows.append(row)
            columns.append(index.setdefault(chunk, len(index)))
    shape = (len(outcomes.patients), max(len(index), 1))
    return sparse.csc_matrix((np.ones(len(rows)), (rows, columns)), shape)


def _one(kind: str, name: str, x: Array, outcomes: ProbeOutcomes) -> Iterator[Probe]:
    if np.isfinite(x).any() and (best := single(x[:, None], outcomes)) is not None:
        yield Probe(kind, name, best)


def _levels(levels: NDArray[Any], outcomes: ProbeOutcomes) -> Accuracy:
    """Accuracy of the mean outcome of other patients of the same level.

    This uses separate folds: if the folds of the study keep sites together, no site is in two
    folds.
    """
    n = len(levels)
    fold = np.random.default_rng(0).permutation(n) % LEVEL_FOLDS
    _, code = np.unique(levels, return_inverse=True)
    score = np.zeros(n)
    for k in range(LEVEL_FOLDS):
        learn = fold != k
        residual = outcomes.residual(learn)
        total = np.bincount(code[learn], residual[learn], minlength=code.max() + 1)
        known = np.bincount(code[learn], minlength=code.max() + 1)
        score[~learn] = (total / (known + SHRINKAGE))[code[~learn]]
    group = [f"{f}|{s}" for f, s in zip(fold, outcomes.stratum, strict=True)]
    return outcomes.accuracy(score, group=group)


def _nuisances(
    study_data: StudyData, rows: pd.DataFrame, outcomes: ProbeOutcomes
) -> Iterator[Probe]:
    """Probe acquisition variables, which should be uninformative: site and amount of material."""
    patients = outcomes.patients
    if "site" in rows:
        levels = rows["site"].astype(str).to_numpy()
        yield Probe("nuisance", "the site", _levels(levels, outcomes))
    if study_data.slides:
        patches = np.array([float(sum(s.n for s in study_data.slides[p])) for p in patients])
        yield from _one("nuisance", "the number of patches", patches, outcomes)
        slides = np.array([float(len(study_data.slides[p])) for p in patients])
        yield from _one("nuisance", "the number of slides", slides, outcomes)
    if study_data.reports is not None:
        has = np.array([float(p in study_data.reports.rows) for p in patients])
        yield from _one("nuisance", "presence of a report", has, outcomes)
