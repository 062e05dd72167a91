"""Requirements for the vectors of new patients: the encoder that the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from outcome.dataset.study_data import StudyData
from outcome.embeddings.patches.find import find_slide_files
from outcome.embeddings.patches.geometry import patch_geometry
from outcome.errors import BundleError
from outcome.study import Arm, Study

__all__ = ["Contract", "Part", "contracts_of"]


class Part(BaseModel):
    """A field added by a later release of the same format is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Contract(Part):
    """Requirements for the vectors of one input.

    Parameters
    ----------
    dimension : int
    encoder : str
        Encoder named in the files; empty if they do not name it.
    layout, dtype : str
        Of the training files; other layouts and types are also read.
    geometry : mapping
        Magnification and patch size, if given in the files.
    """

    dimension: int
    encoder: str = ""
    layout: str = ""
    dtype: str = ""
    geometry: dict[str, float] = {}

    def check(self, where: str, dimension: int, encoder: str) -> None:
        """Compare vectors with those of training.

        Parameters
        ----------
        where : str
            File with the vectors, for messages.
        dimension : int
            Length of the vectors.
        encoder : str
            Encoder named in the file; empty if the file does not name it.

        Raises
        ------
        BundleError
            The length or the encoder differs.
        """
        if dimension != self.dimension:
            raise BundleError(
                f"{where}: vectors have {dimension} numbers, but the model was trained on "
                f"vectors of {self.dimension}. To do: use the encoder of the training cohort"
                + (f", {self.encoder!r}" if self.encoder else "")
            )
        if encoder and self.encoder and encoder.lower() != self.encoder.lower():
            raise BundleError(
                f"{where}: vectors are from encoder {encoder!r}, but the model was trained on "
                f"{self.encoder!r}. To do: embed these slides or reports with {self.encoder!r}"
            )

    def check_geometry(self, files: Sequence[Path]) -> None:
        """Compare the patches of every file, because cohorts with several magnifications exist.

        Raises
        ------
        BundleError
            Magnification or patch size differs.
        """
        if not self.geometry:
            return
        found = {path: patch_geometry(path) for path in files}
        for key in ("magnification", "patch_px", "patch_um", "field_um"):
            ours = self.geometry.get(key)
            other = [
                f"{p.name} ({g[key]:g})"
                for p, g in found.items()
                if ours is not None and g.get(key, ours) != ours
            ]
            if other:
                raise BundleError(
                    f"{key.replace('_', ' ')} of {len(other)} feature files is not {ours:g}, as "
                    f"in the training cohort, e.g. {', '.join(other[:3])}. To do: extract "
                    "patches with the settings of the training cohort"
                )


def contracts_of(study: Study, study_data: StudyData, arm: Arm) -> dict[str, Contract]:
    """Return the properties of the vectors of each input of an arm in training."""
    found = {}
    if "image" in arm.inputs:
        slides = [s for own in study_data.slides.values() for s in own if s.n]
        first, geometry = slides[0], {}
        if study.embeddings.patches is not None:
            files = find_slide_files(study.embeddings.patches, study.embeddings.layout).files
            named = [n for n in study_data.cohort.slides["slide_id"] if n in files]
            geometry = patch_geometry(files[named[0]].first, files[named[0]].names) if named else {}
        size = {k: v for k, v in geometry.items() if k not in ("width", "height")}
        found["image"] = Contract(
            dimension=first.dimension,
            encoder=first.encoder,
            layout=first.layout,
            dtype=first.dtype,
            geometry=size,
        )
    if "report" in arm.inputs:
        assert study_data.reports is not None
        found["report"] = Contract(
            dimension=study_data.reports.dimension, encoder=study_data.reports.encoder
        )
    return found
