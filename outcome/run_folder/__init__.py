"""The run folder: the files of a run, read by the report.

In: tables and a manifest. Out: the same, read from disk. Nothing is computed here.
"""
