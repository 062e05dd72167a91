"""Peak anonymous memory of whole runs on cohorts of different size.

python tests/benchmarks/speed_memory.py FOLDER [--slides 50,500] [--set KEY=VALUE]...

RssAnon is what cannot be dropped; mapped pages of the store do not count. Every process of a run
is watched, and the largest of them is reported.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from speed_cohort import make

RUN = [sys.executable, "-c", "from outcome.cli import main; main()", "run"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slides", default="50,500")
    parser.add_argument("--patches", type=int, default=3000)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    found = []
    for slides in map(int, asked.slides.split(",")):
        study = make(asked.folder / f"cohort-{slides}-{asked.patches}", slides, asked.patches)
        out = asked.folder / f"run-{time.time_ns()}"
        words = [*RUN, study, "--out", out, "--jobs", 1, "--cache", asked.folder / "cache"]
        for setting in ["split.inner_folds=2", "training.epochs=2", *asked.set]:
            words += ["--set", setting]
        started = time.perf_counter()
        peak = watch([str(w) for w in words])
        found.append(peak)
        seconds = time.perf_counter() - started
        print(f"{slides} slides: RssAnon {peak / 1024:.0f} MiB, {seconds:.0f} s", flush=True)
    print(f"largest / smallest: {max(found) / min(found):.3f}")


def watch(words: list[str]) -> int:
    """Run a command; returns the highest RssAnon of its process, in KiB."""
    peak = 0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            for line in status.splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]))
            time.sleep(0.02)
        if process.wait():
            raise SystemExit(f"{words} failed")
    return peak


if __name__ == "__main__":
    main()
