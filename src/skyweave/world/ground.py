"""The ground of a world: terrain, what it is made of cell by cell, and the shadows on it."""

from dataclasses import dataclass

import numpy as np

from skyweave.geometry.grid import MapGrid
from skyweave.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.world.config import LayoutConfig
from skyweave.world.materials import INDEX
from skyweave.world.rasterise import fill
from skyweave.world.roads import CROSSWALK, KERB, LANE, STOP, STREET, Roads

CELL = 0.2  # metres of the painted ground
SHADOW_CELL = 0.4
MARGIN = 60.0  # metres of plain ground beyond the world's edge


@dataclass(frozen=True)
class PaintedGround:
    """What lies where.

    Attributes:
        material: (rows, columns) uint8 index into `skyweave.world.materials.NAMES`.
        brightness: (rows, columns) float32 factor on its reflectance.
        grid: where the cells lie.
        colour: (rows, columns, 3) reflectance in red, green and blue of an orthophoto, used by optical bands off the
            streets; None: the materials'.
    """

    material: np.ndarray
    brightness: np.ndarray
    grid: MapGrid
    colour: np.ndarray | None = None


def make_terrain(layout: LayoutConfig, generator: np.random.Generator) -> Ground:
    """A plane at height 0, or gentle waves."""
    if not layout.relief:
        return GroundPlane()
    grid = MapGrid.around(0, 0, layout.size + 2 * MARGIN + 40, 4.0)
    x, y = np.moveaxis(grid.cell_centres(), -1, 0)
    heights = np.zeros(grid.shape)
    for _ in range(5):
        angle, phase = generator.uniform(0, 2 * np.pi, 2)
        length = generator.uniform(60, 200)
        heights += np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length + phase) * generator.uniform(
            0.3, 1
        )
    heights -= heights.min()
    return ElevationModel(heights / heights.max() * layout.relief, grid)


def paint(roads: Roads, layout: LayoutConfig, generator: np.random.Generator) -> PaintedGround:
    """Grass and soil, streets with their markings, pavements."""
    grid = MapGrid.around(0, 0, layout.size + 2 * MARGIN, CELL)
    x, y = np.moveaxis(grid.cell_centres(), -1, 0)
    patches = _noise(grid.shape, 8.0 / CELL, generator)
    material = np.where(patches > 0.6, INDEX["meadow"], INDEX["grass"]).astype(np.uint8)
    material[patches > 1.5] = INDEX["soil"]
    for start, stop in roads.streets:
        across = np.abs((y - start[1]) if start[1] == stop[1] else (x - start[0]))
        material[(across < STREET) & (material != INDEX["asphalt"])] = INDEX["pavement"]
        material[across < KERB] = INDEX["asphalt"]
    for start, stop in roads.streets:
        level = start[1] == stop[1]
        along = x if level else y
        across = (y - start[1]) if level else (x - start[0])
        others = roads.crossings[:, 0] if level else roads.crossings[:, 1]
        near = np.min(np.abs(along[..., None] - others), -1)
        dashes = (np.abs(across) < 0.09) & (np.mod(along, 6.0) < 3.0) & (near > STOP + 2)
        bays = (np.abs(np.abs(across) - LANE) < 0.07) & (near > STOP + 4)
        stripes = (np.abs(across) < KERB) & (near > KERB + 0.3) & (near < KERB + CROSSWALK)
        stripes &= np.mod(across, 1.0) < 0.5
        line = (np.abs(near - STOP) < 0.25) & (np.abs(across) < LANE)
        stopping = (
            np.where(_before(along, others), across < 0, across > 0)
            if level
            else np.where(_before(along, others), across > 0, across < 0)
        )
        material[dashes | bays | stripes | (line & stopping)] = INDEX["marking"]
    brightness = 1 + 0.10 * _noise(grid.shape, 3.0 / CELL, generator) + 0.05 * generator.standard_normal(grid.shape)
    return PaintedGround(material, np.clip(brightness, 0.5, 1.6).astype(np.float32), grid)


def shadow_mask(faces: np.ndarray, sun: np.ndarray, height: np.ndarray | float, grid: MapGrid) -> np.ndarray:
    """(rows, columns) bool: cells that some face of (n, 4, 3) keeps the sun from.

    Args:
        sun: (3,) unit vector towards the sun; at or below the horizon nothing has a shadow of its own.
        height: of the ground below each face, (n,) or one.
    """
    mask = np.zeros(grid.shape, bool)
    if sun[2] < 0.05 or not len(faces):
        return mask
    fall = (faces[..., 2] - np.broadcast_to(np.asarray(height), len(faces))[:, None]) / sun[2]
    landed = faces[..., :2] - sun[:2] * fall[..., None]
    cells = grid.cells_from_world(landed)[..., ::-1]
    pixels = fill(cells, grid.rows, grid.columns)
    mask[pixels.row, pixels.column] = True
    return mask


def _before(along: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether the nearest crossing lies further along."""
    nearest = others[np.argmin(np.abs(along[..., None] - others), -1)]
    return np.asarray(along < nearest)


def _noise(shape: tuple[int, int], cells: float, generator: np.random.Generator) -> np.ndarray:
    """Smooth noise of about unit variance whose features are ``cells`` wide."""
    rows, columns = (int(np.ceil(side / cells)) + 2 for side in shape)
    coarse = generator.standard_normal((rows, columns))
    r, c = np.arange(shape[0]) / cells, np.arange(shape[1]) / cells
    fr, fc = (r % 1)[:, None], (c % 1)[None]
    fr, fc = fr * fr * (3 - 2 * fr), fc * fc * (3 - 2 * fc)
    i, j = r.astype(int)[:, None], c.astype(int)[None]
    top = coarse[i, j] * (1 - fc) + coarse[i, j + 1] * fc
    bottom = coarse[i + 1, j] * (1 - fc) + coarse[i + 1, j + 1] * fc
    return np.asarray((top * (1 - fr) + bottom * fr) * 1.6)
