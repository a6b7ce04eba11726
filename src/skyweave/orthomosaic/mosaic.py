"""Photos on one grid: each cell takes from the photos that see it best, softly, and the grid is written by tiles."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window

import skyweave
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.orthomosaic.image_cache import ImageCache, sample_bilinear
from skyweave.orthomosaic.photo import Photo

TILE_CELLS = 1024  # cells a side that are in memory at once
BLOCK_CELLS = 256
MAX_CELLS = 4 * 10**10
SHARPNESS = 4  # of the choice between photos: 1 is a long fade, many is a hard seam
PREVIEW_SIDE = 2048


def mosaic_grid(photos: Sequence[Photo], ground: Ground, resolution: float | None, crs: str) -> MapGrid:
    """Return the map grid over everything that the photos see.

    Args:
        photos: with poses.
        ground: level or with relief.
        resolution: metres; None for twice the median ground sample distance.
        crs: of the map.

    Raises:
        DataError: more cells than any file should have; the message says what resolution to choose.
    """
    if resolution is None:
        sizes = [photo.ground_sample_distance(ground) for photo in photos]
        resolution = float(f"{2 * np.median(sizes):.2g}")
    boxes = np.array([_box(photo, ground) for photo in photos])
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    grid = MapGrid.covering((low[0], low[1], max(high[0], low[0] + resolution), high[1]), resolution, crs)
    if grid.rows * grid.columns > MAX_CELLS:
        raise DataError(
            f"a mosaic of {grid.rows} x {grid.columns} cells of {resolution:g} m is too large; the pictures span "
            f"{high[0] - low[0]:.0f} x {high[1] - low[1]:.0f} m: choose a coarser --resolution"
        )
    return grid


def write_mosaic(
    path: str | Path,
    photos: Sequence[Photo],
    ground: Ground,
    grid: MapGrid,
    images: ImageCache,
    progress: Callable[[int, int], None] | None = None,
    preview: str | Path | None = None,
) -> float:
    """Write a tiled GeoTIFF of red, green, blue and alpha with overviews, and a picture of it.

    One tile is in memory at a time, and as many images as the cache has room for.

    Args:
        path: the file; it appears when it is whole.
        photos: with poses.
        ground: level or with relief.
        grid: of the mosaic.
        images: pixels of the photos.
        progress: called with tiles done and all tiles.
        preview: a PNG to write, at most 2048 pixels a side; None: none.

    Returns:
        The share of cells that are known.
    """
    boxes = np.array([_box(photo, ground) for photo in photos])
    factors = [_factor(photo, ground, grid.resolution) for photo in photos]
    rows, columns = -(-grid.rows // TILE_CELLS), -(-grid.columns // TILE_CELLS)
    known = 0
    with write_aside(path) as aside:
        with rasterio.open(aside, "w", **_profile(grid)) as target:
            target.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
            target.update_tags(SOFTWARE=f"skyweave {skyweave.__version__}", PICTURES=str(len(photos)))
            for number in range(rows * columns):
                window, size = _tile_window(number, columns, grid)
                part = grid.subgrid(*window, *size)
                pixels = _tile(part, photos, boxes, factors, ground, images)
                known += int((pixels[3] > 0).sum())
                target.write(pixels, window=Window(window[1], window[0], size[1], size[0]))
                if progress is not None:
                    progress(number + 1, rows * columns)
        _build_overviews(aside, max(grid.rows, grid.columns))
        _read_back(aside)
        if preview is not None:
            _write_preview(aside, preview)  # now: a mosaic that goes into a pipe cannot be read later
    return known / (grid.rows * grid.columns)


def render_map(photos: Sequence[Photo], ground: Ground, grid: MapGrid, images: ImageCache) -> np.ndarray:
    """Return (4, rows, columns) uint8 of red, green, blue and alpha, for a grid that fits in memory.

    Args:
        photos: with poses.
        ground: level or with relief.
        grid: of the map.
        images: pixels of the photos.
    """
    boxes = np.array([_box(photo, ground) for photo in photos])
    factors = [_factor(photo, ground, grid.resolution) for photo in photos]
    return _tile(grid, photos, boxes, factors, ground, images)


def _profile(grid: MapGrid) -> dict[str, Any]:
    """Return how GDAL is to store the mosaic."""
    return {
        "driver": "GTiff",
        "height": grid.rows,
        "width": grid.columns,
        "count": 4,
        "dtype": "uint8",
        "crs": grid.crs,
        "transform": rasterio.Affine(*grid.affine),
        "tiled": True,
        "blockxsize": BLOCK_CELLS,
        "blockysize": BLOCK_CELLS,
        "interleave": "pixel",
        "compress": "deflate",
        "predictor": 2,
        "zlevel": 6,
        "photometric": "rgb",
        "bigtiff": "if_safer",
    }


def _tile_window(number: int, columns: int, grid: MapGrid) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return first (row, column) and size of a tile, there and back again, so that the pictures at hand stay useful."""
    row, column = divmod(number, columns)
    column = column if row % 2 == 0 else columns - 1 - column
    first = (row * TILE_CELLS, column * TILE_CELLS)
    return first, (min(TILE_CELLS, grid.rows - first[0]), min(TILE_CELLS, grid.columns - first[1]))


