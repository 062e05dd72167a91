"""Explain patients one by one: maps, lists of patches, shares of the inputs, faithfulness."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from outcome.bundle.bundle import Bundle
from outcome.bundle.ensemble import Ensemble
from outcome.bundle.new_patients import NewPatients
from outcome.bundle.serialization import bundle_digest
from outcome.cohort import slide_name
from outcome.embeddings.patches.bag import Bag
from outcome.embeddings.patches.find import SlideFiles
from outcome.embeddings.patches.geometry import patch_geometry
from outcome.embeddings.patches.readers.lazyslide import is_store, tiles_of
from outcome.errors import BundleError, RunFolderError
from outcome.explain.contributions import Contributions, patch_contributions
from outcome.explain.faithfulness import deletion_rows
from outcome.explain.geojson import feature_collection, tile_collection
from outcome.explain.input_shares import modality_values
from outcome.explain.thumbnails import Thumbnail, find_thumbnail
from outcome.exporting.lazyslide_table import add_tile_table
from outcome.progress import Progress, no_progress

__all__ = ["Explanation", "Where", "explain"]

ABOUT = "attention.json"
Where = Literal["copy", "original"]


@dataclass(frozen=True)
class Explanation:
    """Results of an explanation.

    Parameters
    ----------
    folder : Path
        Per slide `<slide>.patches.csv` (all patches), `<slide>.top.csv`, `<slide>.geojson` (the
        listed patches), `<slide>.tiles.geojson` (all, for QuPath) and `<slide>.png`; if requested,
        also a copy of a LazySlide store.
    patches : mapping of slide to DataFrame
        `x, y, side, attention, attention_percentile, contribution, end, rank`. Attention and
        percentiles are over all slides of the patient.
    modalities : DataFrame
        Per patient: `risk` and `linear_predictor` as returned by `predict` (the latter is the
        calibrated log hazard, or logit of the worse outcome), the Shapley value of each input for
        the linear predictor, and `share_<input>`, its share of the sum of absolute values.
    faithfulness : DataFrame
        Per patient and share of deleted patches: see `outcome.explain.faithfulness`.
    notes, warnings : list of str
    """

    folder: Path
    patches: dict[str, pd.DataFrame]
    modalities: pd.DataFrame
    faithfulness: pd.DataFrame
    notes: list[str]
    warnings: list[str]


def explain(
    bundle: Bundle,
    new_patients: NewPatients,
    *,
    slides: Sequence[str],
    patients: Sequence[str],
    out: Path,
    top: int = 20,
    images: Path | None = None,
    seed: int = 0,
    titles: Mapping[str, str] | None = None,
    lazyslide: Where | None = None,
    progress: Progress = no_progress,
) -> Explanation:
    """Explain some slides or patients; parameters as for `outcome.attention`.

    Parameters
    ----------
    titles : mapping, optional
        Slide to the title of its map; by default the name of the slide.
    lazyslide : {"copy", "original"}, optional
        Add a table to a copy of the LazySlide store of the slide, or to the store itself.

    Raises
    ------
    BundleError
        A slide or patient is not in the cohort, or none was given.
    RunFolderError
        The folder contains other files.
    """
    chosen = _choose(new_patients, slides, patients, "image" in bundle.inputs)
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / ABOUT).is_file()):
        raise RunFolderError(f"{out} contains other files; give another folder")
    ensemble = Ensemble(bundle)
    found: dict[str, pd.DataFrame] = {}
    shares, deletions = [], []
    warnings = list(new_patients.warnings)
    if bundle.calibration.slope == 0:
        warnings.append(
            "the calibration slope is 0, so contributions refer to the uncalibrated risk"
        )
    exact = True
    out.mkdir(parents=True, exist_ok=True)
    for done, (patient, wanted) in enumerate(chosen.items()):
        progress("explaining", done, len(chosen))
        with threadpool_limits(limits=1, user_api="blas"):
            bag = new_patients.bag(patient) if wanted else None
            features = None if bag is None else bag.features
            seen = ensemble.see(**new_patients.given(patient, features))
            shares.append(_shares(patient, ensemble, modality_values(ensemble, seen), seen))
            if bag is None:
                continue
            values = patch_contributions(ensemble, seen)
            rng = np.random.default_rng([seed, done])
            rows = deletion_rows(ensemble, seen, values.value, rng)
            deletions += [{"patient_id": patient, **row} for row in rows]
        exact = exact and values.exact
        group = _Slides(
            bundle, new_patients, patient, bag, values, top, images, titles or {}, lazyslide,
            float(shares[-1]["risk"]),
        )  # fmt: skip
        for slide in wanted:
            found[slide] = group.write(out, slide, warnings)
    progress("explaining", len(chosen), len(chosen))
    result = Explanation(
        out, found, pd.DataFrame(shares), pd.DataFrame(deletions),
        _notes(bundle, exact, pd.DataFrame(deletions)), warnings,
    )  # fmt: skip
    _write(result, bundle)
    return result


def _choose(
    new_patients: NewPatients, slides: Sequence[str], patients: Sequence[str], image: bool
) -> dict[str, list[str]]:
    """Return patient -> slides to draw, in the order of the request."""
    owner = {s: p for p, own in new_patients.slides.items() for s, _ in own}
    names = [slide_name(s) for s in slides]
    unknown = [s for s in names if s not in owner]
    unknown += [p for p in patients if p not in new_patients.cohort.patients.index]
    if unknown:
        shown = ", ".join(unknown[:3])
        some = ", ".join([*owner][:3] or [*new_patients.cohort.patients.index[:3]])
        raise BundleError(f"not in the cohort: {shown}. To do: name others, e.g. {some}")
    if not names and not patients:
        raise BundleError("name slides or patients to explain")
    chosen: dict[str, list[str]] = {}
    for patient in patients:
        own = [s for s, _ in new_patients.slides.get(patient, ())]
        chosen[patient] = own if image else []
    for slide in names:
        mine = chosen.setdefault(owner[slide], [])
        if slide not in mine:
            mine.append(slide)
    return chosen


def _shares(
    patient: str, ensemble: Ensemble, values: dict[str, float], seen: Any
) -> dict[str, Any]:
    total = sum(abs(v) for v in values.values())
    row: dict[str, Any] = {
        "patient_id": patient,
        "risk": ensemble.risk(seen),
        "linear_predictor": ensemble.log_hazard(seen),
        **values,
    }
    shares = {f"share_{k}": abs(v) / total if total else np.nan for k, v in values.items()}
    return row | shares


@dataclass(frozen=True)
class _Slides:
    """Writes the files of the slides of one patient."""

    bundle: Bundle
    new_patients: NewPatients
    patient: str
    bag: Bag
    values: Contributions
    top: int
    images: Path | None
    titles: Mapping[str, str]
    lazyslide: Where | None
    risk: float

    def write(self, out: Path, slide: str, warnings: list[str]) -> pd.DataFrame:
        """Write the tables and the map of one slide; returns all its patches."""
        names = [s for s, _ in self.new_patients.slides[self.patient]]
        place = names.index(slide)
        rows = self.bag.slide == place
        table = self._table(rows)
        table.to_csv(out / f"{slide}.patches.csv", index=False)
        listed = table[table["end"] != ""].sort_values(["end", "rank"], ascending=[False, True])
        listed.to_csv(out / f"{slide}.top.csv", index=False)
        if not np.isfinite(table[["x", "y"]].to_numpy()).all() or table.empty:
            warnings.append(f"{slide}: no coordinates, so no map and no GeoJSON")
            return table
        geometry = _geometry(self.new_patients.slides[self.patient][place][1])
        thumbnail, reason = find_thumbnail(self.images, slide)
        if reason:
            warnings.append(f"{slide}: no thumbnail: {reason}")
        micrometres = "patch_um" in geometry
        self._geojson(out, slide, table, listed, thumbnail, micrometres, warnings)
        if self.lazyslide is not None:
            self._store(out, slide, place, table, warnings)
        self._map(out, slide, table, thumbnail, micrometres)
        return table

    def _table(self, rows: Any) -> pd.DataFrame:
        percentile = pd.Series(self.values.attention).rank(pct=True, method="average") * 100
        value = self.values.value[rows]
        table = pd.DataFrame(
            {
                "x": self.bag.coords[rows, 0],
                "y": self.bag.coords[rows, 1],
                "side": self.bag.side[rows] if self.bag.side is not None else np.nan,
                "attention": self.values.attention[rows],
                "attention_percentile": percentile.to_numpy()[rows],
                "contribution": value,
                "end": "",
                "rank": 0,
            }
        )
        order = np.argsort(value, kind="stable")
        k = min(self.top, len(order) // 2)
        for end, picked in (("raises risk", order[::-1][:k]), ("lowers risk", order[:k])):
            right = value[picked] > 0 if end == "raises risk" else value[picked] < 0
            picked = picked[right]
            table.loc[picked, "end"] = end
            table.loc[picked, "rank"] = np.arange(1, len(picked) + 1)
        return table

    def _geojson(
        self,
        out: Path,
        slide: str,
        table: pd.DataFrame,
        listed: pd.DataFrame,
        thumbnail: Thumbnail | None,
        micrometres: bool,
        warnings: list[str],
    ) -> None:
        if micrometres:
            if thumbnail is None or thumbnail.micrometres is None:
                warnings.append(
                    f"{slide}: no GeoJSON, because coordinates are in micrometres and QuPath "
                    "needs pixels. Give the folder of the slides as `images`, which provide the "
                    "pixel size"
                )
                return
            factor = 1 / thumbnail.micrometres
            table, listed = _scaled(table, factor), _scaled(listed, factor)
        content = feature_collection(listed, slide)
        (out / f"{slide}.geojson").write_text(json.dumps(content, indent=1))
        (out / f"{slide}.tiles.geojson").write_text(json.dumps(tile_collection(table, slide)))

    def _store(
        self, out: Path, slide: str, place: int, table: pd.DataFrame, warnings: list[str]
    ) -> None:
        """Add a table to the LazySlide store of a slide, or to a copy in `out`."""
        source = self.new_patients.slides[self.patient][place][1].first
        if not is_store(source):
            warnings.append(f"{slide}: no table, because its vectors are not in a LazySlide store")
            return
        name = f"outcome_{re.sub(r'[^0-9A-Za-z_]+', '_', self.bundle.arm.name)}"
        copied = out / f"{slide}.zarr" if self.lazyslide == "copy" else None
        about: dict[str, float | str] = {
            "study": self.bundle.name,
            "arm": self.bundle.arm.name,
            "risk": self.risk,
        }
        tiles = tiles_of(source, self.new_patients.slides[self.patient][place][1].names)
        add_tile_table(source, table, name, copy_to=copied, tiles=tiles, about=about)

    def _map(
        self,
        out: Path,
        slide: str,
        table: pd.DataFrame,
        thumbnail: Thumbnail | None,
        micrometres: bool,
    ) -> None:
        from outcome.explain.maps import draw_map, save_map

        factor = 1.0
        if micrometres and thumbnail is not None and thumbnail.micrometres is not None:
            factor = 1 / thumbnail.micrometres
        elif micrometres:
            thumbnail = None
        pixels = not micrometres or thumbnail is not None
        simulated = " (SIMULATED)" if self.bundle.facts.get("simulated") else ""
        figure = draw_map(
            _scaled(table, factor),
            title=f"{self.titles.get(slide, slide)}{simulated}",
            unit="level-0 pixels" if pixels else "micrometres",
            scale=self.bundle.endpoint.scale,
            thumbnail=thumbnail,
        )
        save_map(figure, out / f"{slide}.png")


def _geometry(files: SlideFiles) -> dict[str, float]:
    return patch_geometry(files.first, files.names)


def _scaled(patches: pd.DataFrame, factor: float) -> pd.DataFrame:
    """Return patches with positions and side lengths in another unit."""
    return patches.assign(**{name: patches[name] * factor for name in ("x", "y", "side")})


def _notes(bundle: Bundle, exact: bool, deletions: pd.DataFrame) -> list[str]:
    notes = []
    if "image" in bundle.inputs:
        notes.append(
            "contributions are exact: attention times the linear predictor of the patch, minus "
            "that of the training mean. They add up to the image's part of the risk"
            if exact
            else "contributions are integrated gradients, because the aggregator is not a "
            "weighted mean"
        )
    notes.append(
        "a map shows what this model used, not what causes the outcome; values are means over the"
        " inner models"
    )
    if len(deletions):
        tenth = deletions[deletions["deleted"] == 0.1]
        beaten = int((tenth["top"] < tenth["random_lowest"]).sum())
        top, others = -tenth["top"].mean(), -tenth["random"].mean()
        notes.append(
            "deleting the 10% of patches with the highest contributions lowers the risk by "
            f"{top:.3f} on average (random deletions: {others:.3f}). In {beaten} of {len(tenth)} "
            "patients the decrease is larger than in each of 20 random deletions"
        )
    return notes


def _write(result: Explanation, bundle: Bundle) -> None:
    result.modalities.to_csv(result.folder / "modalities.csv", index=False)
    if len(result.faithfulness):
        result.faithfulness.to_csv(result.folder / "faithfulness.csv", index=False)
    about = {
        "model": {"study": bundle.name, "arm": bundle.arm.name, "digest": bundle_digest(bundle)},
        "slides": list(result.patches),
        "notes": result.notes,
        "warnings": result.warnings,
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (result.folder / ABOUT).write_text(text, encoding="utf-8")
