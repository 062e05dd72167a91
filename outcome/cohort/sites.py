"""Folds that keep all patients of a site together (Howard 2021, doi:10.1038/s41467-021-24698-1).

A model that recognises a hospital by stain and scanner profits if its patients are on both sides of
a split. Therefore all patients of a site are assigned to the same fold, with patients with and
without the event distributed as evenly as possible. This is an integer programme. Its solver is
limited by a number of steps, not by time, so that the division does not depend on the speed of the
machine. The solution, and that of a simple rule, are improved by exchanging sites; the more even
one is used.
"""

from __future__ import annotations

from functools import lru_cache
from time import monotonic

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import CohortError

__all__ = ["site_folds"]

MOST_PLACES = 400
"""Sites times folds above which the integer programme takes too long. Above this limit, the simple
rule with exchanges was more even in all of 24 cohorts of 33 to 500 sites."""
STEPS = 10_000
"""Limit of the work: nodes of the search tree times positions (a site in a fold)."""
MOST_EXCHANGED = 1000
"""Number of sites above which the simple rule cannot be improved."""
MOST_EXCHANGES = 1000
SMALLEST_GAIN = 1e-12
PATIENCE = 1800.0
"""Seconds after which an error is raised; the division itself never depends on time."""
NUDGE = 0.02
"""Largest random cost of all sites together, which makes repeats differ."""
TANGENTS = (-1.0, -0.8, -0.6, -0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 8.0)


def site_folds(
    outcome: pd.Series, sites: pd.Series, n: int, seed: int
) -> tuple[list[list[str]], list[str]]:
    """Divide patients into folds of whole sites.

    Parameters
    ----------
    outcome : Series
        0 or 1 per patient, indexed by id.
    sites : Series
        Site of each patient, the same index.
    n : int
        Number of folds, at most the number of sites.
    seed : int

    Returns
    -------
    folds : list of list of str
        Patients of each fold.
    notes : list of str
        Notes on how uneven the folds are, and whether a simpler rule was used.

    Raises
    ------
    CohortError
        The machine is too slow to find a division.
    """
    names = sorted(set(sites))
    table = pd.crosstab(sites, outcome.astype(int)).reindex(index=names, columns=[0, 1])
    counts = table.fillna(0).astype(int).to_numpy()
    assigned, simple = divide_sites(tuple(map(tuple, counts.tolist())), n, seed)
    where = dict(zip(names, assigned, strict=True))
    folds = [outcome.index[(sites.map(where) == k).to_numpy()].tolist() for k in range(n)]
    return folds, _cost(counts, np.array(assigned), names, n, simple)


def _cost(
    counts: NDArray[np.int64], assigned: NDArray[np.int64], names: list[str], n: int, simple: bool
) -> list[str]:
    per_fold = np.stack([counts[assigned == k].sum(axis=0) for k in range(n)])
    size, events = per_fold.sum(axis=1), per_fold[:, 1]
    largest = int(counts.sum(axis=1).argmax())
    notes = [
        f"sites are kept together: folds contain {size.min()} to {size.max()} patients "
        f"({size.mean():.0f} if even) and {events.min()} to {events.max()} of them with the "
        f"event or label ({events.mean():.0f} if even); the largest of {len(names)} sites has "
        f"{counts[largest].sum()} patients"
    ]
    if simple:
        notes.append(
            "there are too many sites and folds for integer programming. Sites are assigned one "
            "by one, the largest first, and exchanged as long as this makes the folds more even"
        )
    return notes


@lru_cache(maxsize=64)
def divide_sites(
    counts: tuple[tuple[int, int], ...], n: int, seed: int
) -> tuple[tuple[int, ...], bool]:
    """Fold of each site, and whether the integer programme was too large or failed."""
    share = np.array(counts, dtype=float) / np.maximum(np.sum(counts, axis=0), 1)
    rng = np.random.default_rng(seed)
    nudge = rng.random((len(counts), n)) * NUDGE / len(counts)
    found = [deal_sites(share, n, rng)]
    best = _programme(share, n, nudge) if nudge.size <= MOST_PLACES else None
    if best is not None:
        found.insert(0, best)
    better = min(
        (_exchanged(share, a, n) for a in found), key=lambda a: division_unevenness(share, a, n)
    )
    return tuple(better.tolist()), best is None


def division_unevenness(share: NDArray[np.float64], assigned: NDArray[np.int64], n: int) -> float:
    """Sum over folds and classes of the squared deviation from an even share."""
    per_fold = np.stack([share[assigned == k].sum(axis=0) for k in range(n)])
    empty = sum(not (assigned == k).any() for k in range(n))
    return float(((per_fold * n - 1) ** 2).sum()) + 1e6 * empty


