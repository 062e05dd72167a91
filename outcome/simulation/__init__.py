"""Cohorts with a known truth, rehearsals of a study on simulated embeddings, and power."""
