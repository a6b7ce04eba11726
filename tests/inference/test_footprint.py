"""Footprints are where rasters lie, also across the antimeridian."""

import numpy as np
import pytest
import shapely.geometry

from fabricated_map import UTM, feature_map
from skyweave.core.errors import DataError
from skyweave.inference.stac.footprint import describe_footprint


def test_a_projected_raster() -> None:
    _, raster = feature_map()
    geometry, box = describe_footprint(UTM, 50, 70, raster.description.crs)
    shape = shapely.geometry.shape(geometry)
    assert shape.is_valid and shape.exterior.is_ccw
    assert box is not None
    np.testing.assert_allclose(shape.bounds, box, atol=1e-6)
    assert 13 < box[0] < box[2] < 13.2 and 52.2 < box[1] < box[3] < 52.4


def test_across_the_antimeridian_there_are_two_parts() -> None:
    _, raster = feature_map(crs="EPSG:4326")
    geometry, box = describe_footprint((1.0, 0, 170, 0, -1.0, 10), 10, 30, raster.description.crs)
    shape = shapely.geometry.shape(geometry)
    assert shape.geom_type == "MultiPolygon" and shape.is_valid and shape.area == pytest.approx(300)
    assert box == [170, 0, -160, 10]
    geometry, box = describe_footprint((1.0, 0, 170, 0, -1.0, 10), 10, 10, raster.description.crs)
    assert shapely.geometry.shape(geometry).geom_type == "Polygon" and box == [170, 0, 180, 10]


def test_the_whole_earth_and_no_place() -> None:
    _, raster = feature_map(crs="EPSG:4326")
    geometry, box = describe_footprint((1.0, 0, -180, 0, -1.0, 90), 180, 360, raster.description.crs)
    assert shapely.geometry.shape(geometry).area == 180 * 360 and box == [-180, -90, 180, 90]
    assert describe_footprint(UTM, 5, 5, None) == (None, None)
    with pytest.raises(DataError, match="no place on the Earth"):
        describe_footprint((1e9, 0, 0, 0, -1e9, 0), 5, 5, feature_map()[1].description.crs)
