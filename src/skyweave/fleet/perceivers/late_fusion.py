"""A perceiver that sends the boxes of a perception model, and merges those that come (late fusion)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from typing_extensions import override

from skyweave.collaboration.boxes import box_list_from_detections
from skyweave.collaboration.map_memory import MapMemory
from skyweave.collaboration.observer import ego_grid
from skyweave.collaboration.pose_alignment import PoseAligners, PoseError
from skyweave.collaboration.precision import inference_autocast, module_device
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.box_messages import BoxMessages
from skyweave.fleet.perceivers.box_scene import EgoScene, correct_pose_error, fuse_boxes
from skyweave.fleet.perceivers.image_reduction import ImageReducer
from skyweave.perception.carried_maps import CarriedMaps
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import decode_maps
from skyweave.perception.results import ScenePrediction
from skyweave.perception.views import Views
from skyweave.recordings.recording import BaseMap, Frame
from skyweave.wire import FrameContent


class LateFusionPerceiver(BoxMessages):
    """A perception model whose boxes travel.

    Args:
        model: trained; its fusion sees the ego only.
        grid: the map, where it is agreed on; None: around where the platform looks, moving with it.
        full_resolution: read images as they are, however large they are.
        base_maps: on board.

    Raises:
        ConfigError: there are base maps, and the model reads cameras only.
    """

    def __init__(
        self,
        model: PerceptionModel,
        grid: MapGrid | None = None,
        full_resolution: bool = False,
        base_maps: Sequence[BaseMap] = (),
    ) -> None:
        config = model.config
        super().__init__(config.categories, config.interval)
        self.model, self.grid, self.resolution = model.eval(), grid, config.map.resolution
        self._carried = CarriedMaps(model, base_maps)
        self._memory = MapMemory(config.history, config.interval)
        self._reducer = ImageReducer(self.resolution, not full_resolution)
        self._aligners = PoseAligners()

    @property
    @override
    def pose_errors(self) -> Mapping[int, PoseError]:
        """Return the errors of peers' poses, by platform number, as far as they are estimated."""
        return self._aligners.known

    @torch.inference_mode()
    def observe(self, frame: Frame, place: WorldFrame) -> EgoScene:
        """Map the images of one frame and read the scene off it; in bfloat16 where the processor has it.

        Args:
            frame: with the platform's own captures only.
            place: where the fleet works.
        """
        model, first = self.model, next(iter(frame.captures.values()))
        grid = self.grid or self._ego_grid(first.geometry, place)
        views = self._reducer.views(frame, place.ground)
        device = module_device(model)
        with inference_autocast(device):
            maps = model.observe(Views.from_views(views, [grid], 1, [place.ground]).to(device))
            base_maps = self._carried.place(grid, place.ground, frame.time)
            self._memory.push(frame.time, grid, model.fuse(maps))
            outputs = model.perceive(*self._memory.recall(frame.time, grid), base_maps=base_maps)
        scene = decode_maps(model, outputs, [grid], [place.ground], [frame.time])[0]
        novelty = None if maps.novelty is None else float(maps.novelty[0, 0])
        return EgoScene(frame.time, grid, replace(scene, novelty=novelty))

    def _ego_grid(self, geometry: CameraGeometry, place: WorldFrame) -> MapGrid:
        config = self.model.config.map
        return ego_grid(geometry, place.ground, place.crs, config.size, config.resolution)

    @override
    def fuse(self, ego: EgoScene, received: Sequence[FrameContent]) -> ScenePrediction:
        """Merge boxes, errors of peers' poses undone; instance maps stay the platform's.

        Args:
            ego: of `observe`.
            received: what came, moved to the ego's time.
        """
        config = self.model.config
        if ego.scene.detections is not None:
            boxes = box_list_from_detections(ego.scene.detections, self.categories)
            self._aligners.update(boxes, received, ego.time)
            errors = self._aligners.estimate([content.platform for content in received])
            received = [correct_pose_error(content, error) for content, error in zip(received, errors, strict=True)]
        seconds = config.interval * np.arange(1, config.horizon + 1)
        return fuse_boxes(ego, received, self.categories, seconds)
