"""Where sensors come from: the built-in catalogue, one YAML file a sensor, or a user's own file."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from skyweave.core.errors import UnknownNameError, did_you_mean, normalise_name
from skyweave.core.sensors.description import load_sensor, parse_sensor
from skyweave.core.sensors.sensor import Sensor


def get_sensor(name: str | Path) -> Sensor:
    """Return a sensor of the catalogue, or of a user's YAML file.

    Args:
        name: catalogue name (``sentinel2-l2a``), or path of a YAML file (anything ending in .yaml or .yml).

    Raises:
        UnknownNameError: no such catalogue name; lists the valid names and the nearest one.
        FileNotFoundError: no such YAML file.
        DataError: the YAML is no sensor.
    """
    text = str(name)
    if text.endswith((".yaml", ".yml")):
        return load_sensor(text)
    for known in sensor_names():
        if normalise_name(known) == normalise_name(text):
            return _read(known)
    raise UnknownNameError(
        f"no sensor is called {text!r}{did_you_mean(text, sensor_names())}; valid names: {', '.join(sensor_names())}; "
        "for a sensor of your own give the path of a .yaml file"
    )


def catalogue() -> dict[str, Sensor]:
    """Return every built-in sensor by name, in alphabetical order."""
    return {name: _read(name) for name in sensor_names()}


@cache
def sensor_names() -> tuple[str, ...]:
    """Return the names of the catalogue, in alphabetical order, without reading its files."""
    entries = (files("skyweave.core.sensors") / "catalogue").iterdir()
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml")))


@cache
def _read(name: str) -> Sensor:
    entry = files("skyweave.core.sensors") / "catalogue" / f"{name}.yaml"
    return parse_sensor(entry.read_text(encoding="utf-8"), source=f"catalogue entry {name}")