def _build_overviews(path: Path, side: int) -> None:
    """Add coarser versions of a mosaic of ``side`` cells, down to a single block."""
    levels = [2**k for k in range(1, 12) if side // 2**k >= BLOCK_CELLS]
    if levels:
        with rasterio.open(path, "r+") as target:
            target.build_overviews(levels, Resampling.average)


def _read_back(path: Path) -> None:
    """Read the whole file once: GDAL writes late, and a disk that filled up shows here."""
    with rasterio.open(path) as written:
        for _, block in written.block_windows(1):
            written.read(1, window=block)


def _write_preview(mosaic: Path, path: str | Path) -> None:
    """Write a PNG of a mosaic, transparent where nothing is known."""
    with rasterio.open(mosaic) as source:
        step = max(1.0, max(source.height, source.width) / PREVIEW_SIDE)
        shape = max(round(source.height / step), 1), max(round(source.width / step), 1)
        pixels = source.read(out_shape=(4, *shape), resampling=Resampling.average)
    with write_aside(path) as aside:
        Image.fromarray(np.moveaxis(pixels, 0, -1)).save(aside, "PNG")


def _tile(
    part: MapGrid,
    photos: Sequence[Photo],
    boxes: np.ndarray,
    factors: Sequence[int],
    ground: Ground,
    images: ImageCache,
) -> np.ndarray:
    """(4, rows, columns) uint8 of a part of the grid."""
    total = np.zeros((*part.shape, 3), np.float32)
    weights = np.zeros(part.shape, np.float32)
    for photo, box, factor in zip(photos, boxes, factors, strict=True):
        (top, left), (bottom, right) = part.cells_from_world(np.array([[box[0], box[3]], [box[2], box[1]]]))
        rows = slice(max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), part.rows))
        columns = slice(max(int(np.floor(left)), 0), min(int(np.ceil(right)), part.columns))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        view = part.subgrid(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        places = view.cell_centres()
        points = np.concatenate([places, ground.height(places)[..., None]], -1)
        pixels = photo.pixels(points)
        seen = np.isfinite(pixels[..., 0])
        seen[seen] = images.opaque(photo, factor, pixels[seen])
        if not seen.any():
            continue
        weight = _weight(photo, points[seen], pixels[seen])
        colours = sample_bilinear(images.colour(photo, factor), factor, pixels[seen])
        total[rows, columns][seen] += weight[:, None] * colours
        weights[rows, columns][seen] += weight
    known = weights > 0
    result = np.zeros((4, *part.shape), np.uint8)
    result[:3, known] = np.round(total[known] / weights[known][:, None]).T.clip(0, 255).astype(np.uint8)
    result[3, known] = 255
    return result


def _weight(photo: Photo, points: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(n,) > 0: large where a photo looks straight down and far from its border."""
    camera = photo.geometry.camera
    size = np.array([camera.columns, camera.rows])
    border = np.minimum(pixels, size - pixels).min(-1) / (min(camera.columns, camera.rows) / 2)
    offset = points - photo.position
    steep = offset[:, 2] ** 2 / (offset**2).sum(-1)  # squared cosine from straight down
    # what stands on the ground leans away from the camera: straight down is best
    return np.asarray(np.maximum((border.clip(0, 1) ** 0.5 * steep**2) ** SHARPNESS, 1e-6).astype(np.float32))


def _box(photo: Photo, ground: Ground) -> np.ndarray:
    """(west, south, east, north) of what a photo sees."""
    points = photo.footprint(ground, 33)[..., :2].reshape(-1, 2)
    return np.concatenate([np.nanmin(points, 0), np.nanmax(points, 0)])


def _factor(photo: Photo, ground: Ground, resolution: float) -> int:
    """Power of two by which a picture may be reduced before its pixels are larger than cells."""
    ratio = resolution / photo.ground_sample_distance(ground)
    return int(2 ** max(np.floor(np.log2(max(ratio, 1.0)) + 1e-6), 0))
