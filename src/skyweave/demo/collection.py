"""The images that the demo shows: real ones where they are, procedural scenes elsewhere."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.data.raster import read_observation
from skyweave.data.synthetic import procedural_scene

IMAGE_PIXELS = 160
S2_BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]


@dataclass(frozen=True)
class Chapter:
    """Images of one sensor.

    Attributes:
        title: heading.
        origin: where the images come from, for the reader.
        real: measured, not procedural.
        observations: at least one, of one sensor.
    """

    title: str
    origin: str
    real: bool
    observations: list[Observation]


@dataclass(frozen=True)
class ImageRecipe:
    """How to read one image: files that lie side by side are joined by their georeference."""

    files: tuple[str, ...]
    unit: str
    bands: Any = None
    nodata: Any = "file"
    window: tuple[int, int, int, int] | None = None
    ground_sample_distance: float | None = None

    def read(self, folder: Path, sensor: str) -> Observation:
        """Read the image from its files.

        Args:
            folder: of real imagery.
            sensor: catalogue name.
        """
        parts = [
            read_observation(
                folder / file,
                get_sensor(sensor),
                unit=self.unit,
                bands=self.bands,
                nodata=self.nodata,
                window=self.window,
                ground_sample_distance=self.ground_sample_distance,
            )
            for file in self.files
        ]
        return parts[0] if len(parts) == 1 else join_images(parts)


def _terramesh(folder: str, place: str, unit: str, bands: Any) -> ImageRecipe:
    return ImageRecipe(
        (f"s1_s2_terramesh/{folder}/{place}.tif",), unit, bands, window=(32, 32, IMAGE_PIXELS, IMAGE_PIXELS)
    )


def _enmap(columns: Sequence[int], rows: Sequence[int]) -> ImageRecipe:
    files = tuple(f"enmap_potsdam/images/enmap_potsdam_tile_{x}_{y}.tif" for y in rows for x in columns)
    return ImageRecipe(files, "dn")


def _crop(file: str, row: int, column: int, **how: Any) -> ImageRecipe:
    return ImageRecipe((file,), "uint8", window=(row, column, IMAGE_PIXELS, IMAGE_PIXELS), **how)


# (title, sensor, origin of the real images or None, recipes)
CHAPTERS: list[tuple[str, str, str | None, list[ImageRecipe]]] = [
    (
        "Sentinel-1 radar",
        "sentinel1-rtc",
        "Sentinel-1 RTC, Brazil, East Africa and Chile (TerraMesh examples; contains modified Copernicus data)",
        [_terramesh("S1RTC", p, "db", ["vv", "vh"]) for p in ("282D_485L_3_3", "38D_378R_2_3", "433D_629L_3_1")],
    ),
    (
        "Sentinel-2",
        "sentinel2-l2a",
        "Sentinel-2 L2A of the same places (TerraMesh examples; contains modified Copernicus data)",
        [
            _terramesh("S2L2A", "282D_485L_3_3", "dn", S2_BANDS),
            _terramesh("S2L2A", "38D_378R_2_3", "dn", S2_BANDS),
            _terramesh("S2L2A", "433D_629L_3_1", "dn_offset1000", S2_BANDS),
        ],
    ),
    (
        "NAIP aerial",
        "naip",
        "NAIP at 5 m, North Dakota, three years (USDA FSA, public domain)",
        [
            _crop("naip_5m/m_4709963_se_14_1_20100629_west.tif", 40, 100),
            _crop("naip_5m/m_4709963_se_14_1_20140720_west.tif", 240, 100),
            _crop("naip_5m/m_4709963_se_14_1_20200831_west.tif", 440, 100),
        ],
    ),
    (
        "EnMAP hyperspectral",
        "enmap",
        "EnMAP L2A, Potsdam (© DLR 2022)",
        [_enmap((64, 96, 128), (0, 32)), _enmap((160, 192), (64, 96))],
    ),
    (
        "Aerial RGB",
        "rgb",
        "NEON airborne camera at 0.1 m: Florida, California, Massachusetts (CC0)",
        [
            _crop(f"neon_trees/images/{name}.tif", 80, 80, bands="sensor", nodata=None)
            for name in ("OSBS_005", "SJER_003", "HARV_024")
        ],
    ),
    (
        "Drone RGB",
        "rgb",
        "DJI Phantom 3 over Duluth, Minnesota, at 3 cm (P. Toffanin, BSD-2-Clause)",
        [
            _crop(
                f"uav_brighton_beach/images/{name}.JPG",
                400,
                column,
                bands="sensor",
                nodata=None,
                ground_sample_distance=0.031,
            )
            for name, column in (("DJI_0018", 500), ("DJI_0021", 900), ("DJI_0025", 1200))
        ],
    ),
    ("Gaofen-2", "gaofen2-pms", None, []),
    ("Landsat 8/9", "landsat8-l2", None, []),
    ("Thermal", "thermal", None, []),
]


def find_imagery(declared: str | Path | None = None) -> Path | None:
    """Return the folder of real imagery: as declared, else ``$SKYWEAVE_DATA``, else ``../shared/data``; None if not
    there.

    Args:
        declared: by the user.

    Raises:
        FileNotFoundError: a declared folder does not exist.
    """
    declared = declared or os.environ.get("SKYWEAVE_DATA")
    folder = Path(declared) if declared else Path("..") / "shared" / "data"
    if folder.is_dir():
        return folder
    if declared:
        raise FileNotFoundError(f"there is no folder {folder} with imagery; leave --data out for procedural scenes")
    return None


def collect_chapters(data: Path | None) -> list[Chapter]:
    """Return every chapter; a sensor whose files are not there shows procedural scenes instead.

    Args:
        data: folder of real imagery.
    """
    chapters = []
    for title, sensor, origin, recipes in CHAPTERS:
        if data is not None and origin is not None and _has_files(data, recipes):
            chapters.append(Chapter(title, origin, True, [recipe.read(data, sensor) for recipe in recipes]))
        else:
            chapters.append(_procedural_chapter(title, sensor))
    return chapters


def _has_files(data: Path, recipes: Sequence[ImageRecipe]) -> bool:
    """Say whether all files of the recipes are there."""
    return all((data / file).exists() for recipe in recipes for file in recipe.files)


def _procedural_chapter(title: str, sensor: str) -> Chapter:
    """Return the chapter of a sensor without real imagery."""
    known = get_sensor(sensor)
    distance = 0.03 if title.startswith("Drone") else known.ground_sample_distance
    scenes = [procedural_scene(known, seed, IMAGE_PIXELS, distance) for seed in range(3)]
    return Chapter(title, "procedural scenes, no measurements", False, scenes)


def join_images(parts: Sequence[Observation]) -> Observation:
    """Join images of one sensor and grid by their georeference; gaps are invalid. North is up in all of them.

    Args:
        parts: at least one image.
    """
    places = _pixel_offsets(parts)
    rows = max(row + part.shape[0] for (row, _), part in zip(places, parts, strict=True))
    columns = max(column + part.shape[1] for (_, column), part in zip(places, parts, strict=True))
    pixels = np.zeros((len(parts[0].sensor), rows, columns), np.float32)
    valid = np.zeros(pixels.shape, bool)
    for (row, column), part in zip(places, parts, strict=True):
        area = (slice(None), slice(row, row + part.shape[0]), slice(column, column + part.shape[1]))
        pixels[area], valid[area] = part.pixels, part.valid
    first = parts[0]
    return Observation(pixels, first.sensor, valid, first.ground_sample_distance, source=f"{first.source} and others")


def _pixel_offsets(parts: Sequence[Observation]) -> list[tuple[int, int]]:
    """Return (row, column) of each image's first pixel in the joined one."""
    transforms = _affines(parts)
    width, height = transforms[0][0], transforms[0][4]
    west = min(transform[2] for transform in transforms)
    north = max(transform[5] for transform in transforms)
    return [(round((t[5] - north) / height), round((t[2] - west) / width)) for t in transforms]


def _affines(parts: Sequence[Observation]) -> list[tuple[float, float, float, float, float, float]]:
    """Return the affine transforms of images, which must all have one."""
    transforms = [part.geotransform.affine for part in parts if part.geotransform is not None]
    if len(transforms) != len(parts):
        raise DataError(f"{parts[0].source}: images without georeference cannot be joined")
    return transforms
