"""What a platform sees and detects by itself: the same for caches, for evaluation and aboard.

A platform maps on a grid of its own, a little larger than the model's map and snapped to the codec's blocks, and
encodes it once for all receivers; a receiver cuts its own map out of it by a whole offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import box_list_from_detections, empty_box_list
from skyweave.collaboration.map_memory import MapMemory, translate_map
from skyweave.collaboration.precision import inference_autocast, module_device
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.observation import Observation
from skyweave.perception.carried_maps import CarriedMaps
from skyweave.perception.dataset import map_centre
from skyweave.perception.model import PerceptionModel, PlatformMaps
from skyweave.perception.prediction import decode_maps
from skyweave.perception.views import View, Views
from skyweave.recordings.recording import BaseMap
from skyweave.wire import BoxList, Pose

SNAP_CELLS = 8  # to whose multiples maps of platforms are snapped: a block of the codec
MARGIN_CELLS = 16  # by which a platform's map is larger than the model's on each side
MIN_SHARED_SCORE = 0.1  # of a box that is kept


@dataclass(frozen=True)
class EgoMaps:
    """What one platform has of one frame.

    Attributes:
        features: (channels, rows, columns) on its grid; zero where it sees nothing.
        visible: (rows, columns) bool.
        grid: of the map.
        boxes: detected without the others, sorted by falling score.
        time: capture, UTC nanoseconds.
        pose: that it believes its (first) camera has.
        novelty: how unlike training its images are, as in `ScenePrediction`; None where that is not known.
        base_maps: on board, on the same grid; they are never sent. None where there are none.
    """

    features: Tensor
    visible: Tensor
    grid: MapGrid
    boxes: BoxList
    time: int
    pose: Pose
    novelty: float | None = None
    base_maps: PlatformMaps | None = None


class EgoObserver:
    """One platform's eyes: images to a map of its own and to the boxes that it detects without the others.

    Args:
        model: the perception model, on any device.
        detects: whether boxes are wanted; without them the heads do not run.
        base_maps: on board.

    Raises:
        ConfigError: there are base maps, and the model reads cameras only.
    """

    def __init__(self, model: PerceptionModel, detects: bool = True, base_maps: Sequence[BaseMap] = ()) -> None:
        self.model, self.detects = model.eval(), detects
        self._carried = CarriedMaps(model, base_maps)
        self.device = module_device(model)
        self._memory = MapMemory(model.config.history, model.config.interval)

    @torch.inference_mode()
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
        config = self.model.config.map
        grid = ego_grid(geometries[0], ground, crs, config.size, config.resolution, MARGIN_CELLS)
        views = [View(image, geometry, 0, 0) for image, geometry in zip(observations, geometries, strict=True)]
        with inference_autocast(self.device):
            maps = self.model.observe(Views.from_views(views, [grid], 1, [ground]).to(self.device))
            base_maps = self._carried.place(grid, ground, time)
        features, visible = maps.features[0, 0].float(), maps.visible[0, 0]
        self._memory.push(time, grid, self.model.fuse(PlatformMaps(features[None, None], visible[None, None], [])))
        boxes = self._detect(time, grid, ground, base_maps) if self.detects else empty_box_list()
        novelty = None if maps.novelty is None else float(maps.novelty[0, 0])
        return EgoMaps(features, visible, grid, boxes, time, platform_pose(geometries[0]), novelty, base_maps)

    def _detect(self, time: int, grid: MapGrid, ground: Ground, base_maps: PlatformMaps | None) -> BoxList:
        fused, present = self._memory.recall(time, grid)
        with inference_autocast(self.device):
            outputs = self.model.perceive(fused, present, base_maps=base_maps)
        detection_outputs = {"detection": outputs["detection"]} if "detection" in outputs else {}
        scene = decode_maps(self.model, detection_outputs, [grid], [ground], [time], MIN_SHARED_SCORE)[0]
        return box_list_from_detections(scene.detections, self.model.config.categories)


def ego_grid(
    geometry: CameraGeometry,
    ground: Ground,
    crs: str | None,
    size: float,
    resolution: float,
    margin_cells: int = 0,
) -> MapGrid:
    """Return the map grid about the place that a platform looks at, snapped to the codec's blocks.

    Args:
        geometry: camera and pose.
        ground: under the map.
        crs: reference system of the world frame; None for a local frame.
        size: of the model's map, metres.
        resolution: metres a cell.
        margin_cells: by which the grid is larger than the model's map on each side.
    """
    step = SNAP_CELLS * resolution
    x, y = np.round(map_centre(geometry, ground, size) / step) * step
    return MapGrid.around(float(x), float(y), size + 2 * margin_cells * resolution, resolution, crs)


def platform_pose(geometry: CameraGeometry) -> Pose:
    """Return the pose of a camera as it travels.

    Args:
        geometry: camera and pose.
    """
    return Pose(geometry.position, quaternion_from_rotation(geometry.world_from_camera[:3, :3]))


def crop_to_grid(ego: EgoMaps | None, grid: MapGrid, channels: int) -> tuple[Tensor, Tensor]:
    """Cut the part that lies on another grid out of a platform's map.

    Args:
        ego: the platform's maps; None gives an empty map.
        grid: of the receiver.
        channels: of the map.

    Returns:
        features (channels, rows, columns), zero from beyond the platform's map, and visibility (rows, columns) bool.
    """
    if ego is None:
        return torch.zeros(channels, *grid.shape), torch.zeros(grid.shape, dtype=torch.bool)
    offset = ego.grid.offset_to(grid)
    return translate_map(ego.features, *offset, grid.shape), translate_map(ego.visible, *offset, grid.shape)
