"""One fit: a network, or a ridge model, trained on some patients and watched on others.

In: vectors and outcomes of the patients of one inner fold. Out: weights, outputs and learning
curves. Nothing here knows of test patients.
"""
