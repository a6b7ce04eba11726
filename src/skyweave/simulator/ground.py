"""The ground as a picture from above: which material lies where, and how bright it is there.

Two square rasters about the middle of the world: a fine one of the built-up area, and a coarse one of the country
around, as far as an oblique camera sees detail. Everything with an outline is painted as polygons, in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from skyweave.simulator.materials import MATERIAL_INDEX, MATERIALS
from skyweave.simulator.rasterise import rasterise_polygons
from skyweave.simulator.roads import (
    MARGIN_M,
    PARKING_M,
    PAVEMENT_M,
    ZEBRA_M,
    Road,
    RoadNetwork,
    crossings_along,
    free_stretches,
)

FAR_EXTENT_M = 2048.0  # metres
FAR_CELLS = 1024
FIELD_SIZE_M = 75.0  # metres of a field outside the town
FILLET_RADIUS_M = 4.0  # radius of the kerb at a corner
FILLET_SEGMENTS = 10  # straight pieces of it


@dataclass(frozen=True)
class GroundPolygon:
    """A convex polygon on the ground.

    Attributes:
        corners: (k, 2) world metres.
        material: name; None to change only the brightness.
        brightness: factor.
    """

    corners: np.ndarray
    material: str | None
    brightness: float = 1.0


@dataclass(frozen=True)
class Orthophoto:
    """A real picture of the land, its middle at the middle of the world.

    Attributes:
        reflectance: (bands, rows, columns) in [0, 1]; row 0 is north.
        wavelengths: (bands,) nanometres, ascending.
        pixel: metres.
    """

    reflectance: np.ndarray
    wavelengths: np.ndarray
    pixel: float


@dataclass(frozen=True)
class GroundMap:
    """One raster; row 0 is north, its middle at the middle of the world.

    Attributes:
        material: (n, n) uint8 index into ``MATERIALS``.
        brightness: (n, n) float32 factor.
        extent: side in metres.
        photograph: instead of the material's spectrum where ``photographed``.
        photographed: (n, n) bool.
    """

    material: np.ndarray
    brightness: np.ndarray
    extent: float
    photograph: Orthophoto | None = None
    photographed: np.ndarray | None = None

    @property
    def cells(self) -> int:
        """Return the cells along a side."""
        return len(self.material)

    @property
    def texel(self) -> float:
        """Return the side of a cell in metres."""
        return self.extent / self.cells


def paint_ground(
    network: RoadNetwork,
    paints: Sequence[GroundPolygon],
    texel: float,
    generator: np.random.Generator,
    photograph: Orthophoto | None = None,
    roughness: np.ndarray | None = None,
    marks: Sequence[GroundPolygon] = (),
) -> tuple[GroundMap, GroundMap]:
    """The fine and the coarse raster.

    Args:
        network: its roads are painted over the land.
        paints: yards, car parks and paths, painted before the roads.
        texel: of the fine raster, metres, at most.
        generator: for everything random.
        photograph: instead of painted land.
        roughness: (materials,) float32 spread of brightness from place to place; None for what is usual.
        marks: painted last.
    """
    roughness = _default_roughness(roughness)
    extent = network.size + 2 * MARGIN_M
    cells = 2 ** max(int(np.ceil(np.log2(extent / texel) - 0.1)), 4)  # a tenth coarser than asked for will do
    palette = _palette(generator)
    fields = generator.integers(len(palette), size=(64, 64))
    everything = [*paints, *paint_roads(network, generator), *marks]
    maps = []
    for side, count, narrowest in ((extent, cells, 0.0), (FAR_EXTENT_M, FAR_CELLS, 0.6)):
        material, brightness = _land(network, side, count, palette, fields, generator)
        land = np.ones(material.shape, bool)
        shown = [paint for paint in everything if _width(paint.corners) > narrowest]
        _apply(shown, material, brightness, land, side)
        brightness *= np.maximum(1 + roughness[material] * _grain(count, generator), 0.2)
        masked = land if photograph is not None else None
        maps.append(GroundMap(material, brightness, side, photograph, masked))
    return maps[0], maps[1]


def _default_roughness(roughness: np.ndarray | None) -> np.ndarray:
    """Return the roughness of each material, where none is given."""
    if roughness is None:
        roughness = np.array([material.roughness for material in MATERIALS.values()], np.float32)
    return roughness


def value_noise(cells: int, period: int, generator: np.random.Generator) -> np.ndarray:
    """Return smooth noise of mean 0 and standard deviation about 1.

    Args:
        cells: along a side.
        period: cells from one feature to the next.
        generator: of random numbers.

    Returns:
        (cells, cells) float32.
    """
    period = max(period, 1)
    count = -(-cells // period)
    grid = generator.standard_normal((count + 1, count + 1)).astype(np.float32) * np.float32(1.6)
    share = (np.arange(period, dtype=np.float32) + np.float32(0.5)) / np.float32(period)
    share = share * share * (3 - 2 * share)
    rows = grid[:-1, None] + (grid[1:] - grid[:-1])[:, None] * share[:, None]
    rows = rows.reshape(count * period, count + 1)[:cells]
    smooth = (rows[:, 1:] - rows[:, :-1])[:, :, None] * share
    smooth += rows[:, :-1, None]
    return np.asarray(smooth.reshape(cells, count * period)[:, :cells])


def paint_roads(network: RoadNetwork, generator: np.random.Generator) -> list[GroundPolygon]:
    """Return pavements, kerbs, asphalt and markings, in the order in which they are painted.

    Args:
        network: of roads.
        generator: of random numbers.
    """
    asphalt = str(generator.choice(["asphalt", "old asphalt"]))
    cycle = str(generator.choice(["cycle lane", asphalt]))
    painter = _RoadPainter(network)
    painter.paint_pavements()
    for crossing in network.crossings:
        painter.paints += _fillets(network, network.to_grid_axes(crossing.centre), crossing.arms, asphalt)
    for road in network.roads:
        painter.strip(road, road.low, road.high, -network.kerb, network.kerb, asphalt)
    for road in network.roads:
        painter.paint_edges(road, cycle)
        painter.paint_parking(road)
        painter.paint_patches(road, generator)
    for road in network.roads:
        painter.paint_lines(road)
        painter.paint_crossing_lines(road)
    return painter.paints


class _RoadPainter:
    """Collects the polygons of roads in the order in which they are painted."""

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        self.paints: list[GroundPolygon] = []

    def strip(
        self, road: Road, low: float, high: float, t0: float, t1: float, material: str | None, light: float = 1
    ) -> None:
        """Add a rectangle along a road.

        Args:
            road: along which it lies.
            low: where it starts, metres along the road.
            high: where it ends, metres along the road.
            t0: its edge, metres to the left of the middle of the road.
            t1: its other edge, likewise.
            material: of it; None to keep what is there.
            light: its brightness.
        """
        corners = np.array([[low, t0], [high, t0], [high, t1], [low, t1]]) + np.array([0, road.offset])
        corners = corners if road.along == 0 else corners[:, ::-1]
        self.paints.append(GroundPolygon(self.network.to_world(corners), material, light))

    def paint_pavements(self) -> None:
        """Add the pavements of all roads, then their kerbs."""
        kerb, half = self.network.kerb, self.network.pavement + PAVEMENT_M / 2
        for width, material in ((half, "pavement"), (kerb + 0.2, "kerb")):
            for road in self.network.roads:
                closed = -kerb if road.high == 0.0 else 0.0  # a road that ends in another
                self.strip(road, road.low, road.high - closed, -width, width, material)

    def paint_edges(self, road: Road, cycle: str) -> None:
        """Add the cycle lanes of a road, and where wheels run."""
        edge, kerb = self.network.carriageway, self.network.kerb
        for low, high in free_stretches(self.network, road, 0.0):
            for side in (-1, 1):
                self.strip(road, low, high, side * edge, side * kerb, cycle)
                self._paint_tracks(road, low, high, side)

    def _paint_tracks(self, road: Road, low: float, high: float, side: int) -> None:
        """Add the tracks of wheels on the lanes of one side."""
        for k in range(self.network.lane_count):
            for track in (-0.8, 0.8):
                t = side * ((k + 0.5) * self.network.lane_width + track)
                self.strip(road, low, high, t - 0.3, t + 0.3, None, 0.9)

    def paint_parking(self, road: Road) -> None:
        """Add the strips for parking, away from crossings, and the lines between its bays."""
        kerb = self.network.kerb
        for low, high in free_stretches(self.network, road, 8.0):
            for side in (-1, 1):
                self.strip(road, low, high, side * kerb, side * (kerb + PARKING_M), "old asphalt")
                for at in np.arange(low, high + 0.1, 6.0):
                    self.strip(road, at - 0.06, at + 0.06, side * kerb, side * (kerb + PARKING_M), "marking")

    def paint_patches(self, road: Road, generator: np.random.Generator) -> None:
        """Add places where a road was mended."""
        kerb = self.network.kerb
        for _ in range(10):
            at, t = generator.uniform(road.low, road.high), generator.uniform(-kerb, kerb - 2)
            long, wide = generator.uniform(1, 9), generator.uniform(0.6, min(3.0, kerb - t))
            self.strip(road, at, at + long, t, t + wide, None, float(generator.uniform(0.75, 1.15)))

    def paint_lines(self, road: Road) -> None:
        """Add the lines along a road: in the middle, at its edges and between lanes."""
        edge = self.network.carriageway
        for low, high in free_stretches(self.network, road, 0.0):
            self.strip(road, low, high, -0.08, 0.08, "marking")
            for side in (-1, 1):
                self.strip(road, low, high, side * edge - 0.08, side * edge + 0.08, "marking")
                self._paint_dashes(road, low, high, side)

    def _paint_dashes(self, road: Road, low: float, high: float, side: int) -> None:
        """Add the broken lines between the lanes of one side."""
        width = self.network.lane_width
        for k in range(1, self.network.lane_count):
            for at in np.arange(low, high - 3, 7.5):
                self.strip(road, at, at + 3, side * k * width - 0.07, side * k * width + 0.07, "marking")

    def paint_crossing_lines(self, road: Road) -> None:
        """Add stop lines and zebras on both sides of the crossings of a road."""
        for position, index in crossings_along(self.network, road):
            for sign, arm in ((1, road.along), (-1, road.along + 2)):
                if arm in self.network.crossings[index].arms:
                    self._paint_arm(road, position, sign)

    def _paint_arm(self, road: Road, position: float, sign: int) -> None:
        """Add the stop line and the zebra of one arm of a crossing."""
        network, kerb = self.network, self.network.kerb
        line = position + sign * (network.stop - 0.3)
        near, far = sorted((line - 0.2, line + 0.2))
        left = sign if road.along == 0 else -sign  # those who come towards the crossing keep to their right
        self.strip(road, near, far, min(0.0, left * kerb), max(0.0, left * kerb), "marking")
        low, high = sorted(
            (position + sign * (network.pavement - ZEBRA_M / 2), position + sign * (network.pavement + ZEBRA_M / 2))
        )
        for t in np.arange(-kerb + 0.25, kerb - 0.3, 1.0):
            self.strip(road, low, high, t, t + 0.5, "marking")


def _fillets(network: RoadNetwork, centre: np.ndarray, arms: tuple[int, ...], asphalt: str) -> list[GroundPolygon]:
    """Rounded corners of the kerb between neighbouring arms."""
    corners = _corner_arms(arms)
    return [paint for arm in corners for paint in _fillet(network, centre, np.pi / 2 * arm, asphalt)]


def _corner_arms(arms: tuple[int, ...]) -> list[int]:
    """Return the arms that form a corner with the next one."""
    return [arm for arm in range(4) if arm in arms and (arm + 1) % 4 in arms]


def _fillet(network: RoadNetwork, centre: np.ndarray, turn: float, asphalt: str) -> list[GroundPolygon]:
    """Return one rounded corner of the kerb, turned about the middle of a crossing by radians."""
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    near, far = network.kerb, network.kerb + FILLET_RADIUS_M
    square = np.array([[near, near], [far, near], [far, far], [near, far]])
    paints = [GroundPolygon(network.to_world(square @ axes + centre), asphalt)]
    angles = np.linspace(np.pi, 1.5 * np.pi, FILLET_SEGMENTS)
    for radius, material in ((FILLET_RADIUS_M, "kerb"), (FILLET_RADIUS_M - 0.2, "pavement")):
        arc = far + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        outline = np.concatenate([[[far, far]], arc])
        paints.append(GroundPolygon(network.to_world(outline @ axes + centre), material))
    return paints


def _land(
    network: RoadNetwork,
    extent: float,
    cells: int,
    palette: list[int],
    fields: np.ndarray,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Green in the town, fields around it."""
    texel = extent / cells
    noise = value_noise(cells, max(round(18.0 / texel), 3), generator)
    noise += np.float32(0.35) * value_noise(cells, max(round(1.2 / texel), 2), generator)
    material = np.full((cells, cells), MATERIAL_INDEX["grass"], np.uint8)
    material[noise > 0.5] = palette[0]
    material[noise > 2.2] = MATERIAL_INDEX["soil"]
    blocks = min(cells, FAR_CELLS)  # fields need no finer edges
    at = ((np.arange(blocks) + 0.5) / blocks - 0.5) * extent
    x, y = np.moveaxis(network.to_grid_axes(np.stack(np.meshgrid(at, -at), -1)), -1, 0)
    outside = np.maximum(np.abs(x), np.abs(y)) > network.size / 2 + MARGIN_M / 2
    crops = np.array(palette, np.uint8)[
        fields[np.floor(y / FIELD_SIZE_M).astype(int) % 64, np.floor(x / FIELD_SIZE_M).astype(int) % 64]
    ]
    side = cells // blocks
    by_block = material.reshape(blocks, side, blocks, side)
    material = np.where(outside[:, None, :, None], crops[:, None, :, None], by_block).reshape(cells, cells)
    return material, np.ones((cells, cells), np.float32)


