"""Which platforms detected an object of a fused scene themselves."""

from collections.abc import Iterator, Sequence

import numpy as np

from skyweave.fleet.node.fused_scene import FusedScene
from skyweave.perception.results import Detections

MIN_GATE_M = 2.0  # from an object of the scene to a platform's detection of it; of long objects half their length


def box_observers(scene: FusedScene, detections: Detections, categories: Sequence[str]) -> list[list[str]]:
    """Return for each published box the names of the platforms whose detections lie on it, sorted.

    The ego's detections count, and the boxes of the peers' frames that were fused, moved to the time of the scene.

    Args:
        scene: as fused.
        detections: of the scene that are published.
        categories: names of the classes, in the order of their numbers in the frames.
    """
    observers: list[list[str]] = [[] for _ in range(len(detections))]
    if not len(detections):
        return observers
    centres = detections.boxes.centres[:, :2]
    gates = np.maximum(detections.boxes.sizes[:, 0] / 2, MIN_GATE_M)
    names = np.array(detections.categories)
    for platform, points, classes in sorted(_detected(scene, categories), key=lambda row: row[0]):
        if not len(points):
            continue
        distances = np.linalg.norm(centres[:, None] - points[None], axis=-1)
        distances[names[:, None] != classes[None]] = np.inf
        for index in np.flatnonzero(distances.min(1) <= gates):
            observers[index].append(platform)
    return observers


def _detected(scene: FusedScene, categories: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (platform, positions (n, 2), names of classes (n,)) of what each platform detected by itself."""
    ego = scene.ego_detections
    yield scene.platform, ego.boxes.centres[:, :2], np.array(ego.categories)
    for frame in scene.peer_frames:
        boxes = frame.content.boxes
        if boxes is not None:
            classes = np.array([categories[number] for number in boxes.classes])
            yield frame.peer, boxes.centres[:, :2], classes
