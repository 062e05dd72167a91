"""Results in the files of other tools, one module per tool.

In: predictions, a study joined with its vectors, explained patches. Out: files that STAMP,
Patho-Bench, scanpy (AnnData), QuPath and LazySlide read.
"""
