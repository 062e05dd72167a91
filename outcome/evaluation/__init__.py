"""Every number of a study: metrics, comparisons, risk groups and the tables of the report.

In: a table of predictions, from this program or another. Out: tables. Needs no torch.
"""
