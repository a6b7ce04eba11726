"""A simulated moment on one map: what each platform sees, its features, and where they come to lie."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from skyweave import project_to_bev
from skyweave.backbone import Backbone
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.images.principal_components import PrincipalComponents, RunningCovariance
from skyweave.demo.figures import PAPER, feature_map
from skyweave.recordings.recording import Frame, RecordedScene
from skyweave.viewing.contact_sheet import draw_capture, draw_map

PATCH_SIZE = 8
MAP_SIZE_M, CELL_M = 100.0, 1.0  # of the map that is shown
MAP_PIXELS = 300  # pixels of a map
SAMPLES_PER_PATCH = 4  # a patch far away covers many cells: it is laid down as so many points a side


@dataclass(frozen=True)
class CrossingFigures:
    """Pictures, each (rows, columns, 3) uint8.

    Attributes:
        names: of the platforms.
        views: with the objects' boxes. features: principal components. placed: the same on the map.
        fused: all platforms' features on the map. overview: the ground and the objects from above.
        objects: how many there are. seen: by platform, how many of them it sees.
    """

    names: tuple[str, ...]
    views: list[np.ndarray]
    features: list[np.ndarray]
    placed: list[np.ndarray]
    fused: np.ndarray
    overview: np.ndarray
    objects: int
    seen: dict[str, int]


def make_crossing_figures(scene: RecordedScene, backbone: Backbone, number: int = 0) -> CrossingFigures:
    """Embed every image of one frame and place its features on the ground.

    Args:
        scene: of several platforms.
        backbone: that embeds.
        number: of the frame.
    """
    frame = scene.frames[number]
    names = tuple(sorted(frame.captures))
    middle = np.mean([_viewed_point(frame.captures[name].geometry, scene.ground) for name in names], axis=0)
    grid = MapGrid.around(float(middle[0]), float(middle[1]), MAP_SIZE_M, CELL_M, scene.crs)
    maps, colours = _feature_maps(frame, names, backbone)
    placed, visible = _place_maps(names, maps, frame, grid, scene)
    mean = _average_maps(placed, visible)
    return CrossingFigures(
        names=names,
        views=[np.asarray(draw_capture(frame, name)) for name in names],
        features=[feature_map(m.numpy(), np.ones(m.shape[1:], bool), colours) for m in maps],
        placed=[_enlarged(one.numpy(), seen.numpy(), colours) for one, seen in zip(placed, visible, strict=True)],
        fused=_enlarged(mean.numpy(), visible.any(0).numpy(), colours),
        overview=np.asarray(draw_map(scene, number, grid)),
        objects=_count_objects(frame),
        seen=_count_seen(frame, names),
    )


def _average_maps(placed: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Average the placed features (cameras, channels, rows, columns) where they are visible."""
    return (placed * visible[:, None]).sum(0) / visible.sum(0).clamp(min=1)


def _count_objects(frame: Frame) -> int:
    """Return the number of annotated objects."""
    return len(frame.annotations.boxes) if frame.annotations else 0


def _place_maps(
    names: tuple[str, ...], maps: list[torch.Tensor], frame: Frame, grid: MapGrid, scene: RecordedScene
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features of each camera on the map, and where each shows something of it."""
    placed = [
        project_to_bev(
            functional.interpolate(features[None], scale_factor=SAMPLES_PER_PATCH, mode="bilinear")[0],
            frame.captures[name].geometry,
            grid,
            ground=scene.ground,
            normalisation="mean",
        )
        for name, features in zip(names, maps, strict=True)
    ]
    visible = torch.stack([one.visible & (one.weight > 0) for one in placed])
    return torch.stack([one.features for one in placed]), visible


def _feature_maps(
    frame: Frame, names: tuple[str, ...], backbone: Backbone
) -> tuple[list[torch.Tensor], PrincipalComponents]:
    """Return (channels, rows, columns) features of each camera without their mean, and their common colours."""
    maps, covariance = [], RunningCovariance(backbone.config.width)
    for name in names:
        features = backbone.embed(frame.captures[name].load(), PATCH_SIZE).dense()[0].clone()
        maps.append(features - features.mean((1, 2), keepdim=True))  # what a picture has in common says little
        covariance.add(maps[-1].flatten(1).T.numpy())
    return maps, covariance.principal_components()


def _count_seen(frame: Frame, names: tuple[str, ...]) -> dict[str, int]:
    """Return how many of the objects each camera sees, where the annotations say so."""
    shares = frame.annotations.visibility if frame.annotations else {}
    return {name: int((shares[name] > 0).sum()) for name in names if name in shares}


def simulate_crossing() -> RecordedScene:
    """One moment of four drones around a crossing; always the same."""
    from skyweave.simulator.config import CameraConfig, PlatformConfig, WorldConfig
    from skyweave.simulator.world import simulate_scene

    drones = PlatformConfig(
        count=4, altitude=(35.0, 60.0), distance=(30.0, 50.0), cameras=[CameraConfig(field_of_view=(60.0, 75.0))]
    )
    return simulate_scene(WorldConfig(name="crossing", frames=1, platforms=[drones]), 0)


def _viewed_point(geometry: CameraGeometry, ground: Ground) -> np.ndarray:
    """(3,) where the middle of the picture meets the ground; below the camera where it does not."""
    ray = geometry.world_from_camera[:3, 2]
    depth = float(ground.depth(geometry.position, ray[None])[0])
    return np.asarray(geometry.position + np.nan_to_num(depth) * ray)


def _enlarged(features: np.ndarray, seen: np.ndarray, colours: PrincipalComponents) -> np.ndarray:
    image = feature_map(features, seen, colours)
    image[~seen] = PAPER
    return np.asarray(Image.fromarray(image).resize((MAP_PIXELS, MAP_PIXELS), Image.Resampling.NEAREST))
