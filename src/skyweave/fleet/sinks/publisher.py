"""Follows the objects of a node's fused scenes over time, and writes the scenes to sinks."""

import threading
from collections.abc import Sequence

import numpy as np

from skyweave.fleet.node.fused_scene import FusedScene
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.scene_content import NS_PER_S, PublishedScene
from skyweave.fleet.sinks.sink_worker import SinkWorker
from skyweave.perception.results import Detections
from skyweave.perception.tracking import Tracker, TrackerConfig

MIN_PUBLISHED_SCORE = 0.2
MAX_PUBLISHED_BOXES = 400
MIN_START_SCORE = 0.3  # of a box that starts a track
MAX_AGE_S, MAX_AGE_FRAMES = 3.0, 3.0  # for which a track lives unseen, the longer of both


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
        self._workers = [SinkWorker(config.build(node), node.statistics) for config in sinks]
        max_age = max(MAX_AGE_S, MAX_AGE_FRAMES * node.interval)
        self.tracker = Tracker(TrackerConfig(min_start_score=MIN_START_SCORE, max_age=max_age))

    def publish(self, scene: FusedScene) -> PublishedScene:
        """Follow the scene's objects, and hand it to all sinks; none of them is waited for.

        Args:
            scene: as fused.
        """
        with self.node.statistics.time_stage("publish"):
            detections = self._track(scene)
            identities = self.node.identities.identify(detections, self.node.alive_peers())
            published = PublishedScene(self.node, scene, detections, identities)
            on_written = _Countdown(len(self._workers), self.node, scene)
            for worker in self._workers:
                worker.put(published, on_written)
        return published

    def close(self) -> None:
        """Close all sinks: no scene will follow."""
        for worker in self._workers:
            worker.close()

    def _track(self, scene: FusedScene) -> Detections:
        detections = scene.prediction.detections
        if detections is None:
            return Detections.empty(self.node.world_frame.crs, scene.time)
        shown = np.flatnonzero(detections.scores >= MIN_PUBLISHED_SCORE)[:MAX_PUBLISHED_BOXES]
        return self.tracker.associate(detections.select(shown))


class _Countdown:
    """Counts a scene as published when all sinks have it."""

    def __init__(self, sinks: int, node: Node, scene: FusedScene) -> None:
        self._remaining, self._node, self._scene = sinks, node, scene
        self._lock = threading.Lock()
        if not sinks:
            self._count()

    def __call__(self) -> None:
        with self._lock:
            self._remaining -= 1
            if self._remaining:
                return
        self._count()

    def _count(self) -> None:
        self._node.statistics.count_published((self._node.clock() - self._scene.time) / NS_PER_S)
