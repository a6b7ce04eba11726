"""One scene of any size to a georeferenced GeoTIFF of features, window by window."""

import contextlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

import skyweave
from skyweave.backbone import Encoder, fingerprint
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.images.png import encode_png
from skyweave.core.images.principal_components import PrincipalComponents, RunningCovariance
from skyweave.core.observation import Observation
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.raster import read_observation
from skyweave.embedding.tiles import BlendedRows, Tile, TilePlan

Storage = Literal["int8", "float16", "float32"]
BLOCK = 64
"""Side of a block of the output file, in patches; a multiple of 16, as TIFF wants."""
PREVIEW_SIDE = 2048
INT8_NODATA = -128


@dataclass(frozen=True)
class EmbeddedScene:
    """What was written.

    Attributes:
        path: the GeoTIFF.
        rows, columns, channels: its size; a pixel is a patch of the scene.
        ground_sample_distance: metres a pixel of it.
        valid_fraction: share of its pixels that hold features.
        notes: what the user should know, such as a missing coordinate reference system.
    """

    path: Path
    rows: int
    columns: int
    channels: int
    ground_sample_distance: float
    valid_fraction: float
    notes: tuple[str, ...]


def embed_scene(
    scene: str | Path,
    output: str | Path,
    encoder: Encoder,
    sensor: Sensor,
    *,
    unit: str,
    bands: Sequence[str] | str | None = None,
    patch_size: int | None = None,
    tile: int = 256,
    overlap: int = 64,
    storage: Storage = "float16",
    preview: str | Path | None = None,
    model_name: str = "unnamed",
    progress: Callable[[int, int], None] | None = None,
    **reading: Any,
) -> EmbeddedScene:
    """Embed a raster; every pixel of the output holds the features of one patch, where that patch lies.

    Tiles overlap and are blended linearly. At no time more than one tile of pixels and one row of tiles of features
    is in memory. Patches without a valid pixel are nodata. The result does not depend on chance.

    Args:
        scene: any raster GDAL reads.
        output: GeoTIFF to write; it appears when it is whole.
        encoder: in evaluation mode, on the device that shall do the work.
        sensor: what took the scene.
        unit: how the file stores values, a word of ``sensor.encodings``.
        bands: names of the file's bands, if the file does not tell; see ``read_observation``.
        patch_size: pixels a patch side; default the model's. The output is that much coarser than the scene.
        tile: pixels a tile side, rounded down to whole patches.
        overlap: pixels that neighbouring tiles share, rounded down to whole patches.
        storage: ``float32``; ``float16`` (a TIFF of 16-bit floats, read as float32); or ``int8``, each channel
            scaled to its range, with GDAL's scale and offset set to undo that.
        preview: PNG to write, first three principal components as red, green and blue; nodata is transparent.
        model_name: recorded in the file.
        progress: called with (tiles done, tiles in all).
        reading: ``offset``, ``nodata`` and other arguments of ``read_observation``.

    Raises:
        ValueError, OSError, rasterio.errors.RasterioError: the scene, its declaration or the disk; nothing is left
            half-written.
    """
    size = patch_size or encoder.patch_size
    if tile < size:
        raise DataError(f"a tile of {tile} pixels is smaller than a patch of {size}; choose --tile {size} or more")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(scene) as source:
            grid, crs, affine = (source.height, source.width), source.crs, source.transform
    if patch_size is not None and patch_size < 1:
        raise DataError(f"a patch of {patch_size} pixels is not possible; choose 1 or more")
    plan = TilePlan(math.ceil(grid[0] / size), math.ceil(grid[1] / size), tile // size, overlap // size)
    profile = {
        "driver": "GTiff",
        "height": plan.rows,
        "width": plan.columns,
        "count": encoder.width,
        "dtype": "float32",
        "nodata": math.nan,
        "crs": crs,
        "transform": Affine(*(value * factor for value, factor in zip(affine[:6], (size, size, 1) * 2, strict=True))),
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "pixel",
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "if_safer",
    }
    if storage == "float16":
        profile["nbits"] = 16

    def read(part: Tile) -> Observation:
        row, column = part.row * size, part.column * size
        window = (row, column, min(part.rows * size, grid[0] - row), min(part.columns * size, grid[1] - column))
        return read_observation(scene, sensor, unit=unit, bands=bands, window=window, **reading)

    moments = RunningCovariance(encoder.width)
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        aside = stack.enter_context(write_aside(output))
        floats = stack.enter_context(_scratch(aside)) if storage == "int8" else aside
        first = read(Tile(0, 0, 1, 1))
        with rasterio.open(floats, "w", **profile) as target:
            _describe(target, first, unit, size, plan, encoder, model_name, scene)
            for row, features, valid in _blocks(_blended_rows(plan, read, encoder, size, progress), plan.rows):
                moments.add(features[:, valid].T)
                features[:, ~valid] = np.nan
                target.write(features, window=Window(0, row, plan.columns, features.shape[1]))
        if storage == "int8":
            _quantise(floats, aside, profile, moments)
        if preview is not None:
            picture = _picture(floats, moments.principal_components())
            with write_aside(preview) as aside_picture:
                aside_picture.write_bytes(encode_png(picture))
        _verify(aside)
    metres = first.ground_sample_distance * size
    share = moments.count / (plan.rows * plan.columns)
    notes = (*first.notes, *_notes(scene, grid, share, size))
    return EmbeddedScene(Path(output), plan.rows, plan.columns, encoder.width, metres, share, notes)


def _blended_rows(
    plan: TilePlan,
    read: Callable[[Tile], Observation],
    encoder: Encoder,
    patch_size: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Finished patch rows from north to south: features (channels, rows, columns) and valid (rows, columns)."""
    blended = BlendedRows(encoder.width, min(plan.size, plan.rows), plan.columns)
    done = itertools.count(1)
    for tiles, following in plan.tile_rows():
        for tile in tiles:
            observation = read(tile)
            if observation.valid.any():
                features = encoder.embed(observation, patch_size)
                valid = features.valid[0].view(features.grid).cpu().numpy()
                values = features.dense()[0].to(torch.float32).cpu().numpy()
                blended.add(tile, values, plan.weight(tile) * valid)
            if progress is not None:
                progress(next(done), len(plan))
        yield blended.finish(following)


def _blocks(rows: Iterator[tuple[np.ndarray, np.ndarray]], height: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Regroup rows to whole blocks of the file, so that each block is compressed once: (first row, features, valid)."""
    start, open_features, open_valid = 0, [], []
    for features, valid in rows:
        open_features.append(features)
        open_valid.append(valid)
        waiting = sum(len(part) for part in open_valid)
        ready = waiting if start + waiting == height else waiting // BLOCK * BLOCK
        if ready:
            joined, mask = np.concatenate(open_features, axis=1), np.concatenate(open_valid)
            yield start, joined[:, :ready].copy(), mask[:ready]
            start, open_features, open_valid = start + ready, [joined[:, ready:]], [mask[ready:]]


def _describe(
    target: Any,
    first: Observation,
    unit: str,
    patch_size: int,
    plan: TilePlan,
    encoder: Encoder,
    model_name: str,
    scene: str | Path,
) -> None:
    """Say in the file what made it."""
    target.descriptions = tuple(f"feature {channel:03d}" for channel in range(encoder.width))
    target.colorinterp = [ColorInterp.grey] + [ColorInterp.undefined] * (encoder.width - 1)
    target.update_tags(
        SOFTWARE=f"skyweave {skyweave.__version__}",
        MODEL=model_name,
        FINGERPRINT=fingerprint(encoder),
        READOUT="dense, last block, normalised",
        SENSOR=first.sensor.name,
        BANDS=",".join(band.name for band in first.sensor.bands),
        UNIT=unit,
        GSD=f"{first.ground_sample_distance:g}",
        PATCH_SIZE=str(patch_size),
        TILE=str(plan.size * patch_size),
        OVERLAP=str(plan.overlap * patch_size),
        SOURCE=Path(scene).name,
    )


@contextlib.contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A file for the first pass, gone afterwards."""
    path = beside.with_name(f"{beside.stem}.float{beside.suffix}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _quantise(floats: Path, output: Path, profile: dict[str, Any], moments: RunningCovariance) -> None:
    """Features to -127..127, each channel over its own range."""
    known = moments.count > 0
    smallest = np.where(known, moments.smallest, 0.0)
    largest = np.where(known, moments.largest, 0.0)
    scales = np.where(largest > smallest, (largest - smallest) / 254, 1.0)
    offsets = (largest + smallest) / 2
    profile = {**profile, "dtype": "int8", "nodata": INT8_NODATA}
    with rasterio.open(floats) as source, rasterio.open(output, "w", **profile) as target:
        target.descriptions, target.colorinterp = source.descriptions, source.colorinterp
        target.update_tags(**source.tags())
        target.scales, target.offsets = tuple(scales.tolist()), tuple(offsets.tolist())
        for _, window in source.block_windows(1):
            values = source.read(window=window)
            levels = np.round((values - offsets[:, None, None]) / scales[:, None, None]).clip(-127, 127)
            target.write(np.where(np.isnan(values), INT8_NODATA, levels).astype(np.int8), window=window)


def _picture(floats: Path, colours: PrincipalComponents) -> np.ndarray:
    """(rows, columns, 4) uint8, at most ``PREVIEW_SIDE`` a side: every n-th pixel of a larger map."""
    with rasterio.open(floats) as source:
        step = max(1, math.ceil(max(source.height, source.width) / PREVIEW_SIDE))
        picture = np.zeros((math.ceil(source.height / step), math.ceil(source.width / step), 4), np.uint8)
        for _, window in source.block_windows(1):
            # the first multiple of the step in this block
            top, left = -window.row_off % step, -window.col_off % step
            values = source.read(window=window)[:, top::step, left::step]
            valid = ~np.isnan(values[0])
            part = np.zeros((*valid.shape, 4), np.uint8)
            part[valid, :3] = colours.colours(values[:, valid].T)
            part[valid, 3] = 255
            row, column = (window.row_off + top) // step, (window.col_off + left) // step
            picture[row : row + part.shape[0], column : column + part.shape[1]] = part
    return picture


def _verify(path: Path) -> None:
    """Read everything back: GDAL writes late, and reports a disk that filled up meanwhile only in its log."""
    with rasterio.open(path) as written:
        for _, window in written.block_windows(1):
            written.read(1, window=window)


def _notes(scene: str | Path, grid: tuple[int, int], share: float, size: int) -> tuple[str, ...]:
    notes = []
    if share == 0:
        notes.append(f"{scene} has no valid pixel under this declaration; the result is all nodata")
    if min(grid) < size:
        notes.append(f"{scene} has {grid[0]} x {grid[1]} pixels, less than a patch of {size}; the rest is masked")
    return tuple(notes)
