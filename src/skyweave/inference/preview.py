"""A map of features as an image: its first three principal components as red, green and blue."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.images.png import encode_png
from skyweave.core.images.principal_components import PrincipalComponents, RunningCovariance
from skyweave.inference.raster import FinishedRaster

MAX_SIDE_PIXELS = 2048
BLOCK_ROWS, BLOCK_COLUMNS = 64, 256


def write_preview(path: str | Path, raster: FinishedRaster) -> None:
    """Write a PNG of a map of features; pixels without are transparent.

    Args:
        path: of the PNG.
        raster: of features.
    """
    description = raster.description
    covariance = RunningCovariance(len(description.bands))
    for _, _, values in raster.blocks(BLOCK_ROWS, BLOCK_COLUMNS):
        covariance.add(values[:, description.find_valid(values)].T)
    shape = (description.rows, description.columns)
    blocks = raster.blocks(BLOCK_ROWS, BLOCK_COLUMNS)
    image = encode_png(render_preview(blocks, shape, covariance.principal_components()))
    with write_aside(path) as aside:
        aside.write_bytes(image)


def render_preview(
    blocks: Iterator[tuple[int, int, np.ndarray]], shape: tuple[int, int], components: PrincipalComponents
) -> np.ndarray:
    """Return the image, (rows, columns, 4) uint8, with every n-th pixel of a map larger than ``MAX_SIDE_PIXELS``.

    Args:
        blocks: first row, first column and (channels, rows, columns) features, NaN where there are none.
        shape: rows and columns of the map.
        components: the projection to colours.
    """
    step = max(1, math.ceil(max(shape) / MAX_SIDE_PIXELS))
    image = np.zeros((math.ceil(shape[0] / step), math.ceil(shape[1] / step), 4), np.uint8)
    for first_row, first_column, features in blocks:
        values = features[:, -first_row % step :: step, -first_column % step :: step]  # from the first multiple of step
        valid = ~np.isnan(values[0])
        part = np.zeros((*valid.shape, 4), np.uint8)
        part[valid, :3] = components.colours(values[:, valid].T)
        part[valid, 3] = 255
        row, column = math.ceil(first_row / step), math.ceil(first_column / step)
        image[row : row + part.shape[0], column : column + part.shape[1]] = part
    return image
