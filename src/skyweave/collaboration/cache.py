"""What every platform of a recording sees and finds alone, worked out once: collaboration is trained on top of it.

A platform maps on a grid of its own, a little larger than the model's map and snapped to the codec's coarse cells, and
encodes it once for all receivers; a receiver cuts its own map out of it by a whole offset, as it does in the air.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import box_list_from_detections
from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.dataset import map_centre
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import decode_maps
from skyweave.perception.views import View, Views
from skyweave.recordings.recording import Frame, RecordedScene
from skyweave.wire import BoxList, Pose

SNAP_CELLS = 8  # cells by which maps of platforms are snapped: a coarse cell of the codec
MARGIN_CELLS = 16  # cells by which a platform's own map is larger than the model's on each side
MIN_SHARED_SCORE = 0.1  # score of a box from which it is kept
INDEX_FILE = "index.json"


@dataclass(frozen=True)
class EgoMaps:
    """What one platform has of one moment.

    Attributes:
        features: (channels, rows, columns) on its grid; zero where it sees nothing.
        visible: (rows, columns) bool.
        grid: its map.
        boxes: that it finds alone, the most certain first.
        time: capture, UTC nanoseconds.
        pose: that it believes its (first) camera has.
    """

    features: np.ndarray
    visible: np.ndarray
    grid: MapGrid
    boxes: BoxList
    time: int
    pose: Pose


Key = tuple[str, int, str]  # scene, frame, platform


class FeatureCache:
    """The folder that ``build_feature_cache`` wrote: memory-mapped, read by (scene, frame, platform)."""

    def __init__(self, folder: Path) -> None:
        """Raises ``FileNotFoundError`` without a finished cache there."""
        if not (folder / INDEX_FILE).exists():
            raise FileNotFoundError(f"{folder} holds no cache of features; it is made by `skyweave train`")
        self.folder = folder
        content = json.loads((folder / INDEX_FILE).read_text())
        self.model: str = content["model"]
        self.entries: dict[Key, dict[str, Any]] = {
            (entry["scene"], entry["frame"], entry["platform"]): entry for entry in content["entries"]
        }
        self.features = np.load(folder / "features.npy", mmap_mode="r")
        self.visible = np.load(folder / "visible.npy", mmap_mode="r")

    def __contains__(self, key: Key) -> bool:
        return key in self.entries

    def boxes(self, key: Key) -> BoxList:
        """Its boxes alone; its map is not read."""
        return _boxes(self.entries[key]["boxes"])

    def __getitem__(self, key: Key) -> EgoMaps:
        entry = self.entries[key]
        grid = MapGrid(*entry["grid"])
        visible = np.unpackbits(self.visible[entry["row"]], count=grid.rows * grid.columns).reshape(grid.shape)
        return EgoMaps(
            np.asarray(self.features[entry["row"]], np.float32),
            visible.astype(bool),
            grid,
            _boxes(entry["boxes"]),
            entry["time"],
            Pose(np.array(entry["pose"][:3]), np.array(entry["pose"][3:])),
        )


@torch.inference_mode()
def build_feature_cache(
    folder: Path,
    model: PerceptionModel,
    fingerprint: str,
    scenes: Sequence[RecordedScene],
    disturb: Callable[[CameraGeometry, Key], CameraGeometry] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureCache:
    """Let every platform of every frame observe alone, and keep it in ``folder``; what is there already is used.

    Args:
        fingerprint: of the model; a cache of another one is made anew.
        disturb: changes the pose that a platform believes it has.
    """
    if (folder / INDEX_FILE).exists():
        cache = FeatureCache(folder)
        wanted = {
            (scene.name, f, platform)
            for scene in scenes
            for f, frame in enumerate(scene.frames)
            for platform in platform_names(frame)
        }
        complete = all("pose" in entry for entry in cache.entries.values())  # earlier ones have none
        if cache.model == fingerprint and complete and wanted <= set(cache.entries):
            return cache
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX_FILE).unlink(missing_ok=True)
    side = model.config.map.cells + 2 * MARGIN_CELLS
    total = sum(len(platform_names(frame)) for scene in scenes for frame in scene.frames)
    shape = (total, model.config.lift.channels, side, side)
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float16, shape)
    visible = np.lib.format.open_memmap(folder / "visible.npy", "w+", np.uint8, (total, -(-side * side // 8)))
    entries: list[dict[str, Any]] = []
    model.eval()
    for scene in scenes:
        past: dict[str, tuple[MapGrid, Tensor]] = {}
        for f, frame in enumerate(scene.frames):
            for platform in platform_names(frame):
                key = (scene.name, f, platform)
                grid, maps, seen, pose = _observe(model, scene, frame, key, disturb)
                boxes = _alone(model, scene, frame.time, grid, maps, seen, past.get(platform))
                past[platform] = (grid, _own_only(model, maps, seen))
                row = len(entries)
                features[row] = maps.float().clamp(-65000, 65000).numpy()
                visible[row] = np.packbits(seen.numpy())
                entries.append({
                    "scene": scene.name, "frame": f, "platform": platform, "row": row, "time": frame.time,
                    "grid": [grid.west, grid.north, grid.resolution, grid.rows, grid.columns, grid.crs],
                    "pose": [*pose.position.tolist(), *pose.quaternion.tolist()],
                    "boxes": {name: np.round(value, 4).tolist() for name, value in asdict(boxes).items()},
                })  # fmt: skip
                if progress is not None:
                    progress(row + 1, total)
    features.flush()
    visible.flush()
    with write_aside(folder / INDEX_FILE) as aside:
        aside.write_text(json.dumps({"model": fingerprint, "entries": entries}))
    return FeatureCache(folder)


def platform_pose(geometry: CameraGeometry) -> Pose:
    """A camera's pose for the wire."""
    return Pose(geometry.position, quaternion_from_rotation(geometry.world_from_camera[:3, :3]))


