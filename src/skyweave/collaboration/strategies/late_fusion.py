"""Late fusion: every platform reads its own map, boxes travel, lists of boxes are merged (weighted box fusion, arXiv
1910.13302). Boxes of others also become instances and trajectories, at constant velocity.
"""

from skyweave.collaboration.strategies.no_fusion import NoFusion


class LateFusion(NoFusion):
    """Box sharing: what every feature sharing has to beat at the same bytes."""

    shares = "boxes"
    merges_boxes = True
