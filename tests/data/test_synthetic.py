import numpy as np
import pytest

from skyweave.core.sensors import catalogue, get_sensor
from skyweave.data.synthetic import CLASS_NAMES, procedural_classes, procedural_scene


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_sensor_sees_a_plausible_place(name):
    sensor = get_sensor(name)
    scene = procedural_scene(sensor, seed=1, size=48)
    assert scene.pixels.shape == (len(sensor), 48, 48) and scene.valid.all()
    assert scene.ground_sample_distance == sensor.ground_sample_distance
    normalised = (scene.pixels - sensor.means[:, None, None]) / sensor.stds[:, None, None]
    assert np.median(np.abs(normalised)) < 3
    again = procedural_scene(sensor, seed=1, size=48)
    assert np.array_equal(scene.pixels, again.pixels)
    assert not np.array_equal(scene.pixels, procedural_scene(sensor, seed=2, size=48).pixels)


def test_sensors_agree_on_the_place():
    classes = procedural_classes(4, 96, 10.0)
    optical = procedural_scene(get_sensor("sentinel2-l2a"), 4, 96, 10.0)
    enmap = procedural_scene(get_sensor("enmap"), 4, 96, 10.0)
    radar = procedural_scene(get_sensor("sentinel1-grd"), 4, 96, 10.0)
    red, nir = (optical.pixels[optical.sensor.index(name)] for name in ("red", "nir"))
    greenness = (nir - red) / (nir + red)
    means = {name: greenness[classes == number].mean() for number, name in enumerate(CLASS_NAMES)}
    assert means["crop"] > means["grass"] > means["soil"] > means["water"]
    water, roof = classes == CLASS_NAMES.index("water"), classes == CLASS_NAMES.index("roof")
    assert radar.pixels[0][water].mean() < radar.pixels[0][~water].mean() - 5 < radar.pixels[0][roof].mean()
    assert (radar.pixels[1] < radar.pixels[0]).mean() > 0.8  # cross-polarised is weaker
    near = np.argmin([abs((band.wavelength or 0) - 665) for band in enmap.sensor.bands])
    assert np.corrcoef(red.ravel(), enmap.pixels[near].ravel())[0, 1] > 0.98
