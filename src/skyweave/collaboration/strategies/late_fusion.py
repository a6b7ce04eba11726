"""Late fusion: every platform reads its own map, boxes travel, lists of boxes are merged (weighted box fusion, arXiv
1910.13302). Boxes of others also become instances and trajectories, at constant velocity.
"""

from skyweave.collaboration.strategies.no_fusion import NoFusion


class LateFusion(NoFusion):
    """Box sharing: the baseline for every feature sharing at the same bytes."""

    sends_boxes = True
    merges_boxes = True
