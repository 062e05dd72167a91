"""All results of a study: metrics, comparisons, risk groups and the tables of the report.

In: a table of predictions of this package or another tool. Out: tables. Needs no torch.
"""
