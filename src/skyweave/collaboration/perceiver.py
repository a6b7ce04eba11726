"""A platform that shares features, for a node to run: it observes, says what to send, and fuses what came.

It has the methods of `skyweave.fleet.perceiver.Perceiver`, so a fleet runs it as it runs one that sends boxes, and
calls the functions that training and `skyweave.collaboration.evaluate` call.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import boxes_of, moved
from skyweave.collaboration.cache import SNAP, WORTH_TELLING, shifted
from skyweave.collaboration.evaluate import with_boxes
from skyweave.collaboration.messages import content, heard, wanted_by
from skyweave.collaboration.model import CollaborativeModel
from skyweave.geometry.camera import CameraGeometry
from skyweave.geometry.frames import quaternion_from_rotation
from skyweave.geometry.grid import MapGrid
from skyweave.geometry.ground import Ground
from skyweave.perception.predict import Scene, read_maps
from skyweave.perception.samples import map_centre
from skyweave.perception.views import View, Views
from skyweave.recording import Frame
from skyweave.wire import BoxList, EntropyTables, FrameContent, Pose

TOLERANCE = 0.25  # of the interval between frames, by which a past moment's time may be off


class Place(Protocol):
    """Where a platform works: the reference system of its world frame, and the ground in it."""

    crs: str | None
    ground: Ground


@dataclass(frozen=True)
class Observed:
    """What a platform saw and found alone.

    Attributes:
        features: (channels, rows, columns); visible: (rows, columns) bool.
        boxes: that it found alone, the most certain first.
        scene: read alone.
    """

    time: int
    grid: MapGrid
    ground: Ground
    features: Tensor
    visible: Tensor
    boxes: BoxList
    scene: Scene
    pose: Pose


class FeaturePerceiver:
    """A collaborative model on one platform.

    Args:
        model: trained, its tables frozen (`skyweave.collaboration.weights.load_collaboration`).
        grid: the map, where it is agreed on, snapped to 8 cells; None: around where the platform looks.
    """

    def __init__(self, model: CollaborativeModel, grid: MapGrid | None = None) -> None:
        self.model, self.grid = model.eval(), grid
        config = model.perception.config
        self.categories, self.interval, self.resolution = config.categories, config.interval, config.map.resolution
        self.tables: Sequence[EntropyTables] = () if model.tables is None else (model.tables,)
        self.fingerprint = 0 if model.tables is None else model.tables.fingerprint
        self._alone: deque[tuple[int, MapGrid, Tensor]] = deque(maxlen=4 * config.history)
        self._fused: deque[tuple[int, MapGrid, Tensor]] = deque(maxlen=4 * config.history)
        self._asked: list[FrameContent] = []

    @torch.inference_mode()
    def observe(self, frame: Frame, place: Place) -> Observed:
        """What the platform sees at one moment; ``frame`` has its own captures only."""
        perception = self.model.perception
        captures = list(frame.captures.values())
        grid = self.grid or self._around(captures[0].geometry, place)
        views = [View(capture.load(), capture.geometry, 0, 0) for capture in captures]
        with torch.autocast("cpu", torch.bfloat16):
            maps = perception.observe(Views.gather(views, [grid], 1, [place.ground]))
        features, visible = maps.features[0, 0].float(), maps.visible[0, 0]
        fused = perception.fusion(features[None, None], visible[None, None])
        scene = self._read(self._alone, frame.time, grid, place.ground, fused)
        boxes = boxes_of(scene.detections, self.categories)
        told = boxes.select(np.flatnonzero(boxes.scores >= WORTH_TELLING))
        return Observed(frame.time, grid, place.ground, features, visible, told, scene, pose_of(captures[0].geometry))

    def content(self, own: Observed, budget_bytes: int) -> FrameContent:
        """What to tell others, the most useful first; platform and sequence are for the node to fill in."""
        wanted = wanted_by(self._asked, own.grid)
        return content(
            self.model, own.features, own.visible, own.grid, own.time, own.boxes, budget_bytes, wanted, own.pose
        )

    @torch.inference_mode()
    def fuse(self, own: Observed, received: Sequence[FrameContent]) -> Scene:
        """The picture from what is our own and what came, which may be nothing, or a part.

        Things have been moved to our capture time by ``compensate``; classes are numbered as ours.
        """
        self._asked = [frame for frame in received if frame.request is not None]
        told = heard(self.model, own.features, own.visible, own.grid, received, own.time)
        scene = self._read(self._fused, own.time, own.grid, own.ground, self.model.strategy.fuse(told))
        if not self.model.strategy.merges_boxes:
            return scene
        boxes = [frame.boxes for frame in received if frame.boxes is not None]
        return with_boxes(scene, boxes, self.model, own.grid, own.time)

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """The content as it would be at another time, UTC nanoseconds: boxes move on; cells stay, and say their age."""
        if content.boxes is None:
            return content
        return replace(content, boxes=moved(content.boxes, (time - content.time) / 1e9))

    def _around(self, geometry: CameraGeometry, place: Place) -> MapGrid:
        config = self.model.perception.config.map
        step = SNAP * config.resolution
        x, y = np.round(map_centre(geometry, place.ground, config.size) / step) * step
        return MapGrid.around(float(x), float(y), config.size, config.resolution, place.crs)

    def _read(
        self, past: deque[tuple[int, MapGrid, Tensor]], time: int, grid: MapGrid, ground: Ground, fused: Tensor
    ) -> Scene:
        """The heads' outputs from this fused map and those before it."""
        perception, history = self.model.perception, self.model.perception.config.history
        past.append((time, grid, fused))
        moments = [self._at(past, time, back, grid) for back in range(history)][::-1]
        present = torch.tensor([[moment is not None for moment in moments]])
        nothing = torch.zeros_like(fused)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = perception.perceive([nothing if m is None else m.float() for m in moments], present)
        return read_maps(perception, outputs, [grid], [ground], [time])[0]

    def _at(self, past: deque[tuple[int, MapGrid, Tensor]], time: int, back: int, grid: MapGrid) -> Tensor | None:
        wanted = time - round(back * self.interval * 1e9)
        found, before, fused = min(past, key=lambda moment: abs(moment[0] - wanted))
        if abs(found - wanted) > TOLERANCE * self.interval * 1e9:
            return None
        return shifted(fused, *before.offset_to(grid), grid.shape)


def pose_of(geometry: CameraGeometry) -> Pose:
    """A camera's pose for the wire."""
    return Pose(geometry.position, quaternion_from_rotation(geometry.world_from_camera[:3, :3]))
