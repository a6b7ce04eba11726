"""Embeddings as other programs write them: fills that nobody declares, scales, pictures, and grids over 180 degrees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import rasterio
from affine import Affine
from pyproj import Geod

from fabricated_embeddings import clustered_features, write_embeddings
from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.search import build_archive, open_patches
from skyweave.search.change.pair import pair_dates
from skyweave.search.examples import area_examples, point_example
from skyweave.search.ground_areas import ground_areas
from skyweave.search.labelling import LabelSession
from skyweave.search.labelling.label_files import describe_areas
from skyweave.search.places import GridPlaces, OutlinePlaces, centres_of

ROWS, COLUMNS = 12, 30
UTM = Affine(80, 0, 370_000, 0, -80, 5_800_000)


def features(channels: int = 12) -> np.ndarray:
    return clustered_features(ROWS, COLUMNS, channels)[0].astype(np.float32)


def write(path: Path, values: np.ndarray, crs: str | None = "EPSG:32633", at: Affine = UTM, **profile: Any) -> Path:
    count, rows, columns = values.shape
    size = {"count": count, "height": rows, "width": columns, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", **size, crs=crs, transform=at, **profile) as target:
        target.write(values)
    return path


@pytest.mark.parametrize("fill", [0.0, -9999.0, -3.4e38])
def test_fills_that_nobody_declares_are_no_patches(tmp_path: Path, fill: float) -> None:
    values = features()
    values[:, :, 20:] = fill
    reader = open_patches(write(tmp_path / "f.tif", values))
    archive, notes = build_archive([reader])
    assert len(archive.levels) == ROWS * 20
    assert any(f"{ROWS * 10} patches hold one number in every channel ({fill:g})" in note for note in notes)
    whole = open_patches(write(tmp_path / "whole.tif", features()))
    pair = pair_dates(whole, reader)
    assert len(pair.places.cells) == ROWS * 20 and any("in every channel" in doubt for doubt in pair.doubts)


def test_a_fill_of_integers_with_a_scale_for_each_band(tmp_path: Path) -> None:
    stored = np.round(features() * 10).astype(np.int8)
    stored[:, :4] = -128
    path = write(tmp_path / "f.tif", stored)
    with rasterio.open(path, "r+") as file:
        file.scales = tuple(0.1 + 0.01 * number for number in range(12))
    archive, notes = build_archive([open_patches(path)])
    assert len(archive.levels) == (ROWS - 4) * COLUMNS and any("(-128)" in note for note in notes)


def test_few_channels_may_be_equal(tmp_path: Path) -> None:
    """Of two channels of classes many patches are alike by chance."""
    stored = np.random.default_rng(0).integers(0, 3, (2, ROWS, COLUMNS)).astype(np.uint8)
    assert len(build_archive([open_patches(write(tmp_path / "f.tif", stored))])[0].levels) == ROWS * COLUMNS


def test_fills_in_tables_and_stores(tmp_path: Path) -> None:
    scene = np.random.default_rng(0).integers(1, 255, (3, 64, 64), np.uint8)
    source = write(tmp_path / "scene.tif", scene, at=Affine(0.5, 0, 370_000, 0, -0.5, 5_800_000))
    for suffix in ("parquet", "zarr"):
        output = tmp_path / f"f.{suffix}"
        arguments = ["--sensor", "rgb", "--unit", "uint8", "--bands", "red,green,blue", "--dtype", "float32"]
        assert main(["embed", str(source), "-o", str(output), *arguments]) == 0
    table = parquet.read_table(tmp_path / "f.parquet")
    vectors = np.array(table.column("embedding").to_pylist(), np.float32)
    vectors[:5] = 0
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    place = table.schema.get_field_index("embedding")
    parquet.write_table(table.set_column(place, "embedding", column), tmp_path / "f.parquet")
    import zarr

    zarr.open_group(str(tmp_path / "f.zarr"), mode="r+")["embeddings"][0, :, 0, :5] = 0.0
    for suffix in ("parquet", "zarr"):
        archive, notes = build_archive([open_patches(tmp_path / f"f.{suffix}")])
        assert len(archive.levels) == 59 and any("5 patches hold one number" in note for note in notes), suffix


def test_floats_are_scaled_like_integers(tmp_path: Path) -> None:
    """A raster may hold floats and say by what each band is to be multiplied."""
    values = features()
    scales = np.linspace(0.5, 2, 12)
    path = write(tmp_path / "f.tif", values / scales.astype(np.float32)[:, None, None])
    with rasterio.open(path, "r+") as file:
        file.scales = tuple(scales)
    (block,) = open_patches(path).blocks()
    np.testing.assert_allclose(block.vectors, values.reshape(12, -1).T, rtol=1e-5)


def test_pictures_and_complex_values_are_no_embeddings(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8)
    picture = write(tmp_path / "p.tif", colours, at=Affine(0.5, 0, 370_000, 0, -0.5, 5_800_000), photometric="RGB")
    with pytest.raises(DataError, match="is a picture") as caught:
        open_patches(picture)
    words = str(caught.value).split("skyweave embed ")[1].replace("FEATURES.tif", str(tmp_path / "f.tif")).split()
    assert main(["embed", *words]) == 0  # the remedy
    assert build_archive([open_patches(tmp_path / "f.tif")])[1] == []
    with pytest.raises(DataError, match="complex"):
        open_patches(write(tmp_path / "c.tif", features().astype(np.complex64)))


def test_a_file_that_names_no_encoder_is_noted(tmp_path: Path) -> None:
    (note,) = build_archive([open_patches(write(tmp_path / "f.tif", features()))])[1]
    assert "does not say which encoder made it: its 12 bands are taken for the channels" in note
    assert build_archive([open_patches(write_embeddings(tmp_path / "ours.tif", features()))])[1] == []


@pytest.mark.parametrize(("west", "longitude"), [(179.9, -179.905), (350.0, -9.805), (-10.0, 350.195)])
def test_grids_that_count_beyond_180_degrees(tmp_path: Path, west: float, longitude: float) -> None:
    """Column 19 is asked for by the other name of its longitude."""
    path = write_embeddings(tmp_path / "f.tif", features(), "EPSG:4326")
    with rasterio.open(path, "r+") as file:
        file.transform = Affine(0.01, 0, west, 0, -0.01, -17)
    archive, _ = build_archive([open_patches(path)])
    assert point_example(archive, longitude, -17.005).numbers.tolist() == [19]
    centre = centres_of(archive.outlines(np.array([19])))[0]
    assert centre == pytest.approx([(longitude + 180) % 360 - 180, -17.005])
    box = np.array([[-0.006, -0.006], [0.006, -0.006], [0.006, 0.006], [-0.006, 0.006], [-0.006, -0.006]])
    polygon = {"type": "Polygon", "coordinates": [(box + np.array([longitude, -17.005])).tolist()]}
    (tmp_path / "area.geojson").write_text(json.dumps(polygon))
    assert area_examples(archive, tmp_path / "area.geojson").numbers.tolist() == [19]


def test_boxes_over_the_antimeridian() -> None:
    """GeoParquet and GeoJSON let a box end west of where it begins."""
    west, east = 179.99, -179.99
    corners = np.array([[(west, -17.01), (east, -17.01), (east, -17.0), (west, -17.0)]])
    places = OutlinePlaces(corners)
    assert places.at(179.995, -17.005) == 0 and places.at(-179.995, -17.005) == 0 and places.at(0, -17.005) is None
    ring = np.array([(-180.02, -17.1), (-179.9, -17.1), (-179.9, -16.9), (-180.02, -16.9)])
    assert places.inside([ring]).tolist() == [0]
    assert abs(centres_of(places.outlines(np.array([0])))[0, 0]) == pytest.approx(180)


def test_a_projected_grid_over_the_antimeridian() -> None:
    """Zone 60 goes on a little: corners of a cell lie on both sides, and its centre between them."""
    places = GridPlaces(np.array([0]), (1, 1), (4000.0, 0.0, 817_500.0, 0.0, -4000.0, 8_118_000.0), "EPSG:32760")
    longitudes = places.outlines(np.array([0]))[0, :, 0]
    assert np.ptp(longitudes) < 0.1
    assert abs(centres_of(places.outlines(np.array([0])))[0, 0]) > 179.9


def test_exchanged_coordinates_are_named(tmp_path: Path) -> None:
    archive, _ = build_archive([open_patches(write_embeddings(tmp_path / "f.tif", features()))])
    longitude, latitude = centres_of(archive.outlines(np.array([40])))[0]
    with pytest.raises(DataError, match="exchanged: give the longitude first"):
        point_example(archive, latitude, longitude)
    with pytest.raises(DataError, match="no patch of the archive lies at 13 95"):
        point_example(archive, 13, 95)


@pytest.mark.parametrize(
    ("crs", "affine"),
    [
        ("EPSG:3857", (131.0, 0.0, 1_457_000.0, 0.0, -131.0, 6_860_000.0)),
        ("EPSG:4326", (0.001, 0.0, 13.0, 0.0, -0.001, 52.5)),
        ("EPSG:4326", (0.1, 0.0, 13.0, 0.0, -0.5, 70.0)),
        ("EPSG:2263", (262.0, 0.0, 980_000.0, 0.0, -262.0, 200_000.0)),
    ],
)
def test_areas_are_of_the_ground_and_not_of_the_map(crs: str, affine: tuple[float, ...]) -> None:
    """OurPlanscape/Planscape#4152, e-sensing/sits#1497: Web Mercator shows areas 10 to 170 % larger than they are."""
    rows, columns = 40, 50
    places = GridPlaces(np.arange(rows * columns), (rows, columns), affine, crs)  # type: ignore[arg-type]
    areas = ground_areas(places)
    geod = Geod(ellps="WGS84")
    for cell in (0, 777, rows * columns - 1):
        outline = places.outlines(np.array([cell]))[0]
        assert areas[cell] == pytest.approx(abs(geod.polygon_area_perimeter(*outline.T)[0]), rel=2e-4)


def test_a_map_of_clicks_in_web_mercator(tmp_path: Path) -> None:
    values = features()
    path = write_embeddings(tmp_path / "f.tif", values, "EPSG:3857", (1_457_000.0, 6_860_000.0))
    session = LabelSession(build_archive([open_patches(path)])[0], ("water", "forest", "fields"))
    for label in range(3):
        for row in range(4):
            session.set_example(row * COLUMNS + 10 * label + 4, label)
    areas = describe_areas(session)
    ground = Geod(ellps="WGS84").polygon_area_perimeter(*session.places.outlines(np.array([COLUMNS * ROWS // 2]))[0].T)
    expected = ROWS * COLUMNS * abs(ground[0]) / 10_000
    assert areas["unit"] == "hectares"
    assert sum(row["mapped"] for row in areas["classes"]) == pytest.approx(expected, rel=1e-3)
    assert expected < 0.4 * ROWS * COLUMNS * 0.64  # what the map's own metres would say
