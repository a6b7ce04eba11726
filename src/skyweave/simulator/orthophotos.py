"""Real land beside the roads: one orthophoto, or a folder of them of which each scene gets one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.sensors import Sensor, get_sensor
from skyweave.data.raster import read_observation
from skyweave.simulator.config import SceneryConfig
from skyweave.simulator.ground import Orthophoto
from skyweave.simulator.shading import reflectance_from_uint8

SUFFIXES = (".tif", ".tiff")
MAX_FILES = 200  # of a folder, evenly chosen: all are held in memory


def read_orthophotos(scenery: SceneryConfig, beside: Path) -> list[Orthophoto]:
    """Return the orthophotos that a configuration names, in the order of their names; none where it names none.

    Args:
        scenery: names a file or a folder.
        beside: folder where a relative path starts that is not in the working folder.

    Raises:
        ConfigError: a folder without GeoTIFFs, or a sensor without optical bands.
        DataError: a file cannot be read.
    """
    if scenery.orthophoto is None:
        return []
    path = Path(scenery.orthophoto)
    path = path if path.exists() else beside / path
    if not path.is_dir():
        return [_read(path, scenery)]
    return _read_folder(path, scenery)


def _read_folder(path: Path, scenery: SceneryConfig) -> list[Orthophoto]:
    """Read the orthophotos of a folder, evenly spaced where they are too many."""
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ConfigError(f"scenery.orthophoto: {path} holds no GeoTIFF ({', '.join(SUFFIXES)})")
    return [_read(file, scenery) for file in files[:: -(-len(files) // MAX_FILES)]]


def choose_orthophoto(photographs: Sequence[Orthophoto], seed: int, index: int) -> Orthophoto | None:
    """Return the orthophoto of a scene, or None where there is none to choose from.

    Args:
        photographs: to choose from.
        seed: of the recording.
        index: of the scene: with the seed it decides.
    """
    if len(photographs) < 2:
        return photographs[0] if photographs else None
    return photographs[int(np.random.default_rng([seed, index]).integers(len(photographs)))]


def _read(path: Path, scenery: SceneryConfig) -> Orthophoto:
    """One file as reflectance, its bands by wavelength."""
    sensor = get_sensor(scenery.orthophoto_sensor)
    observation = read_observation(path, sensor, unit=scenery.orthophoto_unit)
    order = _optical_order(observation.sensor)
    if not order:
        raise ConfigError(f"{path}: an orthophoto needs optical bands; {sensor.name} has none")
    values = observation.pixels[order]
    if observation.sensor.bands[order[0]].unit == "uint8":
        values = reflectance_from_uint8(values)
    values = _fill_invalid(values, observation.valid[order])
    wavelengths = np.array([observation.sensor.bands[i].wavelength for i in order], float)
    return Orthophoto(values.astype(np.float32), wavelengths, observation.ground_sample_distance)


def _optical_order(sensor: Sensor) -> list[int]:
    """The optical bands of a sensor by wavelength."""
    bands = [(band.wavelength, i) for i, band in enumerate(sensor.bands) if band.kind == "optical"]
    return [i for _, i in sorted(bands, key=lambda pair: pair[0] or 0)]


def _fill_invalid(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(bands, rows, columns) with the mean of each band where it is not valid."""
    mean = [float(v[m].mean()) if m.any() else 0.1 for v, m in zip(values, valid, strict=True)]
    return np.where(valid, values, np.array(mean, np.float32)[:, None, None])
