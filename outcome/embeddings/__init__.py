"""Patch and report embeddings: readers of every layout, and the store that training reads."""
