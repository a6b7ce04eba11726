"""Which asset of a STAC item holds which band of a sensor, and how it stores values, as the catalogue says it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skyweave.core.errors import DataError, UnknownNameError
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.quality_values import MASK_BITS, MASK_CLASSES

OFFSET_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Say that the pixels have the offset already, which the band's metadata give all the same."""
DISPLAY_ROLES = {"thumbnail", "overview", "visual", "preview", "tci"}
"""Roles and keys of assets that are made to be looked at."""
RASTER_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "application/x-hdf", "application/x-netcdf")
UNCLEAR_WORDS = ("cloud", "cirrus", "shadow", "no_data", "nodata", "fill", "saturated", "defective")
CLEAR_WORDS = ("clear", "not_", "no_cloud")
MAX_WAVELENGTH_DIFFERENCE = 0.5  # of a band's width


@dataclass(frozen=True)
class BandSource:
    """Where a band lies.

    Attributes:
        asset: its key.
        index: of the band in the asset, from 1.
        scale: ``value = scale * stored + offset``; None: the catalogue does not say.
        offset: see scale.
        nodata: stored value that means no data; None: as the file says.
    """

    asset: str
    index: int
    scale: float | None
    offset: float
    nodata: float | None

    @property
    def name(self) -> str:
        """Return how odc-stac calls it."""
        return self.asset if self.index == 1 else f"{self.asset}.{self.index}"


@dataclass(frozen=True)
class CloudMask:
    """An asset that says where the ground is not seen.

    Attributes:
        asset: its key.
        values: that mean so.
        bits: that mean so, from 0.
    """

    asset: str
    values: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()


def match_assets(item: Any, sensor: Sensor) -> dict[str, BandSource]:
    """Return where the bands of a sensor lie in an item, in the sensor's order.

    A band is matched by its name or an alias among the names of the asset's bands, their common names and the asset's
    key, and where none fits by its wavelength.

    Args:
        item: of a catalogue.
        sensor: whose bands are wanted.

    Raises:
        DataError: a band is missing; names what there is.
    """
    matched: dict[str, BandSource] = {}
    candidates = sorted(_raster_bands(item), key=lambda candidate: _preference(item, candidate))
    for names_of in (_precise_names, _further_names):
        for key, number, band, count in candidates:
            for name in names_of(key, band, count):
                channel = _channel(sensor, name)
                if channel is not None:
                    matched.setdefault(sensor.bands[channel].name, _source(item, key, number, band))
    for key, number, band, _ in candidates:
        channel = _channel_by_wavelength(sensor, band.get("eo:center_wavelength", band.get("center_wavelength")))
        if channel is not None:
            matched.setdefault(sensor.bands[channel].name, _source(item, key, number, band))
    missing = [band.name for band in sensor.bands if band.name not in matched]
    if missing:
        there = ", ".join(dict.fromkeys(key for key, *_ in candidates))
        raise DataError(
            f"the item {item.id} has no asset for {', '.join(missing)} of {sensor.name} among {there}; choose another "
            f"--sensor, or --bands {','.join(matched)}"
        )
    return {band.name: matched[band.name] for band in sensor.bands}


def find_cloud_mask(item: Any) -> CloudMask | None:
    """Return the asset that says where clouds are; by its own classes, else as products that are known have it.

    Args:
        item: of a catalogue.
    """
    for key, number, band, _ in _raster_bands(item):
        classes = band.get("classification:classes") or item.assets[key].extra_fields.get("classification:classes")
        bits = band.get("classification:bitfields") or item.assets[key].extra_fields.get("classification:bitfields")
        if number == 1 and (mask := _declared_mask(key, classes, bits)) is not None:
            return mask
    for key in item.assets:
        name = key.lower().removesuffix("-jp2")
        if name in MASK_CLASSES or name in MASK_BITS:
            return CloudMask(key, MASK_CLASSES.get(name, ()), MASK_BITS.get(name, ()))
    return None


def _preference(item: Any, candidate: tuple[str, int, dict[str, Any], int]) -> tuple[bool, float, bool]:
    """Return what puts files of one band before those of several, finer before coarser ones, GeoTIFFs before others."""
    key, _, band, count = candidate
    asset = item.assets[key]
    distance = band.get("raster:spatial_resolution", band.get("spatial_resolution", asset.extra_fields.get("gsd", 0)))
    return count > 1, distance if isinstance(distance, int | float) else 0, "tiff" not in (asset.media_type or "")


