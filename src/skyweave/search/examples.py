"""Examples of what is searched for: points, polygons and images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import central_lon_lat, unwrap_longitudes
from skyweave.core.geometry.geojson import GeoShape, read_shapes
from skyweave.search.archive import PatchArchive
from skyweave.search.places import Ring
from skyweave.search.reader import PatchReader

MAX_PATCHES_OF_AREA = 64


@dataclass(frozen=True)
class ExampleSet:
    """Vectors of examples.

    Attributes:
        vectors: (examples, channels) float32, minus the archive's mean.
        numbers: of the archive's patches that they are; none of an image.
    """

    vectors: np.ndarray
    numbers: np.ndarray


def point_example(archive: PatchArchive, longitude: float, latitude: float) -> ExampleSet:
    """Return the patch that a point lies in.

    Args:
        archive: to search.
        longitude: degrees.
        latitude: degrees.

    Raises:
        DataError: no patch lies there.
    """
    number = _number_at(archive, longitude, latitude)
    if number is not None:
        return _of_archive(archive, np.array([number]))
    message = f"no patch of the archive lies at {longitude:g} {latitude:g} (longitude, latitude); "
    if _number_at(archive, latitude, longitude) is not None:
        message += "one does where they are exchanged: give the longitude first; "
    raise DataError(message + describe_extent(archive))


def area_examples(archive: PatchArchive, path: str | Path) -> ExampleSet:
    """Return the patches in the polygons of a GeoJSON file, evenly chosen where they are many, and those at its points.

    Args:
        archive: to search.
        path: of a GeoJSON file (RFC 7946: longitude and latitude).

    Raises:
        DataError: no GeoJSON, nothing in it that can be an example, or no patch lies there.
    """
    numbers = [_patches_of(archive, shape) for shape in read_shapes(Path(path))]
    chosen = np.unique(np.concatenate(numbers)) if numbers else np.zeros(0, np.int64)
    if not len(chosen):
        raise DataError(f"no patch of the archive lies in {path}; {describe_extent(archive)}")
    return _of_archive(archive, chosen)


def image_example(archive: PatchArchive, image: PatchReader) -> tuple[ExampleSet, list[str]]:
    """Return the mean of an image's patches as one example, and what makes the comparison doubtful.

    Args:
        archive: to search.
        image: its embeddings.

    Raises:
        DataError: another encoder made them, or there are none.
    """
    if conflict := image.space.conflict(archive.space):
        raise DataError(f"the image and the archive cannot be compared: {conflict}; embed both with one model")
    vectors = np.concatenate([block.vectors for block in image.blocks()])
    if not len(vectors):
        raise DataError(f"{image.path}: no patch of the image has features")
    mean = vectors.mean(0, keepdims=True) - archive.mean
    return ExampleSet(mean, np.zeros(0, np.int64)), image.space.doubts(archive.space)


def join_examples(examples: list[ExampleSet], channels: int) -> ExampleSet:
    """Return several examples as one set.

    Args:
        examples: any number.
        channels: of a vector.
    """
    vectors = [np.zeros((0, channels), np.float32), *(example.vectors for example in examples)]
    numbers = [np.zeros(0, np.int64), *(example.numbers for example in examples)]
    return ExampleSet(np.concatenate(vectors), np.concatenate(numbers))


def read_polygons(path: str | Path) -> list[list[Ring]]:
    """Return the polygons of a GeoJSON file, the rings of each as (points, 2) longitude and latitude.

    Args:
        path: of the file.

    Raises:
        DataError: no GeoJSON, or no polygon in it.
    """
    polygons = [shape.rings for shape in read_shapes(Path(path)) if shape.kind == "Polygon"]
    if not polygons:
        raise DataError(f"{path} holds no polygon; outline areas in your GIS and export them as GeoJSON")
    return polygons


def describe_extent(archive: PatchArchive) -> str:
    """Return in words where the patches of an archive lie.

    Args:
        archive: that is searched.
    """
    numbers = np.unique(np.linspace(0, len(archive.levels) - 1, 4096).astype(np.int64))
    corners = archive.outlines(numbers).reshape(-1, 2)
    corners[:, 0] = unwrap_longitudes(corners[:, 0], central_lon_lat(corners)[0])
    (west, south), (east, north) = corners.min(0), corners.max(0)
    return f"its patches lie between {west:.5f} {south:.5f} and {east:.5f} {north:.5f}"


def _number_at(archive: PatchArchive, longitude: float, latitude: float) -> int | None:
    """Return the number of the patch at a place; None where there is none, as beyond the poles."""
    if not abs(latitude) <= 90:
        return None
    for part in archive.parts:
        number = part.places.at(longitude, latitude)
        if number is not None:
            return part.start + number
    return None


def _of_archive(archive: PatchArchive, numbers: np.ndarray) -> ExampleSet:
    return ExampleSet(archive.decode(numbers), numbers)


def _patches_of(archive: PatchArchive, shape: GeoShape) -> np.ndarray:
    """Return the numbers of the patches in a polygon or at a point."""
    if shape.kind == "LineString":
        raise DataError("a LineString cannot be an example; give points and polygons")
    if shape.kind == "Point":
        return point_example(archive, *shape.rings[0][0].tolist()).numbers
    return _patches_in(archive, shape.rings)


def _patches_in(archive: PatchArchive, outlines: list[Ring]) -> np.ndarray:
    """Return patches whose centre lies in a polygon; the one at its middle where it is smaller than a patch."""
    numbers = np.concatenate([part.places.inside(outlines) + part.start for part in archive.parts])
    if not len(numbers):
        middle = (outlines[0].min(0) + outlines[0].max(0)) / 2
        return point_example(archive, float(middle[0]), float(middle[1])).numbers
    if len(numbers) > MAX_PATCHES_OF_AREA:
        numbers = numbers[np.linspace(0, len(numbers) - 1, MAX_PATCHES_OF_AREA).astype(np.int64)]
    return numbers