def platform_names(frame: Frame) -> list[str]:
    """Names of the platforms of a frame, in order."""
    return sorted({capture.platform for capture in frame.captures.values()})


def ego_grid(
    model: PerceptionModel, geometry: CameraGeometry, scene: RecordedScene, margin: int = MARGIN_CELLS
) -> MapGrid:
    """The map of a platform about where it looks, snapped."""
    config = model.config.map
    step = SNAP_CELLS * config.resolution
    x, y = np.round(map_centre(geometry, scene.ground, config.size) / step) * step
    return MapGrid.around(
        float(x), float(y), config.size + 2 * margin * config.resolution, config.resolution, scene.crs
    )


def translate_map(maps: Tensor, rows: int, columns: int, shape: tuple[int, int]) -> Tensor:
    """A map (..., rows, columns) on another grid: ``rows`` and ``columns`` are added to each cell's place."""
    moved = maps.new_zeros((*maps.shape[:-2], *shape))
    height, width = maps.shape[-2:]
    top, left = max(rows, 0), max(columns, 0)
    bottom, right = min(height + rows, shape[0]), min(width + columns, shape[1])
    if top < bottom and left < right:
        part = maps[..., top - rows : bottom - rows, left - columns : right - columns]
        moved[..., top:bottom, left:right] = part
    return moved


def _observe(
    model: PerceptionModel,
    scene: RecordedScene,
    frame: Frame,
    key: Key,
    disturb: Callable[[CameraGeometry, Key], CameraGeometry] | None,
) -> tuple[MapGrid, Tensor, Tensor, Pose]:
    captures = [capture for capture in frame.captures.values() if capture.platform == key[2]]
    geometries = [c.geometry if disturb is None else disturb(c.geometry, key) for c in captures]
    grid = ego_grid(model, geometries[0], scene)
    views = [View(c.load(), geometry, 0, 0) for c, geometry in zip(captures, geometries, strict=True)]
    with torch.autocast("cpu", torch.bfloat16):
        found = model.observe(Views.from_views(views, [grid], 1, [scene.ground]))
    return grid, found.features[0, 0].float(), found.visible[0, 0], platform_pose(geometries[0])


def _own_only(model: PerceptionModel, maps: Tensor, seen: Tensor) -> Tensor:
    fused: Tensor = model.fusion(maps[None, None], seen[None, None])
    return fused


def _alone(
    model: PerceptionModel,
    scene: RecordedScene,
    time: int,
    grid: MapGrid,
    maps: Tensor,
    seen: Tensor,
    past: tuple[MapGrid, Tensor] | None,
) -> BoxList:
    now = _own_only(model, maps, seen)
    frames = [torch.zeros_like(now)] * (model.config.history - 1) + [now]
    present = torch.tensor([[False] * (model.config.history - 1) + [True]])
    if past is not None and model.config.history > 1:
        frames[-2] = translate_map(past[1], *past[0].offset_to(grid), grid.shape)
        present[0, -2] = True
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model.perceive(frames, present)
    kept = {"detection": outputs["detection"]} if "detection" in outputs else {}
    found = decode_maps(model, kept, [grid], [scene.ground], [time], MIN_SHARED_SCORE)[0].detections
    return box_list_from_detections(found, model.config.categories)


def _boxes(content: dict[str, Any]) -> BoxList:
    count = len(content["scores"])
    return BoxList(
        np.array(content["centres"], np.float64).reshape(count, 3),
        np.array(content["sizes"], np.float64).reshape(count, 3),
        np.array(content["yaws"], np.float64).reshape(count),
        np.array(content["classes"], int).reshape(count),
        np.array(content["scores"], np.float64).reshape(count),
        np.array(content["velocities"], np.float64).reshape(count, 2),
    )
