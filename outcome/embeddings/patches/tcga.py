"""Information in TCGA barcodes of slides: frozen or paraffin section, tumour or normal tissue.

`TCGA-A0-1000-01A-02-TS1`: site of origin, participant, sample type (01) and vial (A), portion, and
slide. The slide is `DX` (diagnostic, paraffin) or `TS`, `BS`, `MS` (top, bottom and middle of the
frozen portion). Sample types below 10 are tumours; 10 to 19 are normal tissue, and those above are
controls, cell lines and xenografts.

Source: https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["describe_tcga", "tcga_kinds"]

BARCODE = re.compile(
    r"tcga-\w{2}-\w{4}-(?P<sample>\d{2})[a-z]?(?:-\d{2}[a-z]?(?:-(?P<slide>[a-z]{2})\w*)?)?(?!\w)",
    re.IGNORECASE,
)
FROZEN = frozenset({"TS", "BS", "MS"})
FIRST_NORMAL = 10
MEANING = {
    "frozen": "frozen sections (TS, BS or MS in their TCGA barcode)",
    "normal": "of normal tissue or a control (TCGA sample type 10 or above)",
}


def tcga_kinds(slides: Iterable[str]) -> dict[str, list[str]]:
    """Find slides that are not diagnostic slides of a tumour, by their TCGA barcode.

    Parameters
    ----------
    slides : iterable of str
        Ids; those without a barcode are in neither list.

    Returns
    -------
    dict
        `frozen` and `normal`, each a list of ids. A slide may be in both.

    Examples
    --------
    >>> tcga_kinds(["TCGA-A0-1000-01Z-00-DX1.AB", "TCGA-A0-1000-11A-01-TS1.CD", "S-17"])
    {'frozen': ['TCGA-A0-1000-11A-01-TS1.CD'], 'normal': ['TCGA-A0-1000-11A-01-TS1.CD']}
    """
    found: dict[str, list[str]] = {"frozen": [], "normal": []}
    for slide in slides:
        barcode = BARCODE.match(slide)
        if barcode is None:
            continue
        if (barcode["slide"] or "").upper() in FROZEN:
            found["frozen"].append(slide)
        if int(barcode["sample"]) >= FIRST_NORMAL:
            found["normal"].append(slide)
    return found


def describe_tcga(kinds: Mapping[str, list[str]]) -> list[str]:
    """Return a sentence for each kind present, with the setting that excludes it."""
    return [
        f"{len(slides)} slides are {MEANING[kind]}, e.g. {', '.join(slides[:3])}; `embeddings: "
        f"{{tcga_leave_out: [{kind}]}}` excludes them"
        for kind, slides in kinds.items()
        if slides
    ]
