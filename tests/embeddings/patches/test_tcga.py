"""What a TCGA barcode says of a slide."""

import pytest

from outcome.embeddings.patches.tcga import describe_tcga, tcga_kinds


@pytest.mark.parametrize(
    ("slide", "kinds"),
    [
        ("TCGA-A0-1000-01Z-00-DX1.AAAA0000", set()),
        ("TCGA-A0-1000-01A-01-TS1.BBBB0000", {"frozen"}),
        ("TCGA-A0-1000-01A-02-BSB.BBBB0000", {"frozen"}),
        ("tcga-a0-1000-01a-01-ms1", {"frozen"}),
        ("TCGA-A1-1001-11A-01-TS1.CCCC0000", {"frozen", "normal"}),
        ("TCGA-A1-1001-11Z-00-DX1", {"normal"}),
        ("TCGA-A1-1001-20A", {"normal"}),
        ("TCGA-A1-1001-06A-00-DX1", set()),  # a metastasis is tumour
        ("TCGA-A1-1001-01A", set()),
        ("TCGA-A1-1001", set()),
        ("CPTAC-A1-1001-11A-01-TS1", set()),
        ("S-11A-01-TS1", set()),
        ("TCGA-A1-1001-110", set()),
    ],
)
def test_kinds_of_slides(slide, kinds):
    found = tcga_kinds([slide])
    assert {kind for kind, slides in found.items() if slides} == kinds


def test_every_kind_is_counted_with_the_option_that_leaves_it_out():
    slides = [f"TCGA-A1-100{i}-11A-01-TS1" for i in range(4)] + ["TCGA-A1-1009-01Z-00-DX1"]
    frozen, normal = describe_tcga(tcga_kinds(slides))
    assert frozen.startswith("4 slides")
    assert "tcga_leave_out: [frozen]" in frozen
    assert "tcga_leave_out: [normal]" in normal
    assert describe_tcga(tcga_kinds(slides[-1:])) == []
