"""Rasters as layers of a map: what they hold, where they lie, how they are coloured."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.display_bands import choose_bands
from skyweave.data.header import read_header
from skyweave.inference.raster import RasterKind
from skyweave.inference.serving.styles import STYLES, ImageStyle, MapStyle, RasterSample, style_image

SAMPLE_SIDE_PIXELS = 512
CLASS_TAG = re.compile(r"CLASS_(\d+)")
UNSAFE = re.compile(r"[^\w-]+")


@dataclass(frozen=True)
class MapLayer:
    """A layer.

    Attributes:
        name: in addresses.
        title: for people.
        path: of the raster.
        style: of its colours.
        bounds: west, south, east, north in degrees.
        zooms: smallest and largest zoom at which it has details of its own.
    """

    name: str
    title: str
    path: Path
    style: MapStyle
    bounds: tuple[float, float, float, float]
    zooms: tuple[int, int]

    def describe(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "name": self.name,
            "title": self.title,
            "bounds": self.bounds,
            "zooms": self.zooms,
            "legend": self.style.legend,
        }


def open_layers(paths: Sequence[str | Path]) -> list[MapLayer]:
    """Return the layers of rasters: one each, or one for each class where a file holds probabilities.

    Args:
        paths: outputs of `skyweave embed` and `skyweave predict`, scenes, and other rasters that GDAL reads.

    Raises:
        FileNotFoundError: no such file.
        DataError: no raster, or one without a place on the Earth.
    """
    layers: list[MapLayer] = []
    for path in map(Path, paths):
        for shown, style, place, zooms in _open(path):
            title = f"{path.name}: {shown}" if shown else path.name
            name = UNSAFE.sub("-", title.removesuffix(path.suffix)).strip("-") or "layer"
            taken = sum(layer.name == name or layer.name.startswith(f"{name}.") for layer in layers)
            layers.append(MapLayer(f"{name}.{taken + 1}" if taken else name, title, path, style, place, zooms))
    return layers


def _open(path: Path) -> "list[tuple[str, MapStyle, tuple[float, float, float, float], tuple[int, int]]]":
    """Return what is shown of a file: what of it, how, where and at which zooms."""
    from rasterio.errors import RasterioError
    from rio_tiler.errors import RioTilerError
    from rio_tiler.io import Reader

    header = read_header(path)
    if header.crs is None:
        raise DataError(f"{path} has no place on the Earth, which a map needs; look at it with: skyweave view {path}")
    try:
        with Reader(str(path)) as reader:
            kind = _find_kind(reader.dataset.tags())
            sample = read_sample(reader.dataset)
            bounds = reader.get_geographic_bounds("EPSG:4326")
            zooms = reader.minzoom, reader.maxzoom
    except (RasterioError, RioTilerError) as error:
        reason = str(error.__cause__ or error)
        raise DataError(f"{path} cannot be shown on a map: {reason}; is it whole? Copy or make it again") from error
    styles: dict[str, MapStyle] = (
        {"": style_image(sample, [band + 1 for band in choose_bands(header)])} if kind is None else STYLES[kind](sample)
    )
    west, south, east, north = map(float, bounds)
    if not all(map(math.isfinite, (west, south, east, north))):
        raise DataError(f"{path} lies where a web map has no place; bring it there: gdalwarp -t_srs EPSG:3857 ...")
    return [(shown, style, (west, south, east, north), zooms) for shown, style in styles.items()]


def _find_kind(tags: dict[str, str]) -> str | None:
    """Return what an output of ours holds; None: it is none."""
    readout = tags.get("READOUT")
    if readout is None:
        return None
    last = readout.rpartition(", ")[2]
    return last if last in get_args(RasterKind) else "features"


def read_sample(dataset: Any) -> RasterSample:
    """Return a coarse copy of a raster.

    Args:
        dataset: of rasterio, open.
    """
    scale = max(1.0, max(dataset.shape) / SAMPLE_SIDE_PIXELS)
    shape = (dataset.count, math.ceil(dataset.height / scale), math.ceil(dataset.width / scale))
    stored = dataset.read(out_shape=shape, masked=True)
    valid = ~np.ma.getmaskarray(stored).any(0) & np.isfinite(stored.data).all(0)
    scales, offsets = np.array(dataset.scales)[:, None], np.array(dataset.offsets)[:, None]
    tags = {match[1]: text for key, text in dataset.tags(1).items() if (match := CLASS_TAG.fullmatch(key))}
    names = tuple(text or f"band {number}" for number, text in enumerate(dataset.descriptions, 1))
    return RasterSample(
        stored.data[:, valid].astype(np.float64) * scales + offsets,
        names,
        {int(number): text for number, text in sorted(tags.items(), key=lambda item: int(item[0]))},
        all(dtype == "uint8" for dtype in dataset.dtypes),
    )


def is_image(layer: MapLayer) -> bool:
    """Return whether a layer is a scene, and not what a model made of it.

    Args:
        layer: of a map.
    """
    return isinstance(layer.style, ImageStyle)
