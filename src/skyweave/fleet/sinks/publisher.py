"""Follows the objects of a node's fused scenes over time, and writes the scenes to sinks."""

from collections.abc import Sequence

import numpy as np

from skyweave.fleet.node.fused_scene import FusedScene
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.scene_content import NS_PER_S, PublishedScene
from skyweave.perception.results import Detections
from skyweave.perception.tracking import Tracker, TrackerConfig

MIN_PUBLISHED_SCORE = 0.2
MAX_PUBLISHED_BOXES = 400
TRACKER = TrackerConfig(min_start_score=0.3, max_age=3.0)


class ScenePublisher:
    """Publishes a node's fused scenes.

    Args:
        node: whose.
        sinks: where to.

    Raises:
        FleetError: a sink that does not fit the node.
    """

    def __init__(self, node: Node, sinks: Sequence[SinkConfig]) -> None:
        self.node = node
        self.sinks = [config.build(node) for config in sinks]
        self.tracker = Tracker(TRACKER)

    def publish(self, scene: FusedScene) -> PublishedScene:
        """Follow the scene's objects, and write it to all sinks.

        Args:
            scene: as fused.
        """
        with self.node.statistics.time_stage("publish"):
            published = PublishedScene(self.node, scene, self._track(scene))
            for sink in self.sinks:
                sink.write(published)
        self.node.statistics.count_published((self.node.clock() - scene.time) / NS_PER_S)
        return published

    def close(self) -> None:
        """Close all sinks: no scene will follow."""
        for sink in self.sinks:
            sink.close()

    def _track(self, scene: FusedScene) -> Detections:
        detections = scene.prediction.detections
        if detections is None:
            return Detections.empty(self.node.world_frame.crs, scene.time)
        shown = np.flatnonzero(detections.scores >= MIN_PUBLISHED_SCORE)[:MAX_PUBLISHED_BOXES]
        return self.tracker.associate(detections.select(shown))
