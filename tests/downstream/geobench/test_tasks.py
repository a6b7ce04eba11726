"""The table of the twelve tasks is whole and consistent."""

import numpy as np
import pytest

from skyweave.downstream.geobench.layouts import LAYOUTS
from skyweave.downstream.geobench.sensors import get_stored_sensor
from skyweave.downstream.geobench.tasks import get_task, list_tasks

# Image classification and segmentation tasks of the paper, with their numbers of classes.
PUBLISHED = {
    "m-bigearthnet": 43,
    "m-forestnet": 12,
    "m-brick-kiln": 2,
    "m-pv4ger": 2,
    "m-so2sat": 17,
    "m-eurosat": 10,
    "m-pv4ger-seg": 2,
    "m-nz-cattle": 2,
    "m-NeonTree": 2,
    "m-cashew-plant": 7,
    "m-SA-crop-type": 10,
    "m-chesapeake": 7,
}


def test_all_twelve_are_there_with_their_classes() -> None:
    assert {name: len(task.classes) for name, task in list_tasks().items()} == PUBLISHED
    for name, task in list_tasks().items():
        assert len(set(task.classes)) == len(task.classes), name
        assert task.task.kind == task.kind
        assert task.collection == ("segmentation_v1.0" if task.kind == "segmentation" else "classification_v1.0")
    uncertain = {name for name, task in list_tasks().items() if task.statistics == "task"}
    assert uncertain == {"m-forestnet", "m-SA-crop-type"}
    assert {task.metric for task in list_tasks().values()} == {"accuracy", "micro_map", "mean_iou"}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_bands_are_the_sensors_and_come_from_the_files(name: str) -> None:
    task = get_task(name)
    stored_names = LAYOUTS[name][0]
    for stored in task.sensors:
        assert len(stored.sensor) == (stored.channels or len(stored.bands))
        theirs = [their for _, their in stored.bands]
        assert len(set(theirs)) == len(theirs) and set(theirs) <= set(stored_names)
        decoded = stored.encoding.decode(np.ones((len(stored.sensor), 2, 2), np.float32))
        assert np.isfinite(decoded).all()
        if not stored.channels:
            assert (
                stored.sensor.bands
                == get_stored_sensor(stored.sensor_name).select([our for our, _ in stored.bands]).bands
            )


def test_bands_are_in_the_order_of_their_sensor() -> None:
    """So that a whole sensor reads as the catalogue has it; sensors that a task splits keep the same order."""
    for task in list_tasks().values():
        for stored in task.sensors:
            if stored.channels or stored.sensor_name in ("landsat8-l2",):
                continue
            whole = [band.name for band in get_stored_sensor(stored.sensor_name).bands]
            ours = [our for our, _ in stored.bands]
            assert sorted(ours, key=whole.index) == ours, task.name


def test_swapped_band_names_are_put_right() -> None:
    """EuroSAT's last five are rotated; two of the brick kilns' are shortwave infrared."""
    (eurosat,), (kilns,) = get_task("m-eurosat").sensors, get_task("m-brick-kiln").sensors
    assert dict(eurosat.bands)["cirrus"] == "09 - Water vapour" and dict(eurosat.bands)["nir08"] == "12 - SWIR"
    assert dict(kilns.bands)["swir16"] == "08A - Vegetation Red Edge" and "nir08" not in dict(kilns.bands)


def test_the_spectrometer_stops_before_the_water_vapour() -> None:
    sensor = get_stored_sensor("neon-ais")
    wavelengths = [band.wavelength for band in sensor.bands]
    assert len(sensor) == 191 and wavelengths[0] == 383.5 and 1330 < wavelengths[-1] < 1340
    assert sensor.encoding("dn").decode(np.array([2500], np.float32)) == pytest.approx(0.25)


def test_names_are_found_and_missed_politely() -> None:
    assert get_task("M-EuroSAT").name == "m-eurosat"
    with pytest.raises(KeyError, match=r"no task 'eurosat', did you mean 'm-eurosat'\?"):
        get_task("eurosat")
    task = get_task("m-so2sat")
    assert [stored.name for stored in task.select(["sentinel1"])] == ["sentinel1"]
    with pytest.raises(KeyError, match="has no sensor 'landsat'; it has sentinel2, sentinel1"):
        task.select(["landsat"])
    for wrong in ([], ["sentinel1", "sentinel1"]):
        with pytest.raises(ValueError, match="name each sensor to read once"):
            task.select(wrong)
