"""Attention over platforms at each cell, as in OpenCOOD's attentive fusion (arXiv 2109.07644)."""

from skyweave.collaboration.strategies.base import AttentionStrategy


class AttentiveFusion(AttentionStrategy):
    """Softmax over platforms, beside their maximum."""
