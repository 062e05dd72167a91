"""Tables of slide vectors: one file with a row for each slide or patient.

| file | the vectors are | written by |
|---|---|---|
| `.h5ad` | `X`, or an array in `obsm` | anndata (`h5ad`) |
| `.parquet`, `.csv`, `.tsv` | numbered columns, or one column of lists | `text_vectors` |
| `.h5`, `.hdf5` | one dataset per slide | STAMP 2.0 slide encoders (`stamp_vectors`) |

Pickles (`.pkl`) are refused, because reading them runs code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import numbers
from outcome.errors import EmbeddingError
from outcome.tables.ids import slide_name

__all__ = ["PICKLES", "VectorTable", "one_encoder", "refuse_pickle"]

PICKLES = (".pkl", ".pickle")
MOST_SHOWN = 3


@dataclass(frozen=True)
class VectorTable:
    """Vectors of many slides or patients, from one file.

    Parameters
    ----------
    ids : sequence of str
        Ids of slides or patients, one per row, converted to slide names (see `slide_name`).
    features : array, shape (n, d)
    encoder : str
        Empty if the file does not name it.
    layout : str
    name : str
        Name of the file, for messages.

    Raises
    ------
    EmbeddingError
        Rows and ids differ in number, an id is empty or duplicate, or values are not numbers.
    """

    ids: Sequence[str]
    features: NDArray[Any]
    encoder: str
    layout: str
    name: str
    rows: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        numbers(self.features, "the table of vectors", self.name)
        if self.features.ndim != 2 or len(self.ids) != len(self.features):
            raise EmbeddingError(
                f"{self.name}: {len(self.ids)} ids, but vectors of shape {self.features.shape}"
            )
        ids = [slide_name(one) for one in self.ids]
        if twice := [one for one, count in Counter(ids).items() if count > 1 or not one]:
            shown = ", ".join(map(repr, twice[:MOST_SHOWN]))
            raise EmbeddingError(
                f"{self.name}: ids that are empty or in several rows: {shown}. To do: keep one row"
                " per slide or patient"
            )
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "rows", {one: row for row, one in enumerate(ids)})


def one_encoder(found: Sequence[str], name: str) -> str:
    """Return the encoder named in every row; empty if there is none.

    Raises
    ------
    EmbeddingError
        Rows name several encoders.
    """
    named = sorted(set(found))
    if len(named) > 1:
        shown = ", ".join(map(repr, named[:MOST_SHOWN]))
        raise EmbeddingError(
            f"{name} contains vectors of several encoders ({shown}). To do: keep the rows of one "
            "encoder"
        )
    return named[0] if named else ""


def refuse_pickle(name: str) -> EmbeddingError:
    """Return the error for a pickle, with instructions for conversion.

    TITAN publishes its features of TCGA as a pickled dictionary of `filenames` and `embeddings`.
    """
    code = (
        f"import pandas as pd; d = pd.read_pickle({name!r}); pd.DataFrame(d['embeddings'],"
        " index=pd.Index(d['filenames'], name='slide_id')).add_prefix('titan_')"
        ".to_parquet('titan.parquet')"
    )
    return EmbeddingError(
        f"{name} is a pickle file. It is not read, because reading would run the code inside. To "
        "do: if you trust its source, convert it once and use the result. For TITAN's features "
        f'of TCGA: python -c "{code}"'
    )
