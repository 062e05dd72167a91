"""Patch embeddings: the files of every slide found, read, checked, and packed for training.

In: folders in the layouts of TRIDENT, CLAM, STAMP, PANTHER or slideflow. Out: slides in a packed
store, grouped by patient.
"""
