"""An external cohort for a simulated one: the same world, other patients, another site."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from outcome.errors import InputError
from outcome.progress import CountProgress, no_progress
from outcome.simulation.simulate import Simulation, draw_patients, write_cohort
from outcome.simulation.world import World

__all__ = ["simulate_external"]


def simulate_external(
    out: Path,
    cohort: Path,
    *,
    patients: int | None = None,
    patches: int | None = None,
    missing_reports: float | None = None,
    seed: int = 0,
    progress: CountProgress = no_progress,
) -> Path:
    """Write an external cohort, to practise the validation of a model.

    The true score is the same function of tissue, grade, stage and age as in the first cohort, and
    vectors of the same tissue and text have the same distribution. The patients are different and
    come from a new site with its own shift.

    Parameters
    ----------
    out : Path
        A new or empty folder for the same files as those of `simulate`.
    cohort : Path
        Folder of a simulated cohort, or its study file.
    patients, patches, missing_reports : optional
        As for `Simulation`; by default those of the first cohort.
    seed : int
        Other seeds give other sites and patients.
    progress : callable
        Called with the number of slides written so far, and of all slides.

    Returns
    -------
    Path
        The study file, ready for `outcome.validate`.

    Raises
    ------
    InputError
        `cohort` is not a simulated cohort, a number is out of range, or `out` is not empty.

    Examples
    --------
    >>> import tempfile
    >>> from outcome.simulation.simulate import simulate
    >>> folder = Path(tempfile.mkdtemp())
    >>> first = simulate(folder / "first", Simulation(patients=20, patches=5, dimension=16))
    >>> simulate_external(folder / "external", first, patients=30).name
    'study.yaml'
    """
    world = World.read(cohort.parent if cohort.is_file() else cohort)
    first = Simulation(**world.settings)
    s = replace(
        first,
        patients=first.patients if patients is None else patients,
        patches=first.patches if patches is None else patches,
        missing_reports=first.missing_reports if missing_reports is None else missing_reports,
        sites=1,
        seed=seed,
    )
    if seed < 0:
        raise InputError(f"simulate: seed must be at least 0, not {seed}")
    # A different random stream from that of `simulate`: the same seed must not give the same
    # patients.
    rng = np.random.default_rng([seed, 20261126])
    site = f"external-{seed}"
    shift = rng.normal(size=s.dimension) * s.site_shift
    world = replace(world, patches=replace(world.patches, sites={site: shift}))
    drawn = draw_patients(s, rng)
    drawn["patient_id"] = drawn["patient_id"].str.replace("SIM-", f"EXT{seed}-")
    drawn["site"] = site
    return write_cohort(out, s, drawn, rng, world, progress, name=f"simulated-{s.endpoint}-{site}")
