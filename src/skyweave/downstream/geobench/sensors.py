"""Two sensors that only this benchmark has: NEON's imaging spectrometer and its canopy height model."""

from functools import cache

from skyweave.core.sensors import Band, Encoding, Sensor, get_sensor

FIRST, STEP, CHANNELS = 383.5, 5.008, 191
"""Centre of the first channel and step in nanometres (to 1 nm: they move with each season), channels below 1340 nm."""


@cache
def get_stored_sensor(name: str) -> Sensor:
    """Return a sensor of the catalogue, or one of the two that only the benchmark has.

    Args:
        name: of the sensor.

    Raises:
        UnknownNameError: no such sensor; lists the valid names.
    """
    benchmark_sensors = {"neon-ais": _neon, "canopy-height": _canopy}
    return benchmark_sensors[name]() if name in benchmark_sensors else get_sensor(name)


def _neon() -> Sensor:
    """The first channels of NEON's airborne spectrometer (product DP3.30006: reflectance x 10000, 5 nm apart).

    Mean and spread: of all channels together, 1130.9 and 1285.3 stored, as published with the benchmark.
    """
    bands = tuple(
        Band(f"nm{FIRST + STEP * n:.0f}", wavelength=round(FIRST + STEP * n, 1), width=5.5, mean=0.113, std=0.1285)
        for n in range(CHANNELS)
    )
    encodings = (Encoding("dn", scale=0.0001), Encoding("reflectance"))
    return Sensor("neon-ais", "NEON airborne imaging spectrometer, 384 to 1335 nm", bands, 1.0, encodings)


def _canopy() -> Sensor:
    """Height of the vegetation above the ground (NEON DP3.30015); mean and spread as published with the benchmark."""
    band = Band("height", kind="elevation", unit="metre", mean=9.886, std=7.754)
    return Sensor("canopy-height", "Canopy height above ground from lidar", (band,), 1.0, (Encoding("metre"),))
