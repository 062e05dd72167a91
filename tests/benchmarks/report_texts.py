"""Report texts: time of chunking and learned vectors, and false alarms of the leak probes.

Run: python tests/benchmarks/report_texts.py
"""

import time
from collections import Counter

import numpy as np

from outcome.checks.leak_scan import Probe, text_probes
from outcome.checks.probes import ProbeOutcomes, joint, single
from outcome.embeddings.reports.chunking import chunks
from outcome.embeddings.reports.tfidf import TfidfSvd

VOCABULARY = 30_000


def written(n: int, words: int, rng: np.random.Generator) -> list[str]:
    """Texts whose word frequencies follow Zipf's law, in sentences of 15 words."""
    share = 1 / np.arange(1, VOCABULARY + 1)
    drawn = rng.choice(VOCABULARY, size=(n, words), p=share / share.sum())
    return [
        " ".join(" ".join(f"w{w}" for w in part) + "." for part in np.array_split(row, words // 15))
        for row in drawn
    ]


def speed(n: int = 10_000, words: int = 300) -> None:
    texts = written(n, words, np.random.default_rng(0))
    start, worked = time.perf_counter(), time.process_time()
    parts = [chunks(text, 98) for text in texts]
    flat = [chunk for report in parts for chunk in report]
    model = TfidfSvd.fit(parts, 64)
    vectors = model(flat)
    took, worked = time.perf_counter() - start, time.process_time() - worked
    print(f"{n} reports of {words} words: {len(flat)} chunks to {vectors.shape}")
    print(f"{took:.1f} s, of which {worked:.1f} s of one processor's work")


def false_alarms(cohorts: int = 40) -> None:
    """Texts, report vectors and features that have nothing to do with the outcome."""
    rng, alarms = np.random.default_rng(0), Counter()
    for k in range(cohorts):
        n, events = (120, 300)[k % 2], (0.15, 0.4)[k // 4 % 2]
        times = None if k % 4 >= 2 else rng.exponential(900, n).round() + 1
        ids = tuple(str(i) for i in range(n))
        known = ProbeOutcomes(ids, times, rng.random(n) < events, np.arange(n) % 5, np.full(n, ""))
        x = rng.normal(size=(n, 512))
        probes = [*text_probes(dict(zip(ids, written(n, 100, rng), strict=True)), known)]
        probes += [Probe("feature", "", single(x, known)), Probe("report", "", joint(x, known))]
        alarms.update(p.severity for p in probes if p.severity)
    print(f"{cohorts} cohorts without a leak: {dict(alarms) or 'no alarm'}")


if __name__ == "__main__":
    speed()
    false_alarms()
