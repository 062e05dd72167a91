"""The results page, `report.html`. It only shows what `evaluation` has computed.

In: a run folder. Out: one self-contained page and its figures. Needs no torch.
"""
