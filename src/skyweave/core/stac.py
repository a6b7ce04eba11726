"""What STAC files of different makers have in common: how a band is written, what has no footprint."""

from typing import Any

from skyweave.core.sensors.band import Band

EO_EXTENSION = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
UNITS = {"reflectance": "1", "radiance": "W m-2 sr-1 um-1", "db": "dB", "kelvin": "K", "metre": "m"}
"""How STAC writes our units; the others are what a file stores."""
GLOBAL_BBOX = [-180.0, -90.0, 180.0, 90.0]
GLOBAL_EXTENT = {"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]}
"""Of a model, which has no footprint."""


def describe_band(band: Band, ground_sample_distance: float) -> dict[str, Any]:
    """Return a band as a STAC 1.1 band object with the fields of the electro-optical extension.

    Args:
        band: of a sensor.
        ground_sample_distance: metres a pixel.
    """
    entry: dict[str, Any] = {"name": band.name, "unit": UNITS.get(band.unit, band.unit), "gsd": ground_sample_distance}
    if band.wavelength is not None:
        entry["eo:center_wavelength"] = band.wavelength / 1000
    if band.width is not None:
        entry["eo:full_width_half_max"] = band.width / 1000
    if band.kind == "radar":
        entry["description"] = f"radar, {band.frequency:g} GHz, {band.polarisation}"
    entry["statistics"] = {"mean": band.mean, "stddev": band.std}
    return entry