def _palette(generator: np.random.Generator) -> list[int]:
    lush = ["meadow", "crop", "grass", "soil", "dry grass"]
    dry = ["dry grass", "soil", "dry grass", "crop", "meadow"]
    return [MATERIAL_INDEX[name] for name in (lush if generator.random() < 0.65 else dry)]


def _grain(cells: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of mean 0 and spread about 1 at several scales."""
    side = min(cells, 512)
    tile = generator.standard_normal((side, side)).astype(np.float32)
    fine = (tile + np.roll(tile, 1, 0) + np.roll(tile, 1, 1) + np.roll(tile, (1, 1), (0, 1))) / 2
    grain = np.tile(fine, (cells // side, cells // side)) * np.float32(0.55)
    for period, share in ((5, 0.5), (40, 0.45), (200, 0.4)):
        noise = value_noise(cells, period, generator)
        noise *= np.float32(share)
        grain += noise
    return grain


def _apply(
    paints: Sequence[GroundPolygon], material: np.ndarray, brightness: np.ndarray, land: np.ndarray, extent: float
) -> None:
    """Paint in order; runs of polygons with as many corners are filled together."""
    cells = len(material)
    for _, same_shape in groupby(paints, key=lambda paint: paint.corners.shape):
        run = list(same_shape)
        corners = np.stack([paint.corners for paint in run])
        pixels = rasterise_polygons((corners * (1, -1) / extent + 0.5) * cells, cells, cells)
        ends = np.searchsorted(pixels.polygon, np.arange(len(run) + 1, dtype=np.int32)).tolist()
        for low, high, paint in zip(ends[:-1], ends[1:], run, strict=True):
            _fill(paint, (pixels.row[low:high], pixels.column[low:high]), material, brightness, land)


def _fill(
    paint: GroundPolygon,
    place: tuple[np.ndarray, np.ndarray],
    material: np.ndarray,
    brightness: np.ndarray,
    land: np.ndarray,
) -> None:
    """Paint the cells (rows, columns) of one polygon."""
    if paint.material is not None:
        material[place] = MATERIAL_INDEX[paint.material]
        land[place] = False
    if paint.material is not None or paint.brightness != 1:
        brightness[place] = paint.brightness


def _width(corners: np.ndarray) -> float:
    """Least side of a polygon's first corner, metres; of a strip, its width."""
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    return float(min(sides[0], sides[1])) if len(corners) == 4 else 10.0
