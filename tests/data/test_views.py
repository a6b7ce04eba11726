import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.core.images.resampling import filter_matrix, resample
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import get_sensor
from skyweave.data.augment import RandomResizedCrop

THERMAL = get_sensor("thermal")


def plane(rows, columns, distance=2.0):
    """An image whose value at a place is a linear function of the map coordinates."""
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    geometry = GeoTransform("EPSG:32633", (distance, 0, 1000, 0, -distance, 5000))
    values = 3 * (1000 + distance * x) - 2 * (5000 - distance * y)
    return Observation.from_pixels(values[None], THERMAL, distance, geometry=geometry)


def expected(view):
    rows, columns = view.shape
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    a, b, c, d, e, f = view.geometry.affine
    return 3 * (a * x + b * y + c) - 2 * (d * x + e * y + f)


@given(
    st.integers(20, 90), st.integers(20, 90), st.integers(4, 40), st.floats(0.3, 1.0), st.floats(1.0, 3.0),
    st.integers(0, 2**32),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_ground_stays_measured(rows, columns, size, low, high, seed):
    image = plane(rows, columns)
    view = RandomResizedCrop(size, (low, high))(image, np.random.default_rng(seed))
    assert view.shape == (size, size) and view.valid.all()
    a, b, _, d, e, _ = view.geometry.affine
    assert math.sqrt(abs(a * e - b * d)) == pytest.approx(view.ground_sample_distance)
    zoom = view.ground_sample_distance / image.ground_sample_distance
    side = round(zoom * size)
    assert side == pytest.approx(zoom * size) and side <= min(rows, columns)
    assert low * size - 1 <= side <= high * size + 1 or side == min(rows, columns)
    # a plane is met exactly when enlarged, to a tenth of a pixel when averaged, away from the window's edge
    edge = math.ceil(1 / min(zoom, 1)) if zoom != 1 else 0
    inner = (slice(edge, size - edge), slice(edge, size - edge))
    np.testing.assert_allclose(view.pixels[0][inner], expected(view)[inner], atol=0.02 if zoom <= 1 else 1.0)


@given(st.integers(8, 40), st.integers(4, 60), st.integers(0, 2**32), st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_invalid_pixels_never_bleed(length, size, seed, share):
    random = np.random.default_rng(seed)
    valid = random.random((2, length, length)) < share
    pixels = np.where(valid, random.uniform(10, 11, valid.shape), 1e6).astype(np.float32)
    values, kept = resample(pixels, valid, (size, size))
    assert ((values[kept] >= 9.999) & (values[kept] <= 11.001)).all()
    assert not values[~kept].any()


@given(st.integers(1, 50), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_filters_keep_constants(length, size):
    matrix = filter_matrix(length, 0.0, float(length), size)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
    assert (matrix >= 0).all()


def test_whole_bands_of_nodata_stay_so():
    pixels = np.ones((3, 16, 16), np.float32)
    valid = np.ones(pixels.shape, bool)
    valid[1] = False
    values, kept = resample(pixels, valid, (24, 24))
    assert kept[0].all() and not kept[1].any() and not values[1].any() and np.allclose(values[2], 1)


def test_same_generator_same_view_and_no_change_without_zoom():
    image = plane(40, 40)
    view = RandomResizedCrop(16)
    first, second = (view(image, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels) and first.geometry == second.geometry
    exact = RandomResizedCrop(16, (1, 1), flips=False, quarter_turns=False)(image, np.random.default_rng(1))
    assert np.isin(exact.pixels, image.pixels).all() and exact.ground_sample_distance == 2.0


def test_windows_prefer_valid_ground():
    image = plane(64, 64)
    valid = np.zeros(image.valid.shape, bool)
    valid[:, 40:] = True
    image = Observation.from_pixels(image.pixels, THERMAL, 2.0, valid=valid)
    view, careless = RandomResizedCrop(16, (1, 1)), RandomResizedCrop(16, (1, 1), attempts=1)
    shares = [view(image, np.random.default_rng(seed)).valid.mean() for seed in range(40)]
    assert np.mean(np.array(shares) >= 0.5) > 0.9
    assert np.mean([careless(image, np.random.default_rng(seed)).valid.mean() >= 0.5 for seed in range(40)]) < 0.6


def test_small_and_empty_images():
    view = RandomResizedCrop(32, (1, 2))(plane(10, 20), np.random.default_rng(0))
    assert view.shape == (32, 32) and view.ground_sample_distance == pytest.approx(2.0 * 10 / 32)
    empty = Observation.from_pixels(np.full((1, 40, 40), np.nan), THERMAL, 2.0)
    assert not RandomResizedCrop(16)(empty, np.random.default_rng(0)).valid.any()
    with pytest.raises(ValueError, match="size >= 1"):
        RandomResizedCrop(0)
