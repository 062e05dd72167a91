"""Results in the formats of other tools, one module per tool.

In: predictions, a study joined with its vectors, explained patches. Out: files for STAMP,
Patho-Bench, scanpy (AnnData), QuPath and LazySlide.
"""
