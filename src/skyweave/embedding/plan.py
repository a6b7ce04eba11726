"""What is read from a scene for each tile, and where its features lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyweave.core.errors import ConfigError
from skyweave.core.observation import Observation
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.raster import open_image
from skyweave.data.raster_files import list_dataset_files
from skyweave.data.raster_image import RasterImage
from skyweave.embedding.config import EmbeddingConfig
from skyweave.embedding.tiles import Tile, TilePlan


@dataclass(frozen=True)
class ScenePlan:
    """A scene and how it is cut into patches and tiles.

    Attributes:
        scene: raster.
        image: its pixels.
        unit: how the file stores values.
        patch_size: pixels per patch side.
        tiles: in patches.
        crs: of scene and features, as WKT; None: unknown.
        transform: of the features, see `FeatureMap`.
        files: that the scene is made of.
    """

    scene: str | Path
    image: RasterImage
    unit: str
    patch_size: int
    tiles: TilePlan
    crs: str | None
    transform: tuple[float, float, float, float, float, float]
    files: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the size of the scene in pixels as (rows, columns)."""
        return self.image.shape

    def read(self, tile: Tile) -> Observation:
        """Read the pixels of a tile, without those beyond the scene.

        Args:
            tile: in patches.
        """
        size = self.patch_size
        row, column = tile.row * size, tile.column * size
        rows, columns = min(tile.rows * size, self.shape[0] - row), min(tile.columns * size, self.shape[1] - column)
        return self.image.read((row, column, rows, columns))

    def notes(self, valid_fraction: float) -> tuple[str, ...]:
        """Return what a user should know about the result.

        Args:
            valid_fraction: share of patches that hold a valid pixel.
        """
        notes = []
        if valid_fraction == 0:
            notes.append(f"{self.scene} has no valid pixel under this declaration; the result is all nodata")
        if min(self.shape) < self.patch_size:
            rows, columns = self.shape
            notes.append(
                f"{self.scene} has {columns} x {rows} pixels (width x height), less than a patch of {self.patch_size}; "
                "the rest is masked"
            )
        return tuple(notes)


def plan_scene(
    scene: str | Path, sensor: Sensor, unit: str, config: EmbeddingConfig, patch_size: int, reading: Mapping[str, Any]
) -> ScenePlan:
    """Read a scene's header and cut it into patches and tiles.

    Args:
        scene: any raster that GDAL reads.
        sensor: what took it.
        unit: how the file stores values.
        config: tile and overlap.
        patch_size: pixels per patch side.
        reading: further arguments of `read_observation`.

    Raises:
        ConfigError: a tile is smaller than a patch.
        FileNotFoundError: there is no such scene.
        DataError: GDAL cannot read the scene.
    """
    if config.tile < patch_size:
        raise ConfigError(
            f"a tile of {config.tile} pixels is smaller than a patch of {patch_size}; "
            f"choose --tile {patch_size} or more"
        )
    image = open_image(scene, sensor, unit=unit, **reading)
    files = tuple(str(file) for part in image.parts for file in list_dataset_files(part.storage.header.path))
    rows, columns = (math.ceil(extent / patch_size) for extent in image.shape)
    tiles = TilePlan(rows, columns, config.tile // patch_size, config.overlap // patch_size)
    place = image.geotransform
    a, b, c, d, e, f = place.affine if place else image.finest.affine
    transform = (a * patch_size, b * patch_size, c, d * patch_size, e * patch_size, f)
    return ScenePlan(scene, image, unit, patch_size, tiles, _wkt(place.crs if place else None), transform, files)


def _wkt(crs: str | None) -> str | None:
    """Return a reference system as WKT."""
    from rasterio.crs import CRS

    return None if crs is None else str(CRS.from_user_input(crs).to_wkt())
