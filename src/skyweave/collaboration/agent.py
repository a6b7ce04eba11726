"""One platform that collaborates: it observes, composes a message, receives bytes, fuses and reads out.

Evaluation drives agents from a cache of maps, a fleet's node drives one from a network. Training does the same on
batches, with the same codec, strategy and heads (`skyweave.collaboration.model.CollaborativeModel.exchange`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from skyweave.collaboration.box_fusion import merge_received_boxes
from skyweave.collaboration.boxes import extrapolate_boxes
from skyweave.collaboration.entropy_tables import imagery_tables
from skyweave.collaboration.map_memory import NANOSECONDS, MapMemory
from skyweave.collaboration.messages import build_message, encode_message
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import MARGIN_CELLS, EgoMaps, EgoObserver
from skyweave.collaboration.pose_alignment import PoseAligners, PoseError
from skyweave.collaboration.precision import inference_autocast, module_device
from skyweave.collaboration.reception import decode_received
from skyweave.collaboration.requests import request_map
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.observation import Observation
from skyweave.perception.model import PlatformMaps
from skyweave.perception.prediction import decode_maps
from skyweave.perception.results import ScenePrediction
from skyweave.recordings.recording import BaseMap
from skyweave.wire import BoxList, EntropyTables, FrameContent, decode_frame


@dataclass(frozen=True)
class FusedMap:
    """One frame's map of all platforms.

    Attributes:
        maps: (1, channels, rows, columns).
        boxes: received of each peer, for the final list of detections.
        base_maps: features of imagery that came; None where none did.
    """

    maps: Tensor
    boxes: list[BoxList]
    base_maps: PlatformMaps | None = None


class Agent:
    """One platform with its model, its device, and what it remembers.

    Args:
        model: in any mode, on any device; it is switched to evaluation.
        base_maps: on board; they are never sent.

    Raises:
        ConfigError: there are base maps, and the model reads cameras only.

    Attributes:
        aligners: what is known of the errors of peers' poses.
        requests: frames of the last step that ask for something.
    """

    def __init__(self, model: CollaborativeModel, base_maps: Sequence[BaseMap] = ()) -> None:
        self.model = model.eval()
        self.device = module_device(model)
        self.aligners = PoseAligners()
        self.requests: list[FrameContent] = []
        config = model.perception.config
        self._observer = EgoObserver(model.perception, model.strategy.sends_boxes, base_maps)
        self._memory = MapMemory(config.history, config.interval)
        self._imagery = imagery_tables(model)

    @property
    def tables(self) -> tuple[EntropyTables, ...]:
        """Return the entropy tables by which the agent encodes and decodes; none where no features travel."""
        return tuple(one for one in (self.model.tables, self._imagery) if one is not None)

    def observe(
        self,
        observations: Sequence[Observation],
        geometries: Sequence[CameraGeometry],
        time: int,
        ground: Ground,
        crs: str | None,
    ) -> EgoMaps:
        """Map the images of one frame; frames come in order of their time.

        Args:
            observations: one image of each camera.
            geometries: their cameras and the poses that the platform believes they have.
            time: capture, UTC nanoseconds.
            ground: under the map.
            crs: reference system of the world frame; None for a local frame.
        """
        return self._observer.observe(observations, geometries, time, ground, crs)

    def compose(
        self, ego: EgoMaps, budget_bytes: int | None = None, platform: int = 0, sequence: int = 0
    ) -> FrameContent:
        """Compose the message of one frame; what was requested in the last step comes first.

        Args:
            ego: the platform's maps.
            budget_bytes: of the frame on the wire; None: everything.
            platform: number of the platform.
            sequence: number of the frame.

        Raises:
            WeightsError: the model's tables are not frozen.
        """
        pose = ego.pose if self.model.strategy.aligns_poses else None
        request = request_map(self.requests, ego.grid)
        return build_message(self.model, ego, budget_bytes, request, pose, platform, sequence)

    def encode(self, message: FrameContent, budget_bytes: int | None = None, mtu: int = 1200) -> list[bytes]:
        """Encode a message as chunks within a budget.

        Args:
            message: as composed.
            budget_bytes: of the frame; what a handshake takes is kept free. None: everything is sent.
            mtu: bytes of the largest chunk.
        """
        handshake = self.model.strategy.handshake_bytes
        return encode_message(message, self.tables, None if budget_bytes is None else budget_bytes - handshake, mtu)

    def receive(self, chunks: Sequence[bytes]) -> FrameContent | None:
        """Decode those chunks of a peer's frame that came; None where nothing came.

        Args:
            chunks: of one frame, in any order.

        Raises:
            RejectedError: bytes that are no chunks, or chunks of several frames.
        """
        return decode_frame(chunks, self.tables) if chunks else None

    def align(self, ego_boxes: BoxList, frames: Sequence[FrameContent], time: int) -> None:
        """Count what came towards the errors of peers' poses.

        Args:
            ego_boxes: that the ego detected without the others at ``time``.
            frames: of peers.
            time: of the ego's frame, UTC nanoseconds.
        """
        if self.model.strategy.aligns_poses:
            self.aligners.update(ego_boxes, frames, time)

    def pose_errors(self, platforms: Sequence[int]) -> list[PoseError]:
        """Return the errors of peers' poses as far as they are known; an empty list where poses are believed.

        Args:
            platforms: numbers of the peers.
        """
        return self.aligners.estimate(platforms) if self.model.strategy.aligns_poses else []

    @torch.inference_mode()
    def fuse(
        self,
        ego: Tensor,
        ego_visible: Tensor,
        grid: MapGrid,
        frames: Sequence[FrameContent],
        time: int,
        errors: Sequence[PoseError],
        ground: Ground,
    ) -> FusedMap:
        """Fuse the ego's map with what came.

        Args:
            ego: (channels, rows, columns) on ``grid``.
            ego_visible: (rows, columns) bool.
            grid: of the ego's map.
            frames: of peers, their boxes moved to ``time``.
            time: of the ego's frame, UTC nanoseconds.
            errors: of each frame's pose; none: all are believed.
            ground: under the map.
        """
        ego, ego_visible = ego.to(self.device), ego_visible.to(self.device)
        received = decode_received(self.model, ego, ego_visible, grid, frames, time, errors, ground, self._imagery)
        return FusedMap(self.model.strategy.fuse(received.inputs), received.boxes, received.base_maps)

    @torch.inference_mode()
    def read_out(
        self,
        fused: Sequence[Tensor],
        present: Tensor,
        received: Sequence[BoxList],
        grid: MapGrid,
        ground: Ground,
        time: int,
        beyond_map: bool = False,
        base_maps: PlatformMaps | None = None,
    ) -> ScenePrediction:
        """Read every task's results off the fused maps of the model's frames, and merge received boxes.

        Args:
            fused: (1, channels, rows, columns) of each frame, the oldest first.
            present: (1, frames) bool: which of them there are.
            received: boxes of each peer in the present frame.
            grid: of the maps.
            ground: under them.
            time: of the present frame, UTC nanoseconds.
            beyond_map: keep received boxes that lie beyond the map.
            base_maps: on board or received, on ``grid``.
        """
        perception = self.model.perception
        with inference_autocast(self.device):
            maps = [one.float() for one in fused]
            outputs = perception.perceive(maps, present.to(self.device), base_maps=base_maps)
        scene = decode_maps(perception, outputs, [grid], [ground], [time])[0]
        if not self.model.strategy.merges_boxes:
            return scene
        return merge_received_boxes(scene, received, self.model, outputs, grid, time, beyond_map)

    @torch.inference_mode()
    def step(self, ego: EgoMaps, frames: Sequence[FrameContent], ground: Ground) -> ScenePrediction:
        """Fuse and read out one frame, with the memory of the frames before; frames come in order of their time.

        Args:
            ego: the platform's maps.
            frames: that came of peers, moved to the ego's time (`compensate`).
            ground: under the map.
        """
        self.requests = [frame for frame in frames if frame.request is not None]
        margin, cells = MARGIN_CELLS, self.model.perception.config.map.cells
        grid = ego.grid.subgrid(margin, margin, cells, cells)
        features, visible = (part[..., margin:-margin, margin:-margin] for part in (ego.features, ego.visible))
        self.align(ego.boxes, frames, ego.time)
        errors = self.pose_errors([frame.platform for frame in frames])
        fused = self.fuse(features, visible, grid, frames, ego.time, errors, ground)
        base_maps = fused.base_maps
        if ego.base_maps is not None:
            base_maps = ego.base_maps.without_margin(margin).joined(base_maps)
        self._memory.push(ego.time, grid, fused.maps.float())
        maps, present = self._memory.recall(ego.time, grid)
        scene = self.read_out(maps, present, fused.boxes, grid, ground, ego.time, True, base_maps)
        return replace(scene, novelty=ego.novelty)


def compensate(frame: FrameContent, time: int) -> FrameContent:
    """Move the boxes of a frame on by their velocities; features stay, and the strategy knows how old they are.

    Args:
        frame: as received.
        time: to which the boxes are moved, UTC nanoseconds.
    """
    if frame.boxes is None:
        return frame
    return replace(frame, boxes=extrapolate_boxes(frame.boxes, (time - frame.time) / NANOSECONDS))
