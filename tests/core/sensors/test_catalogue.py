"""Every sensor of the catalogue: complete, unambiguous, and the same after a round trip through a card."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.errors import normalise_name
from skyweave.core.sensors import Sensor, catalogue, get_sensor, sensor_from_dict, sensor_to_dict

SENSORS = list(catalogue().values())
EXPECTED = {
    "sentinel1-grd": 2,
    "sentinel1-rtc": 2,
    "sentinel2-l1c": 13,
    "sentinel2-l2a": 12,
    "elevation": 1,
    "landsat8-l1": 11,
    "landsat8-l2": 8,
    "gaofen1-pms": 5,
    "gaofen2-pms": 5,
    "naip": 4,
    "enmap": 224,
    "rgb": 3,
    "thermal": 1,
}
every_sensor = pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)


def test_the_catalogue_holds_what_the_project_promises() -> None:
    assert {name: len(sensor) for name, sensor in catalogue().items()} == EXPECTED


@every_sensor
def test_no_spelling_means_two_bands(sensor: Sensor) -> None:
    owners: dict[str, set[str]] = {}
    for band in sensor.bands:
        for spelling in (band.name, *band.aliases):
            owners.setdefault(normalise_name(spelling), set()).add(band.name)
    assert {key: names for key, names in owners.items() if len(names) > 1} == {}


@every_sensor
def test_every_spelling_finds_its_band(sensor: Sensor) -> None:
    for index, band in enumerate(sensor.bands):
        for spelling in (band.name, *band.aliases):
            assert sensor.index(spelling) == index
            assert sensor.index(spelling.upper().replace(" ", "_")) == index


@every_sensor
def test_a_card_gives_the_same_sensor_back(sensor: Sensor) -> None:
    assert sensor_from_dict(json.loads(json.dumps(sensor_to_dict(sensor)))) == sensor


@every_sensor
def test_a_selection_survives_a_card(sensor: Sensor) -> None:
    part = sensor.select([sensor.bands[-1].name])
    assert sensor_from_dict(json.loads(json.dumps(sensor_to_dict(part)))) == part


@every_sensor
def test_every_encoding_decodes_all_bands(sensor: Sensor) -> None:
    stored = np.full((len(sensor), 2, 3), 200.0)
    for encoding in sensor.encodings:
        values = sensor.encoding(encoding.name).decode(stored)
        assert values.shape == stored.shape
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


@every_sensor
def test_statistics_are_usable(sensor: Sensor) -> None:
    assert sensor.means.shape == sensor.stds.shape == (len(sensor),)
    assert (sensor.stds > 0).all()
    if all(band.unit == "reflectance" for band in sensor.bands):
        assert ((sensor.means > 0) & (sensor.means < 1) & (sensor.stds < 0.5)).all()


@pytest.mark.parametrize("name", ["sentinel1-grd", "sentinel1-rtc"])
def test_radar_has_no_wavelength_and_its_bands_differ(name: str) -> None:
    vv, vh = get_sensor(name).bands
    assert vv.wavelength is None and vh.wavelength is None
    assert (vv.kind, vv.frequency, vv.polarisation) == ("radar", 5.405, "VV")
    assert vh.polarisation == "VH"
    assert vv.mean > vh.mean


def test_enmap_keeps_the_order_of_its_detectors() -> None:
    wavelengths = [band.wavelength or 0 for band in get_sensor("enmap").bands]
    assert wavelengths[90] > wavelengths[91]
    assert wavelengths[:91] == sorted(wavelengths[:91])
    assert wavelengths[91:] == sorted(wavelengths[91:])


@given(st.permutations(range(13)), st.integers(1, 13))
def test_selection_keeps_the_asked_order(order: list[int], count: int) -> None:
    sensor = get_sensor("sentinel2-l1c")
    names = [sensor.bands[i].aliases[0] for i in order[:count]]
    selected = sensor.select(names)
    assert [band.name for band in selected.bands] == [sensor.bands[i].name for i in order[:count]]
    assert np.array_equal(selected.means, sensor.means[order[:count]])


def test_sentinel2_encodings() -> None:
    sensor = get_sensor("sentinel2-l2a")
    stored = np.array([1000, 3000])
    assert sensor.encoding("dn").decode(stored) == pytest.approx([0.1, 0.3])
    assert sensor.encoding("dn_offset1000").decode(stored) == pytest.approx([0.0, 0.2], abs=1e-7)
    with pytest.raises(ValueError, match=r"no unit 'db'.*dn, dn_offset1000, reflectance"):
        sensor.encoding("db")


def test_radar_power_becomes_decibels_and_zero_becomes_invalid() -> None:
    values = get_sensor("sentinel1-grd").encoding("power").decode(np.array([1.0, 0.01, 0.0, -1.0]))
    assert values[:2] == pytest.approx([0.0, -20.0])
    assert np.isnan(values[2:]).all()


def test_landsat_scales_surface_temperature_on_its_own() -> None:
    sensor = get_sensor("landsat8-l2")
    values = sensor.encoding("dn").decode(np.full((8, 1, 1), 43_000))
    assert values[:7, 0, 0] == pytest.approx([43_000 * 0.0000275 - 0.2] * 7)
    assert values[7, 0, 0] == pytest.approx(43_000 * 0.00341802 + 149.0)
    thermal = sensor.select(["ST_B10"]).encoding("dn").decode(np.array([43_000]))
    assert thermal == pytest.approx([295.97], abs=0.01)
    with pytest.raises(ValueError, match="differs between bands"):
        sensor.encoding("dn").decode(np.zeros((2, 1, 1)))


def test_landsat_brightness_temperature_follows_planck() -> None:
    sensor = get_sensor("landsat8-l1").select(["lwir11"])
    radiance = 774.8853 / (np.exp(1321.0789 / 300.0) - 1)  # what band 10 of Landsat 8 measures of 300 K
    stored = np.array([(radiance - 0.1) / 0.0003342])
    assert sensor.encoding("dn").decode(stored) == pytest.approx([300.0], abs=0.01)


def test_thermal_units() -> None:
    sensor = get_sensor("thermal")
    assert sensor.encoding("celsius").decode(np.array([20.0])) == pytest.approx([293.15])
    assert sensor.encoding("dn_centikelvin").decode(np.array([29315], np.uint16)) == pytest.approx([293.15])


def test_a_misspelt_sensor_is_told_the_nearest_name() -> None:
    with pytest.raises(KeyError, match=r"no sensor is called 'sentinel2-12a', did you mean 'sentinel2-l2a'\?; valid"):
        get_sensor("sentinel2-12a")
    assert get_sensor("Sentinel2_L2A") is get_sensor("sentinel2-l2a")
