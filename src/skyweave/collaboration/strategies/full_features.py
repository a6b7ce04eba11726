"""All features of all platforms, uncoded, through the perception model's own fusion: the upper bound."""

from skyweave.collaboration.strategies.base import AttentionStrategy


class FullFeatures(AttentionStrategy):
    """The upper bound; its bytes are those of 16-bit floats of the cells that are seen."""

    sends_features = False
    sends_uncoded = True
    needs_training = False
