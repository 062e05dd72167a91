"""The run folder: the files that a run writes and a report reads.

In: tables and a manifest. Out: the same, from disk. Nothing is computed here.
"""
