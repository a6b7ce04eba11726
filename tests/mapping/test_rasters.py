"""Orthorectified rasters on the map, against GDAL's warp."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform
from skyweave.mapping import plan_raster, project_to_bev

UTM = "EPSG:32633"
WEST, NORTH = 500_000.0, 5_800_000.0
GRID = MapGrid.covering((WEST, NORTH - 60, WEST + 80, NORTH), 1.0, UTM)


def raster(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Three channels, smooth enough that interpolating differs little from what is exact."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns] / 7
    phase = generator.random((3, 1, 1)) * 6
    return np.sin(x + phase) * np.cos(y - 2 * phase) + 0.05 * generator.normal(size=(3, rows, columns))


def warped(
    values: np.ndarray, geometry: GeoTransform, grid: MapGrid, method: str, nodata: float | None = None
) -> np.ndarray:
    from affine import Affine
    from rasterio.warp import Resampling, reproject

    out = np.full((len(values), *grid.shape), np.nan)
    reproject(
        values, out, src_transform=Affine(*geometry.affine), src_crs=geometry.crs, src_nodata=nodata,
        dst_transform=Affine(*grid.affine), dst_crs=grid.crs, dst_nodata=np.nan, init_dest_nodata=True,
        resampling=Resampling[method], tolerance=0.0,
    )  # fmt: skip
    return out


def test_bilinear_is_that_of_gdal() -> None:
    values, geometry = raster(30, 40), GeoTransform(UTM, (2.0, 0, WEST + 3.7, 0, -2.0, NORTH - 4.2))
    placed = project_to_bev(torch.as_tensor(values), geometry, GRID)
    expected = warped(values, geometry, GRID, "bilinear")
    seen = placed.visible.numpy()
    assert (seen == np.isfinite(expected[0])).all() and 0.5 < seen.mean() < 1
    np.testing.assert_allclose(placed.features.numpy()[:, seen], expected[:, seen], atol=1e-6)
    assert not placed.features.numpy()[:, ~seen].any()


@pytest.mark.parametrize("size", [0.5, 0.25])
def test_area_means_are_exact_where_pixels_fit_cells(size: float) -> None:
    per = round(1 / size)
    values = raster(60 * per, 80 * per)
    placed = project_to_bev(torch.as_tensor(values), GeoTransform(UTM, (size, 0, WEST, 0, -size, NORTH)), GRID)
    expected = values.reshape(3, 60, per, 80, per).mean((2, 4))
    np.testing.assert_allclose(placed.features.numpy(), expected, atol=1e-12)
    assert placed.visible.all() and torch.allclose(placed.weight, torch.ones(()).double())


def test_area_means_are_those_of_gdal() -> None:
    values, geometry = raster(150, 190), GeoTransform(UTM, (0.37, 0, WEST + 5.11, 0, -0.37, NORTH - 2.03))
    placed = project_to_bev(torch.as_tensor(values), geometry, GRID)
    expected = warped(values, geometry, GRID, "average")
    inner = (placed.weight > 0.99).numpy()
    assert inner.mean() > 0.5
    error = np.abs(placed.features.numpy() - expected)[:, inner]  # pixels are shared between cells in thirds here
    assert error.max() < 0.04 and error.mean() < 0.008


def test_invalid_pixels_take_no_part() -> None:
    values, geometry = raster(30, 40), GeoTransform(UTM, (2.0, 0, WEST, 0, -2.0, NORTH))
    valid = np.random.default_rng(1).random((30, 40)) > 0.3
    stored = np.where(valid, values, np.nan)
    placed = project_to_bev(torch.as_tensor(stored), geometry, GRID, valid=torch.as_tensor(valid))
    assert torch.isfinite(placed.features).all() and 0.4 < placed.visible.double().mean() < 0.95
    expected = warped(np.where(valid, values, -99), geometry, GRID, "bilinear", nodata=-99)
    both = placed.visible.numpy() & np.isfinite(expected[0])
    assert both.sum() > 0.9 * placed.visible.sum()
    np.testing.assert_allclose(placed.features.numpy()[:, both], expected[:, both], atol=1e-6)


@pytest.mark.parametrize("method", ["bilinear", "area"])
def test_another_zone_is_reprojected(method: str) -> None:
    """The same ground, stored in the neighbouring UTM zone, 150 km from its meridian and turned by two degrees."""
    from pyproj import Transformer

    grid = MapGrid.covering((WEST + 150_000, NORTH - 600, WEST + 150_800, NORTH), 10.0, UTM)
    east, north = Transformer.from_crs(UTM, "EPSG:32634", always_xy=True).transform(WEST + 150_000, NORTH)
    size = 12.0 if method == "bilinear" else 4.0
    count = int(1100 / size)
    geometry = GeoTransform("EPSG:32634", (size, 0, east - 60, 0, -size, north + 60))
    values = raster(count, count)
    placed = project_to_bev(torch.as_tensor(values), geometry, grid)
    expected = warped(values, geometry, grid, "average" if method == "area" else "bilinear")
    inner = ((placed.weight > 0.99).numpy()) & np.isfinite(expected[0])
    assert inner.mean() > 0.6
    np.testing.assert_allclose(placed.features.numpy()[:, inner], expected[:, inner], atol=0.02)


def test_degrees_are_reprojected_to_the_place_they_mean() -> None:
    from pyproj import Transformer

    lon, lat = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(WEST + 40, NORTH - 30)
    step = 1e-5
    geometry = GeoTransform("EPSG:4326", (step, 0, lon - 100 * step, 0, -step, lat + 100 * step))
    index = torch.arange(200.0, dtype=torch.float64)
    features = torch.stack([index[:, None].expand(200, 200), index.expand(200, 200)]) + 0.5  # row and column
    placed = project_to_bev(features, geometry, GRID, resampling="bilinear")
    assert placed.visible.all()
    x, y = np.moveaxis(GRID.cell_centres(), -1, 0)
    back = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(x, y)
    expected = np.stack([(lat + 100 * step - back[1]) / step, (back[0] - lon + 100 * step) / step])
    np.testing.assert_allclose(placed.features.numpy(), expected, atol=0.02)  # LATTICE_ERROR


@settings(max_examples=15, deadline=None)
@given(angle=st.floats(-3.1, 3.1), size=st.floats(0.3, 3), x=st.floats(-30, 30), y=st.floats(-30, 30))
def test_a_plane_stays_a_plane(angle: float, size: float, x: float, y: float) -> None:
    """Features that are linear in the world keep their value at every cell, however the raster is turned."""
    c, s = np.cos(angle) * size, np.sin(angle) * size
    geometry = GeoTransform(UTM, (c, s, WEST + 40 + x - 20 * (c + s), s, -c, NORTH - 30 + y - 20 * (s - c)))
    column, row = np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5)
    a, b, x0, d, e, y0 = geometry.affine
    world = torch.as_tensor(np.stack([a * column + b * row + x0 - WEST, d * column + e * row + y0 - NORTH]))
    expected = np.moveaxis(GRID.cell_centres(), -1, 0) - np.array([WEST, NORTH])[:, None, None]
    middle = torch.zeros(40, 40)
    middle[1:-1, 1:-1] = 1  # at the raster's edge half a pixel is repeated
    inner = (project_to_bev(middle[None], geometry, GRID, resampling="bilinear").features[0] > 0.999).numpy()
    bilinear = project_to_bev(world, geometry, GRID, resampling="bilinear").features.numpy()
    np.testing.assert_allclose(bilinear[:, inner], expected[:, inner], atol=1e-6)
    area = project_to_bev(world, geometry, GRID, resampling="area").features.numpy()
    assert np.abs(area - expected).max(0)[inner].max(initial=0) < 0.72 * size + 0.08  # it takes pixels as they are


def test_a_raster_elsewhere_is_not_seen() -> None:
    placed = project_to_bev(torch.ones(2, 20, 20), GeoTransform(UTM, (1.0, 0, WEST + 5000, 0, -1.0, NORTH)), GRID)
    assert not placed.visible.any() and not placed.features.any() and not placed.weight.any()
    placed = project_to_bev(torch.ones(2, 20, 20), GeoTransform(UTM, (0.1, 0, WEST + 5000, 0, -0.1, NORTH)), GRID)
    assert not placed.visible.any()


def test_gradients_reach_the_pixels() -> None:
    features = torch.randn(2, 6, 7, dtype=torch.float64, requires_grad=True)
    geometry, grid = GeoTransform(UTM, (3.0, 0.2, WEST, 0.1, -3.0, NORTH)), GRID.subgrid(0, 0, 9, 8)
    assert torch.autograd.gradcheck(lambda f: project_to_bev(f, geometry, grid).features, (features,))


def test_features_coarser_than_the_picture() -> None:
    geometry = GeoTransform(UTM, (0.5, 0, WEST, 0, -0.5, NORTH))
    features = torch.randn(3, 15, 20)
    coarse = project_to_bev(features, geometry, GRID, image_shape=(120, 160))
    direct = project_to_bev(features, GeoTransform(UTM, (4.0, 0, WEST, 0, -4.0, NORTH)), GRID)
    assert torch.equal(coarse.features, direct.features) and coarse.visible.all()


def test_a_plan_is_kept() -> None:
    geometry = GeoTransform(UTM, (4.0, 0, WEST, 0, -4.0, NORTH))
    assert plan_raster(geometry, (5, 6), GRID) is plan_raster(geometry, (5, 6), GRID)
    assert plan_raster(geometry, (5, 6), GRID) is not plan_raster(geometry, (5, 6), GRID.subgrid(1, 0, 5, 5))


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (GeoTransform(None, (1, 0, 0, 0, -1, 0)), "the raster is in a local frame, the grid in EPSG:32633"),
        (GeoTransform(UTM, (1, 0, 0, 1, 0, 0)), "degenerate"),
        (GeoTransform(UTM, (1, 0, float("nan"), 0, -1, 0)), "degenerate"),
    ],
)
def test_what_cannot_be_placed_is_named(geometry: GeoTransform, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        project_to_bev(torch.ones(1, 4, 4), geometry, GRID)


def test_local_frames_match() -> None:
    grid = replace(GRID, crs=None)
    assert project_to_bev(torch.ones(1, 40, 40), GeoTransform(None, (2.0, 0, WEST, 0, -2.0, NORTH)), grid).visible.any()
