import numpy as np
import pytest

from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import get_sensor

RGB = get_sensor("rgb")


def image(**changes):
    pixels = np.arange(3 * 6 * 8, dtype=np.float32).reshape(3, 6, 8)
    geometry = GeoTransform("EPSG:32633", (2.0, 0.0, 100.0, 0.0, -2.0, 500.0))
    return Observation.from_pixels(pixels, RGB, 2.0, geometry=geometry, **changes)


def test_window_moves_the_geotransform():
    part = image(notes=("as declared",)).window(1, 3, 4, 5)
    assert np.array_equal(part.pixels, image().pixels[:, 1:5, 3:8])
    assert part.geometry.affine == (2.0, 0.0, 106.0, 0.0, -2.0, 498.0)
    assert part.notes == ("as declared",)
    with pytest.raises(ValueError, match="leaves the image of 6 x 8"):
        image().window(3, 0, 4, 4)


def test_what_is_no_number_is_no_pixel():
    pixels = np.ones((3, 4, 4))
    pixels[0, 0, 0], pixels[1, 1, 1] = np.nan, -np.inf
    valid = np.ones((4, 4), bool)
    valid[3] = False
    observation = Observation.from_pixels(pixels, RGB, valid=valid)
    assert (~observation.valid).sum() == 3 * 4 + 2 and np.isfinite(observation.pixels).all()
    assert not observation.pixels[:, 3].any()
    assert observation.ground_sample_distance == RGB.ground_sample_distance


def test_bands_by_name_in_any_order():
    chosen = image().select(["blue", "R"])
    assert np.array_equal(chosen.pixels, image().pixels[[2, 0]])
    assert [band.name for band in chosen.sensor.bands] == ["blue", "red"]
    with pytest.raises(KeyError, match="nir"):
        image().select(["nir"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": np.zeros((2, 4, 4), np.float32)}, r"\(2, 4, 4\), but sensor 'rgb' has 3 bands"),
        ({"pixels": np.full((3, 4, 4), np.nan, np.float32)}, "NaN or infinity"),
        ({"valid": np.ones((3, 4, 4))}, "valid must be bool"),
        ({"ground_sample_distance": 0.0}, "must be metres > 0"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    good = {"pixels": np.zeros((3, 4, 4), np.float32), "valid": np.ones((3, 4, 4), bool), "ground_sample_distance": 1.0}
    with pytest.raises(ValueError, match=message):
        Observation(sensor=RGB, **{**good, **changes})
