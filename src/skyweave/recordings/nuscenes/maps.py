"""The map folder of a recording: base maps, and what covers the ground.

Beside the mask that the schema wants, ``maps`` holds for each scene its base maps (``SCENE__NAME.npz``, pixels in the
bands' units, and a preview beside it) and its land cover (``SCENE__land_cover.png``). Where they lie is in
``skyweave.json``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from skyweave.core.images.true_color import true_color_image
from skyweave.core.inner_path import path_below
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import Sensor
from skyweave.core.sensors.description import sensor_to_dict
from skyweave.recordings.nuscenes import rasters
from skyweave.recordings.nuscenes.tables import BaseMapExtras, LandCoverExtras, SceneExtras
from skyweave.recordings.recording import BaseMap, LandCoverRaster, RecordedScene

MAPS = "maps"


def write_maps(folder: Path, scene: RecordedScene, known: SceneExtras) -> dict[str, dict[str, object]]:
    """Write a scene's base maps and land cover, and note them in what is known of the scene.

    Args:
        folder: of the recording.
        scene: whose maps they are.
        known: what lies beside the tables of the scene; it is added to.

    Returns:
        The descriptions of the sensors that took them, by name.
    """
    sensors: dict[str, dict[str, object]] = {}
    for base in scene.base_maps:
        observation = base.load()
        known.base_maps.append(_write_base_map(folder, f"{MAPS}/{scene.name}__{base.name}", base, observation))
        sensors[observation.sensor.name] = sensor_to_dict(observation.sensor)
    if (cover := scene.land_cover) is not None:
        file = f"{MAPS}/{scene.name}__land_cover.png"
        rasters.write_classes(folder / file, cover.load())
        known.land_cover = LandCoverExtras(file, cover.classes, cover.geometry.affine)
    return sensors


def _write_base_map(folder: Path, stem: str, base: BaseMap, observation: Observation) -> BaseMapExtras:
    """Write the files of one base map."""
    geometry, true = observation.geotransform, base.true_geometry
    assert geometry is not None  # as `BaseMap` says
    rasters.write_pixels(folder / f"{stem}.npz", observation)
    rasters.write_image(folder / f"{stem}.png", true_color_image(observation))
    return BaseMapExtras(
        name=base.name,
        pixels=f"{stem}.npz",
        sensor=observation.sensor.name,
        ground_sample_distance=observation.ground_sample_distance,
        crs=geometry.crs,
        affine=geometry.affine,
        true_affine=None if true is None else true.affine,
        time=base.time,
        position_std=base.position_std,
    )


@dataclass(frozen=True)
class BaseMapFile:
    """What a base map of a stored recording loads.

    Attributes:
        path: ``.npz`` with its pixels.
        known: what lies beside the tables of it.
        sensor: that took it.
    """

    path: Path
    known: BaseMapExtras
    sensor: Sensor

    def __call__(self) -> Observation:
        """Return the image. Raises ``ValueError`` that names a missing or damaged file."""
        pixels, valid = rasters.read_pixels(self.path)
        known = self.known
        return Observation.from_pixels(
            pixels,
            self.sensor,
            known.ground_sample_distance,
            valid,
            geometry=GeoTransform(known.crs, known.affine),
            time=known.time,
            source=str(self.path),
        )


def read_base_maps(folder: Path, known: SceneExtras, sensor: Callable[[str], Sensor]) -> list[BaseMap]:
    """Return a scene's base maps, whose pixels are read when they are asked for.

    Args:
        folder: of the recording.
        known: what lies beside the tables of the scene.
        sensor: returns the sensor that the recording describes under a name.
    """
    return [_base_map(folder, one, sensor) for one in known.base_maps]


def _base_map(folder: Path, known: BaseMapExtras, sensor: Callable[[str], Sensor]) -> BaseMap:
    true = None if known.true_affine is None else GeoTransform(known.crs, known.true_affine)
    load = BaseMapFile(path_below(folder, known.pixels), known, sensor(known.sensor))
    return BaseMap(known.name, load, known.time, known.position_std, true)


def read_land_cover(folder: Path, known: SceneExtras) -> LandCoverRaster | None:
    """Return what covers the ground of a scene, read when it is asked for; None where it is not known.

    Args:
        folder: of the recording.
        known: what lies beside the tables of the scene.
    """
    cover = known.land_cover
    if cover is None:
        return None
    load: Callable[[], np.ndarray] = partial(rasters.read_classes, path_below(folder, cover.file))
    return LandCoverRaster(tuple(cover.classes), GeoTransform(known.crs, cover.affine), load)
