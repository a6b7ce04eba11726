"""A scene as a source of windows: the part that is wanted of one or several images, on the grid of the first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.observation import Observation
from skyweave.core.outputs import is_same_file
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.raster import open_image
from skyweave.data.raster_files import is_unreadable, list_dataset_files
from skyweave.data.raster_image import RasterImage
from skyweave.data.regridded import RegriddedImage
from skyweave.inference.area import GEOJSON_CRS, read_area
from skyweave.inference.config import InferenceConfig
from skyweave.inference.windows import Window

AffineNumbers = tuple[float, float, float, float, float, float]
EXCHANGED = "{} has latitudes first, and in GeoJSON longitude comes first: exchange them"


@dataclass(frozen=True)
class SceneSource:
    """Windows of images of the same ground, on the grid of the first.

    Attributes:
        names: of the scenes, as they were given.
        images: one, several dates, or one of each sensor.
        cell: pixels per cell side of the result.
        pixels: the part that is wanted, in pixels.
        polygons: in the scene's reference system, outside which nothing is wanted, as GeoJSON geometries; none: no
            limits.
    """

    names: tuple[str, ...]
    images: tuple[RasterImage | RegriddedImage, ...]
    cell: int
    pixels: Window
    polygons: tuple[dict[str, Any], ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Return the size of the result as (rows, columns) of cells; the last ones may hold fewer pixels."""
        return math.ceil(self.pixels.rows / self.cell), math.ceil(self.pixels.columns / self.cell)

    @property
    def crs(self) -> str | None:
        """Return the reference system as WKT; None: unknown."""
        place = self.images[0].geotransform
        return None if place is None else _wkt(place.crs)

    @property
    def transform(self) -> AffineNumbers:
        """Return the affine transform of the cells, as of `RasterDescription`."""
        place = self.images[0].geotransform
        affine = place.affine if place else self.images[0].finest.affine
        return _cut(affine, self.pixels.row, self.pixels.column, self.cell)

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files on this machine that the images are made of."""
        paths = [part.storage.header.path for image in self.images for part in image.parts]
        return tuple(dict.fromkeys(str(file) for path in paths for file in list_dataset_files(path)))

    @property
    def identity(self) -> dict[str, Any]:
        """Return what tells this source from another one, as JSON types: files with sizes and times, and the part."""
        files = [(file, (status := Path(file).stat()).st_size, status.st_mtime_ns) for file in self.files]
        names = [str(part.storage) for image in self.images for part in image.parts]
        names += [image.resampling for image in self.images if isinstance(image, RegriddedImage)]
        part = [self.pixels.row, self.pixels.column, self.pixels.rows, self.pixels.columns, self.cell]
        return {"files": files, "images": names, "part": part, "polygons": list(self.polygons)}

    def locate(self, points: np.ndarray) -> np.ndarray:
        """Return longitude and latitude of points, (points, 2); columns and rows of the scene where it has no place.

        Args:
            points: (points, 2) column and row in pixels of the part that is wanted.
        """
        place = self.images[0].geotransform
        columns, rows = points[:, 0] + self.pixels.column, points[:, 1] + self.pixels.row
        if place is None:
            return np.stack([columns, rows], axis=1)
        from rasterio.warp import transform

        a, b, c, d, e, f = place.affine
        x, y = a * columns + b * rows + c, d * columns + e * rows + f
        return np.stack(transform(_wkt(place.crs), GEOJSON_CRS, x.tolist(), y.tolist()), axis=1)

    def check(self) -> tuple[str, ...]:
        """Look at some pixels before the work begins; return what a user should know.

        What of the pixels cannot be read is named when it is its turn.

        Raises:
            DataError: values contradict what is declared.
        """
        notes: list[str] = []
        for image in self.images:
            notes += image.notes
            if isinstance(image, RegriddedImage):
                notes.append(f"{image.finest.path} is resampled ({image.resampling}) onto the grid of {self.names[0]}")
            try:
                notes += image.check_sample()
            except (DataError, OSError) as error:
                if not is_unreadable(error):
                    raise
        return tuple(dict.fromkeys(notes))

    def read(self, windows: Sequence[Window]) -> list[tuple[Observation, ...]]:
        """Read windows at once, without the pixels beyond the scene; see `WindowSource`.

        Args:
            windows: in cells, near each other.
        """
        if not windows:
            return []
        inside = [self._to_pixels(window) for window in windows]
        row, column = min(w.row for w in inside), min(w.column for w in inside)
        bottom, right = max(w.bottom for w in inside), max(w.right for w in inside)
        read = [image.read((row, column, bottom - row, right - column)) for image in self.images]
        return [
            tuple(image.window(w.row - row, w.column - column, w.rows, w.columns) for image in read) for w in inside
        ]

    def mask(self, window: Window) -> np.ndarray | None:
        """Return which cells touch the polygons, (rows, columns) bool; None where there are none.

        Args:
            window: in cells.
        """
        if not self.polygons:
            return None
        from affine import Affine
        from rasterio.features import geometry_mask

        place = Affine(*_cut(self.transform, window.row, window.column))
        shape = (window.rows, window.columns)
        mask: np.ndarray = geometry_mask(self.polygons, shape, place, all_touched=True, invert=True)
        return mask

    def _to_pixels(self, window: Window) -> Window:
        """Return the pixels of the scene in some cells."""
        row, column = window.row * self.cell, window.column * self.cell
        rows = min(window.rows * self.cell, self.pixels.rows - row)
        columns = min(window.columns * self.cell, self.pixels.columns - column)
        return Window(self.pixels.row + row, self.pixels.column + column, rows, columns)


def open_scene(
    scenes: Sequence[str | Path],
    sensors: Sequence[Sensor],
    cell: int,
    config: InferenceConfig,
    readings: Sequence[Mapping[str, Any]],
) -> SceneSource:
    """Read the headers of scenes, and find the part that is wanted.

    Args:
        scenes: of the same ground: any rasters that GDAL reads, or products; the first one's grid is that of all.
        sensors: what took each.
        cell: pixels per cell side of the result.
        config: says which part.
        readings: arguments of `open_image`, of each scene: its unit at least.

    Raises:
        ConfigError: the part lies outside the scene, or needs a place that the scene does not have; one scene twice.
        FileNotFoundError: there is no such scene.
        DataError: GDAL cannot read a scene, or a declaration contradicts it; images of different grounds, or polygons
            that cannot be read.
    """
    _refuse_repeated(scenes, sensors, readings)
    images = [
        open_image(scene, sensor, **reading) for scene, sensor, reading in zip(scenes, sensors, readings, strict=True)
    ]
    first = images[0]
    on_grid = (first, *(_on_grid_of(first, other, config.resampling) for other in images[1:]))
    pixels = _part(first, config)
    polygons: tuple[dict[str, Any], ...] = ()
    if config.area is not None:
        polygons = read_area(config.area, first)
        pixels = _part_of_area(pixels, polygons, config.area, first)
    return SceneSource(tuple(map(str, scenes)), on_grid, cell, pixels, polygons)


def _refuse_repeated(
    scenes: Sequence[str | Path], sensors: Sequence[Sensor], readings: Sequence[Mapping[str, Any]]
) -> None:
    """Refuse one scene that is given twice as the same thing: it would count twice, or never change."""
    read = [(sensor.name, reading.get("bands")) for sensor, reading in zip(sensors, readings, strict=True)]
    for first, second in combinations(range(len(scenes)), 2):
        if read[first] == read[second] and is_same_file(scenes[first], scenes[second]):
            raise ConfigError(
                f"{scenes[second]} is scene {first + 1} and scene {second + 1}: one file that would count twice; "
                "leave one of them out, or give the other scene"
            )


def _cut(affine: Sequence[float], row: int, column: int, cell: int = 1) -> AffineNumbers:
    """Return the transform of a part of a grid, with larger cells."""
    a, b, c, d, e, f = affine
    return a * cell, b * cell, c + a * column + b * row, d * cell, e * cell, f + d * column + e * row


def _on_grid_of(first: RasterImage, other: RasterImage, resampling: str) -> RasterImage | RegriddedImage:
    """Return an image on the grid of the first: as it is, or resampled when it is read."""
    if other.shape == first.shape and other.geotransform == first.geotransform:
        return other
    if first.geotransform is None:
        raise DataError(
            f"{first.finest.path} ({first.shape[1]} x {first.shape[0]} pixels, width x height) has no place on the "
            f"Earth, and {other.finest.path} has other pixels ({other.shape[1]} x {other.shape[0]}): give scenes with "
            "a place, or of the same pixels"
        )
    return RegriddedImage(other, first.geotransform, first.shape, first.ground_sample_distance, resampling)


def _part(image: RasterImage, config: InferenceConfig) -> Window:
    """Return the pixels that the configuration asks for."""
    whole = Window(0, 0, *image.shape)
    if config.window is not None:
        row, column, rows, columns = config.window
        if min(rows, columns) < 1:
            raise ConfigError(f"a window of {columns} x {rows} pixels (width x height) is empty")
        part = _intersection(whole, Window(row, column, rows, columns), "--window", image)
        if (part.row, part.column, part.rows, part.columns) != config.window:
            raise ConfigError(
                f"--window {row} {column} {rows} {columns} reaches beyond {image.finest.path}, which has "
                f"{image.shape[1]} x {image.shape[0]} pixels (width x height); give --window {part.row} {part.column} "
                f"{part.rows} {part.columns}"
            )
        return part
    if config.bounds is not None:
        west, south, east, north = config.bounds
        if not (west < east and south < north):
            raise ConfigError(f"--bounds {config.bounds}: give west, south, east, north, in this order")
        corners = [(west, south), (west, north), (east, south), (east, north)]
        return _intersection(whole, _window_of(image, corners, "--bounds"), "--bounds", image)
    return whole


def _intersection(whole: Window, part: Window, name: str, image: RasterImage) -> Window:
    row, column = max(whole.row, part.row), max(whole.column, part.column)
    bottom, right = min(whole.bottom, part.bottom), min(whole.right, part.right)
    if row >= bottom or column >= right:
        raise ConfigError(
            f"{name} (rows {part.row} to {part.bottom}, columns {part.column} to {part.right}) lies outside "
            f"{image.finest.path}, which has {image.shape[1]} x {image.shape[0]} pixels (width x height)"
            + _describe_place(image)
        )
    return Window(row, column, bottom - row, right - column)


def _describe_place(image: RasterImage) -> str:
    """What an image covers in its reference system, for who gave a part that it does not have."""
    if image.geotransform is None:
        return ""
    crs, corners = image.geotransform.crs, [(0, 0), (0, image.shape[0]), (image.shape[1], 0), image.shape[::-1]]
    a, b, c, d, e, f = image.geotransform.affine
    xs, ys = ([g * column + h * row + o for column, row in corners] for g, h, o in ((a, b, c), (d, e, f)))
    extent = f"{min(xs):g} {min(ys):g} {max(xs):g} {max(ys):g}"
    system = "its reference system" if crs is None or len(crs) > len("EPSG:123456") else crs
    return f"; it covers {extent} (west, south, east, north) of {system}: choose a part of that"


def _window_of(image: RasterImage, points: Sequence[tuple[float, float]], name: str) -> Window:
    """Return the smallest window of whole pixels that holds all points."""
    if image.geotransform is None:
        raise ConfigError(f"{name}: {image.finest.path} has no place on the Earth; give --window")
    a, b, c, d, e, f = image.geotransform.affine
    area = a * e - b * d
    rows = [(a * (y - f) - d * (x - c)) / area for x, y in points]
    columns = [(e * (x - c) - b * (y - f)) / area for x, y in points]
    row, column = math.floor(round(min(rows), 6)), math.floor(round(min(columns), 6))
    return Window(
        row, column, max(1, math.ceil(round(max(rows), 6)) - row), max(1, math.ceil(round(max(columns), 6)) - column)
    )


def _part_of_area(whole: Window, polygons: Sequence[dict[str, Any]], path: Path, image: RasterImage) -> Window:
    """Return the pixels about polygons; where there are none, say whether exchanged coordinates have some."""
    try:
        return _intersection(whole, _bounding_window(image, polygons), str(path), image)
    except ConfigError:
        if _is_exchanged(whole, path, image):
            raise DataError(EXCHANGED.format(path)) from None
        raise


def _is_exchanged(whole: Window, path: Path, image: RasterImage) -> bool:
    """Return whether polygons lie on an image once their latitudes are taken as longitudes."""
    try:
        _intersection(whole, _bounding_window(image, read_area(path, image, exchanged=True)), str(path), image)
    except (ConfigError, DataError):
        return False
    return True


def _bounding_window(image: RasterImage, polygons: Sequence[dict[str, Any]]) -> Window:
    from rasterio.features import bounds

    boxes = [bounds(polygon) for polygon in polygons]
    points = [(box[x], box[y]) for box in boxes for x in (0, 2) for y in (1, 3)]
    return _window_of(image, points, "--area")


def _wkt(crs: str | None) -> str | None:
    """Return a reference system as WKT."""
    from rasterio.crs import CRS

    return None if crs is None else str(CRS.from_user_input(crs).to_wkt())
