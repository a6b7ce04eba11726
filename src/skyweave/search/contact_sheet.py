"""Hits of a search as a contact sheet: what each looks like in its scene, with some ground around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import project_lon_lat
from skyweave.data.raster_windows import RasterWindows
from skyweave.search.hits import Hit

CONTEXT = 5.0  # sides of a patch that a thumbnail shows
MIN_CONTEXT_PIXELS = 32  # of the scene
THUMBNAIL_PIXELS = 192
COLUMNS = 5
GAP_PIXELS, LINE_PIXELS = 8, 16
BACKGROUND, FOREGROUND, OUTLINE = (24, 26, 30), (235, 235, 235), (255, 210, 60)


@dataclass(frozen=True)
class SceneWindows:
    """A scene that thumbnails are cut from.

    Attributes:
        windows: of its pixels.
    """

    windows: RasterWindows

    def pixels(self, degrees: np.ndarray) -> np.ndarray:
        """Return (column, row) of points, (points, 2).

        Args:
            degrees: (points, 2) longitude and latitude.
        """
        header = self.windows.header
        if header.crs is None:
            raise DataError(f"{header.path} has no coordinate reference system; hits cannot be shown on it")
        x, y = project_lon_lat(degrees, header.crs).T
        a, b, c, d, e, f = header.affine
        determinant = a * e - b * d
        return np.stack([(e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant], 1)

    def covers(self, pixels: np.ndarray) -> bool:
        """Return whether the centre of an outline lies in the scene.

        Args:
            pixels: (points, 2) column and row.
        """
        column, row = pixels.mean(0)
        rows, columns = self.windows.header.shape
        return bool(0 <= row < rows and 0 <= column < columns)


def write_hit_sheet(
    path: str | Path, hits: Sequence[Hit], scenes: Sequence[str | Path], bands: Sequence[int] | None = None
) -> int:
    """Draw hits as thumbnails with rank and score, row by row, into one PNG.

    Args:
        path: of the PNG.
        hits: of a search, at least one.
        scenes: rasters to cut thumbnails from; the first that covers a hit is used.
        bands: of the scenes that are shown as red, green and blue, from 1; default: by wavelength or name.

    Returns:
        How many hits no scene covers; their thumbnails say so.

    Raises:
        DataError: a scene cannot be read, or has no place on the Earth.
    """
    opened = [SceneWindows(RasterWindows(scene, bands)) for scene in scenes]
    thumbnails = [_thumbnail(hit, opened) for hit in hits]
    columns = min(COLUMNS, len(hits))
    rows = -(-len(hits) // columns)
    step_x, step_y = THUMBNAIL_PIXELS + GAP_PIXELS, THUMBNAIL_PIXELS + LINE_PIXELS + GAP_PIXELS
    sheet = Image.new("RGB", (columns * step_x + GAP_PIXELS, rows * step_y + GAP_PIXELS), BACKGROUND)
    drawing = ImageDraw.Draw(sheet)
    for index, (hit, thumbnail) in enumerate(zip(hits, thumbnails, strict=True)):
        row, column = divmod(index, columns)
        left, top = GAP_PIXELS + column * step_x, GAP_PIXELS + row * step_y
        drawing.text((left, top), f"{hit.rank}   {hit.score:.3f}", fill=FOREGROUND)
        if thumbnail is None:
            drawing.text((left + 8, top + THUMBNAIL_PIXELS // 2), "no scene covers it", fill=FOREGROUND)
        else:
            sheet.paste(thumbnail, (left, top + LINE_PIXELS))
    with write_aside(path) as aside:
        sheet.save(aside, format="PNG")
    return sum(thumbnail is None for thumbnail in thumbnails)


def _thumbnail(hit: Hit, scenes: Sequence[SceneWindows]) -> Image.Image | None:
    """Return the surroundings of a hit with its outline; None where no scene covers it."""
    for scene in scenes:
        outline = scene.pixels(hit.outline)
        if scene.covers(outline):
            return _draw(scene, outline)
    return None


def _draw(scene: SceneWindows, outline: np.ndarray) -> Image.Image:
    side = max(MIN_CONTEXT_PIXELS, round(CONTEXT * float(np.ptp(outline, axis=0).max())))
    column, row = np.round(outline.mean(0) - side / 2).astype(int)
    pixels = scene.windows.render((int(row), int(column), side, side), (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    image = Image.fromarray(pixels)
    corners = (outline - (column, row)) * (THUMBNAIL_PIXELS / side)
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners], outline=OUTLINE)
    return image