def _is_unclear_bit(entry: Any) -> bool:
    """Return whether a field of bits is a single one that says that there is no clear ground."""
    return entry.get("length", 1) == 1 and _is_unclear(entry) and "confidence" not in entry.get("name", "")


def _join_extensions(asset: Any) -> list[dict[str, Any]]:
    """Return the bands of an asset by the fields of both extensions of STAC 1.0."""
    optical, raster = (asset.extra_fields.get(name) or [] for name in ("eo:bands", "raster:bands"))
    count = max(len(optical), len(raster), 1)
    padded = [list(entries) + [{}] * (count - len(entries)) for entries in (optical, raster)]
    return [{**a, **b} for a, b in zip(*padded, strict=True)]


def _declared_mask(key: str, classes: Any, bits: Any) -> CloudMask | None:
    values = [entry["value"] for entry in classes or [] if _is_unclear(entry)]
    numbers = [entry["offset"] for entry in bits or [] if _is_unclear_bit(entry)]
    is_cloud_mask = any("cloud" in str(entry.get("name", "")).lower() for entry in [*(classes or []), *(bits or [])])
    return CloudMask(key, tuple(values), tuple(numbers)) if is_cloud_mask and (values or numbers) else None


def _is_unclear(entry: Mapping[str, Any]) -> bool:
    name = str(entry.get("name") or entry.get("description") or "").lower().replace(" ", "_").replace("-", "_")
    return any(word in name for word in UNCLEAR_WORDS) and not any(name.startswith(word) for word in CLEAR_WORDS)


def _raster_bands(item: Any) -> Iterator[tuple[str, int, dict[str, Any], int]]:
    """Yield the bands of raster assets: key, number from 1, fields of STAC 1.1 or of both extensions, and how many."""
    for key, asset in item.assets.items():
        media_type = asset.media_type or ""
        is_raster = not media_type or media_type.startswith(RASTER_TYPES)
        if not is_raster or set(asset.roles or ()) & DISPLAY_ROLES or key in DISPLAY_ROLES:
            continue
        bands = asset.extra_fields.get("bands")
        if bands is None:
            bands = _join_extensions(asset)
        common = {name: asset.extra_fields[name] for name in COMMON_FIELDS if name in asset.extra_fields}
        for number, band in enumerate(bands or [{}], start=1):
            yield key, number, common | band, max(len(bands), 1)


COMMON_FIELDS = ("raster:scale", "raster:offset", "nodata", "eo:common_name", "eo:center_wavelength")
"""That STAC 1.1 lets an asset say for all of its bands."""


def _precise_names(key: str, band: Mapping[str, Any], count: int) -> list[str]:
    return [str(name) for name in (band.get("name"), key if count == 1 else None) if name]


def _further_names(key: str, band: Mapping[str, Any], count: int) -> list[str]:
    names = (band.get("eo:common_name"), band.get("common_name"), band.get("description"))
    return [str(name) for name in names if name]


def _channel(sensor: Sensor, name: str) -> int | None:
    try:
        return sensor.index(name)
    except UnknownNameError:
        return None


def _channel_by_wavelength(sensor: Sensor, micrometres: Any) -> int | None:
    """Return the band whose centre is nearest, if that is within half of its width."""
    if not isinstance(micrometres, int | float):
        return None
    distances = [
        (abs(band.wavelength - micrometres * 1000) / band.width, number)
        for number, band in enumerate(sensor.bands)
        if band.wavelength is not None and band.width
    ]
    distance, number = min(distances, default=(1.0, 0))
    return number if distance <= MAX_WAVELENGTH_DIFFERENCE else None


def _source(item: Any, key: str, number: int, band: Mapping[str, Any]) -> BandSource:
    scale = _number(item, key, "scale", band.get("raster:scale", band.get("scale")))
    offset = _number(item, key, "offset", band.get("raster:offset", band.get("offset"))) or 0.0
    nodata = _number(item, key, "nodata", band.get("nodata"))
    if any(str(item.properties.get(name)).lower() == "true" for name in OFFSET_APPLIED):
        offset = 0.0
    return BandSource(key, number, scale, offset, nodata)


def _number(item: Any, key: str, field: str, value: Any) -> float | None:
    """Return a number that a catalogue states, as a word too (``"0.0001"``, ``"nan"``); None where it states none."""
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(
            f"the item {item.id} has the {field} {value!r} for {key}, which is no number; mend the catalogue"
        ) from None
