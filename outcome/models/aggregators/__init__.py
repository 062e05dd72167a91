"""Aggregators: a bag of vectors in, one vector out. One module each, same interface."""

from outcome.models.aggregators.gated_attention import GatedAttention

__all__ = ["GatedAttention"]
