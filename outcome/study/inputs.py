"""Tables and vectors of a study, and the names of their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from outcome.study.settings import Section
from outcome.tables.codes import canonical_code

__all__ = [
    "FILE",
    "TEXTS",
    "ArrayNames",
    "Columns",
    "Covariates",
    "Embeddings",
    "Layout",
    "ReportColumns",
    "ReportTexts",
    "Treatment",
]


class Columns(Section):
    """Names of the id columns in the cohort table."""

    patient: str = "patient_id"
    """Column of patient ids; ids are text."""
    slide: str | None = None
    """By default `slide_id`; where the table has no such column, files are named by patient."""


class ArrayNames(Section):
    """What the arrays inside feature files are called, where no known tool wrote them."""

    features: str
    """Array of vectors, (n, d)."""
    coords: str | None = None
    """Array of positions: (n, 2), or boxes (n, 4) whose first two columns are used. By default
    `coords`, where the file has it."""


Layout = (
    Literal[
        "auto", "trident", "clam", "panther", "stamp", "moozy", "slideflow", "slide2vec",
        "lazyslide", "tensor", "numpy",
    ]
    | ArrayNames
)  # fmt: skip


class ReportColumns(Section):
    """Columns of a table of report texts."""

    patient: str | None = None
    """Column of patient ids; by default as in the cohort table."""
    text: str = "text"
    """Column of the text."""
    date: str | None = None
    """Column of the date of the report (2014-03-31); the leak scan then looks for later dates."""


class ReportTexts(Section):
    """Report texts, turned into vectors on first use."""

    texts: Path
    """A csv or tsv table with one text per row, or a folder of files `<patient id>.txt`."""
    encoder: str = "tfidf-svd"
    """`tfidf-svd` (learned from each fold's development patients), `musk`,
    `sentence-transformers:<name or path>` or `package.module:Class`."""
    columns: ReportColumns = ReportColumns()
    """Names of the columns of that table."""
    redact: bool = False
    """Remove sentences that state the outcome, and count them."""
    chunk_length: Annotated[int, Field(ge=8)] | None = None
    """Maximal length of a chunk, in tokens of the encoder (words for `tfidf-svd`). Default: the
    limit of the encoder, which is 98 for MUSK and `tfidf-svd`."""
    components: Annotated[int, Field(ge=2, le=2000)] = 64
    """Length of a vector of `tfidf-svd`."""
    weights: str | None = None
    """File of weights of `musk`; by default those of the hub."""
    tokenizer: Path | None = None
    """Sentencepiece file of `musk`; by default that of the installed package."""

    @field_validator("encoder")
    @classmethod
    def _known(cls, value: str) -> str:
        name, colon, rest = value.partition(":")
        if value not in ("tfidf-svd", "musk") and not (name and colon and rest):
            raise ValueError(
                "use tfidf-svd, musk, sentence-transformers:<name or path> or package.module:Class"
            )
        return value

    @property
    def learned(self) -> bool:
        """Whether the vectors depend on the development set."""
        return self.encoder == "tfidf-svd"

    def moved(self, move: Callable[[Path], Path]) -> ReportTexts:
        """Return the same with every path in it replaced."""
        name, _, place = self.encoder.partition(":")
        encoder, weights = self.encoder, self.weights
        if name == "sentence-transformers" and (Path(place).is_dir() or move(Path(place)).is_dir()):
            encoder = f"{name}:{move(Path(place))}"
        if weights and ":" not in weights:  # a name on the hub contains a colon
            weights = str(move(Path(weights)))
        return self.model_copy(
            update={
                "texts": move(self.texts),
                "encoder": encoder,
                "weights": weights,
                "tokenizer": move(self.tokenizer) if self.tokenizer else None,
            }
        )


FILE, TEXTS = "(a file)", "(texts)"


def _kind_of_reports(value: Any) -> str:
    return TEXTS if isinstance(value, (Mapping, ReportTexts)) else FILE


Reports = Annotated[
    Annotated[Path, Tag(FILE)] | Annotated[ReportTexts, Tag(TEXTS)],
    Discriminator(_kind_of_reports),
]


class Embeddings(Section):
    """Where the vectors are."""

    patches: tuple[Path, ...] | None = None
    """Folder of patch embeddings, one file per slide; or one table of slide vectors (`.h5ad`,
    `.parquet`, `.csv`); or a list of folders, e.g. of two resolutions, whose patches are joined
    by slide."""
    layout: Layout = "auto"
    """Tool that wrote the patches; detected unless declared."""
    tcga_leave_out: tuple[Literal["frozen", "normal"], ...] | None = None
    """Slides to leave out and count, by TCGA barcode: `frozen` (frozen sections: TS, BS, MS),
    `normal` (normal tissue and controls: sample type 10 and above). By default all are used, and
    the report counts their kinds."""
    reports: Reports | None = None
    """HDF5 file of report embeddings, one dataset per patient: (d,) or (chunks, d). Or a table of
    texts: `{texts: reports.csv, encoder: tfidf-svd}`."""

    @field_validator("tcga_leave_out", mode="before")
    @classmethod
    def _as_kinds(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value or None

    @field_validator("patches", mode="before")
    @classmethod
    def _as_folders(cls, value: Any) -> Any:
        return (value,) if isinstance(value, (str, Path)) else value or None


class Covariates(Section):
    """Clinical columns of the cohort table."""

    numeric: tuple[str, ...] = ()
    """Columns of numbers; standardised."""
    categorical: tuple[str, ...] = ()
    """Columns of codes; each code becomes a 0/1 column."""
    levels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Levels that are real although they read like missing values, by column:
    `{margin: [Unknown], comorbidity: [None]}`. Elsewhere such words are missing."""

    @field_validator("levels", mode="before")
    @classmethod
    def _as_codes(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        lists = {k: v if isinstance(v, (list, tuple)) else [v] for k, v in value.items()}
        return {k: tuple(canonical_code(code) for code in v) for k, v in lists.items()}

    @model_validator(mode="after")
    def _of_columns(self) -> Covariates:
        if strange := sorted(set(self.levels) - set(self.categorical)):
            raise ValueError(
                f"`levels` names {strange[0]!r}, which is not listed under `categorical`"
            )
        return self


class Treatment(Section):
    """Two treatments, to ask whether the effect of one against the other depends on the score.

    Models never see it, unless the column is also one of the covariates. Patients whose treatment
    is empty are counted, and left out of this analysis only.
    """

    column: str
    """Column of the cohort table that holds the two treatments."""
    reference: str
    """The value that the other is compared with, e.g. `control`."""
    randomised: bool
    """Whether treatments were drawn by lot. There is no default: everything that may be concluded
    depends on it. If `false`, patients are also weighted by the inverse probability of their
    treatment given the covariates."""

    @field_validator("reference", mode="before")
    @classmethod
    def _as_code(cls, value: Any) -> Any:
        return canonical_code(value) if isinstance(value, (bool, int, float, str)) else value