def deal_sites(share: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    order = np.lexsort((rng.random(len(share)), -share.sum(axis=1)))
    found = np.zeros(len(share), dtype=np.int64)
    filled = np.zeros((n, share.shape[1]))
    for rank, site in enumerate(order):
        over = (filled + share[site] / 2 - 1 / n) @ share[site]
        # The first sites are assigned to different folds, so that none stays empty.
        k = rank if rank < n else int(over.argmin())
        found[site] = k
        filled[k] += share[site]
    return found


def _exchanged(
    share: NDArray[np.float64], assigned: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    """Move a site, or swap two, as long as the folds become more even; the best exchange first."""
    found = assigned.copy()
    if len(share) > MOST_EXCHANGED:
        return found
    products = share @ share.T
    for _ in range(MOST_EXCHANGES):
        filled = np.stack([share[found == k].sum(axis=0) for k in range(n)])
        move, swap = _gains(share @ filled.T, products, found)
        if max(move.max(), swap.max()) < SMALLEST_GAIN:
            break
        if move.max() >= swap.max():
            site, fold = np.unravel_index(move.argmax(), move.shape)
            found[site] = fold
        else:
            one, other = np.unravel_index(swap.argmax(), swap.shape)
            found[[one, other]] = found[[other, one]]
    return found


def _gains(
    along: NDArray[np.float64], products: NDArray[np.float64], found: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Half of what the squares of the folds' shares lose by each move, and by each swap.

    `along` holds the product of each site's shares with those of each fold: a square that gains
    d grows by twice its product with d, and the square of d.
    """
    sites, square = np.arange(len(found)), np.diag(products)
    own = along[sites, found]
    move = own[:, None] - along - square[:, None]
    alone = np.bincount(found, minlength=along.shape[1])[found] == 1
    move[alone] = -np.inf  # no fold is left empty
    move[sites, found] = -np.inf
    there = along[:, found]
    apart = square[:, None] + square[None, :] - 2 * products
    swap = own[:, None] + own[None, :] - there - there.T - apart
    swap[found[:, None] == found[None, :]] = -np.inf
    return move, swap


def _programme(
    share: NDArray[np.float64], n: int, nudge: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Minimise the unevenness; None if no division was found within the steps."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csc_array, hstack, identity, kron, vstack

    n_sites, n_classes = share.shape
    n_places, n_gaps = n_sites * n, n * n_classes
    cost = np.concatenate([nudge.ravel(), np.ones(n_gaps)])
    none = csc_array((n_sites, n_gaps))
    once = hstack([kron(identity(n_sites), np.ones((1, n))), none])
    some = hstack([kron(np.ones((1, n_sites)), identity(n)), csc_array((n, n_gaps))])
    constraints = [
        LinearConstraint(once.tocsc(), 1, 1),
        LinearConstraint(some.tocsc(), 1, np.inf),
    ]
    # In shares of an even fold; a square is at least each of its tangents.
    filled = n * vstack([kron(share[:, [c]].T, identity(n)) for c in range(n_classes)])
    for at in TANGENTS:
        rows = hstack([2 * at * filled, -identity(n_gaps)])
        constraints.append(LinearConstraint(rows.tocsc(), -np.inf, at * at + 2 * at))
    upper = np.concatenate([np.ones(n_places), np.full(n_gaps, np.inf)])
    # Folds are interchangeable, so the largest site is in the first.
    largest = int(share.sum(axis=1).argmax())
    upper[largest * n + 1 : (largest + 1) * n] = 0
    kinds = np.concatenate([np.ones(n_places), np.zeros(n_gaps)])
    started = monotonic()
    found = milp(
        cost,
        integrality=kinds,
        bounds=Bounds(0, upper),
        constraints=constraints,
        options={
            "node_limit": max(1, STEPS // n_places),
            "time_limit": PATIENCE,
            "mip_rel_gap": 5e-3,
        },
    )
    if found.status == 1 and monotonic() - started >= PATIENCE:
        raise CohortError(
            f"{n_sites} sites could not be divided into {n} folds in {PATIENCE:g} seconds. To do:"
            " repeat it on a machine that is less busy, or use fewer folds"
        )
    if found.x is None:
        return None
    places: NDArray[np.int64] = found.x[:n_places].reshape(n_sites, n).argmax(axis=1)
    return places
