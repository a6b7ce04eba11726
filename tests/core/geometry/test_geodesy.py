import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.geometry.geodesy import LocalFrame, grid_convergence, project_lon_lat, unproject_lon_lat
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.utm import utm_crs

LATITUDE, LONGITUDE = st.floats(-79, 79), st.floats(-179.9, 179.9)


def test_zones() -> None:
    assert utm_crs(52.4, 13.1) == "EPSG:32633"
    assert utm_crs(-33.9, 151.2) == "EPSG:32756"
    assert utm_crs(0, 180) == "EPSG:32660"
    with pytest.raises(ValueError, match="outside UTM"):
        utm_crs(85, 0)
    with pytest.raises(ValueError, match="no place on the Earth"):
        utm_crs(float("nan"), 0)


def test_a_known_point() -> None:
    """45 degrees north on a central meridian: 0.9996 of the meridian's arc from the equator, 4,984,944.378 m."""
    place = np.array([[9.0, 45.0]])
    found = project_lon_lat(place, "EPSG:32632")
    assert found[0] == pytest.approx([500_000, 0.9996 * 4_984_944.378], abs=1e-3)
    assert unproject_lon_lat(found, "EPSG:32632") == pytest.approx(place, abs=1e-9)


def test_grid_north_is_true_north_on_the_central_meridian_only() -> None:
    assert grid_convergence(50, 15, "EPSG:32633") == pytest.approx(0, abs=1e-12)
    # (longitude - central meridian) * sin(latitude), to first order
    assert np.degrees(grid_convergence(50, 16, "EPSG:32633")) == pytest.approx(np.sin(np.radians(50)), rel=1e-3)


@given(LATITUDE, LONGITUDE, st.lists(st.floats(-5000, 5000), min_size=3, max_size=3))
def test_local_frames_there_and_back(latitude: float, longitude: float, point: list[float]) -> None:
    frame = LocalFrame(latitude, longitude, 100.0)
    there = frame.to_geographic(np.array([point]))
    assert frame.from_geographic(there)[0] == pytest.approx(point, abs=1e-6)
    assert frame.from_geographic(np.array([[latitude, longitude, 100.0]]))[0] == pytest.approx([0, 0, 0], abs=1e-8)


def test_local_axes_point_east_north_and_up() -> None:
    frame = LocalFrame(47.0, 8.0, 400.0)
    east, north, up = frame.from_geographic(np.array([[47.0, 8.001, 400], [47.001, 8.0, 400], [47.0, 8.0, 410]]))
    # radii of curvature of WGS84 at 47 degrees
    a, e2, phi = 6378137.0, 6.69437999014e-3, np.radians(47.0)
    w = np.sqrt(1 - e2 * np.sin(phi) ** 2)
    assert east[0] == pytest.approx(np.radians(0.001) * (a / w + 400) * np.cos(phi), rel=1e-6)
    assert north[1] == pytest.approx(np.radians(0.001) * (a * (1 - e2) / w**3 + 400), rel=1e-5)
    assert up == pytest.approx([0, 0, 10], abs=1e-6)


@pytest.mark.parametrize(("distance", "tolerance"), [(1000, 1e-4), (10_000, 0.1)])
def test_the_projection_of_a_local_frame_agrees_with_it(distance: float, tolerance: float) -> None:
    frame = LocalFrame(47.0, 8.0)
    angle = np.linspace(0, 2 * np.pi, 8)
    geographic = frame.to_geographic(np.stack([distance * np.cos(angle), distance * np.sin(angle), 0 * angle], 1))
    flat = geographic.copy()
    flat[:, 2] = 0  # on the ellipsoid, where the projection is
    wanted = frame.from_geographic(flat)
    found = project_lon_lat(geographic[:, [1, 0]], frame.crs)
    assert found == pytest.approx(wanted[:, :2], abs=tolerance)
    MapGrid.around(0, 0, 100, 1.0, frame.crs)  # metres: a grid accepts it


def test_impossible_origins_are_named() -> None:
    with pytest.raises(ValueError, match="no place on the Earth"):
        LocalFrame(91, 0)
