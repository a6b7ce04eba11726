"""What a raster says of one of its bands: name, wavelength, scale, unit, colour, nodata; wherever GDAL keeps it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyweave.core.errors import normalise_name
from skyweave.core.sensors.matching import parse_wavelength

COLOURS = ("red", "green", "blue")
FILL_TAGS = ("_fillvalue", "missing_value")  # of netCDF, which programs copy into other formats
NAME_TAGS = ("BANDNAME", "band_name", "BandName", "long_name", "standard_name")
MIN_NANOMETRES = 100.0  # no band lies below; a smaller wavelength is in micrometres
NANOMETRES_PER_UNIT = {"nanometer": 1.0, "nm": 1.0, "micrometer": 1000.0, "micron": 1000.0, "um": 1000.0, "µm": 1000.0}
ALPHA_NAMES = {"", "alpha", "transparency", "mask", "band2", "band4", "band5"}


@dataclass(frozen=True)
class BandHeader:
    """One band of a file.

    Attributes:
        number: 1-based, as GDAL counts.
        dtype: of the stored values (``uint16``).
        name: of the band, or None.
        name_from: where ``name`` comes from: ``description``, ``file name``, ``colour`` or None.
        wavelength: centre in nanometres, if the file gives it.
        width: full width at half maximum in nanometres, if the file gives it.
        scale: tag of the file; 1 without.
        offset: tag of the file; 0 without.
        unit: tag of the file, or None.
        colour: GDAL's colour interpretation (``red``, ``alpha``).
        nodata: declared nodata value.
    """

    number: int
    dtype: str
    name: str | None = None
    name_from: str | None = None
    wavelength: float | None = None
    width: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    colour: str | None = None
    nodata: float | None = None

    @property
    def is_alpha(self) -> bool:
        """Return whether the band is tagged as transparency, and not named as something else."""
        return self.colour == "alpha" and normalise_name(self.name or "") in ALPHA_NAMES

    @property
    def is_scaled(self) -> bool:
        """Return whether tags say that a value is not the stored number."""
        return (self.scale, self.offset) != (1.0, 0.0)


def read_band_headers(dataset: Any, path: str | Path) -> tuple[BandHeader, ...]:
    """Return what an open dataset says of its bands.

    Args:
        dataset: of rasterio.
        path: of it; a file of one band may be called after that.
    """
    envi, common = _small_letters(dataset.tags(ns="ENVI")), _small_letters(dataset.tags())
    return tuple(_band(dataset, number, Path(str(path)).name, envi, common) for number in dataset.indexes)


def band_from_file_name(file_name: str) -> str | None:
    """Return the band that a one-band file is called after, or None.

    Args:
        file_name: such as ``S2A_..._36_85_B8A.tif`` (``B8A``) or ``..._VV.tif`` (``VV``).
    """
    tokens = file_name.split(".")[0].split("_")
    if len(tokens) > 1 and re.fullmatch(r"\d+m", tokens[-1], re.I):
        tokens.pop()  # Sentinel-2 product folders: ..._B02_10m.jp2
    token = tokens[-1]
    return token if re.fullmatch(r"B\d{1,3}A?|VV|VH|HH|HV", token, re.I) else None


def _small_letters(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags by their names in small letters."""
    return {key.casefold(): text for key, text in tags.items()}


def _band(dataset: Any, number: int, file_name: str, envi: Mapping[str, str], common: dict[str, str]) -> BandHeader:
    index = number - 1
    tags = _small_letters(dataset.tags(number))
    scale, offset = _scaling((dataset.scales[index], dataset.offsets[index]), common | tags, envi)
    imagery = dataset.tags(number, ns="IMAGERY")
    name, source = _name(dataset, index, tags, file_name, envi)
    return BandHeader(
        number=number,
        dtype=dataset.dtypes[index],
        name=name,
        name_from=source,
        wavelength=_wavelength(tags, imagery, envi, index) or parse_wavelength(dataset.descriptions[index] or ""),
        width=_width(tags, imagery, envi, index),
        scale=scale,
        offset=offset,
        unit=dataset.units[index] or None,
        colour=dataset.colorinterp[index].name,
        nodata=_nodata(dataset.nodatavals[index], common | tags),
    )


def _scaling(stated: tuple[float, float], tags: Mapping[str, str], envi: Mapping[str, str]) -> tuple[float, float]:
    """Return scale and offset as GDAL knows them, or by tags of netCDF's names, or by the header of an ENVI file."""
    if stated not in ((0.0, 0.0), (1.0, 0.0)):
        return stated[0] or 1.0, stated[1]
    if factor := _number(envi.get("reflectance_scale_factor")):
        return 1.0 / factor, 0.0
    return _number(tags.get("scale_factor")) or 1.0, _number(tags.get("add_offset")) or 0.0


def _nodata(stated: float | None, tags: Mapping[str, str]) -> float | None:
    """Return the nodata value that GDAL knows, or that of tags of netCDF's names."""
    if stated is not None:
        return stated
    values = (_number(tags.get(key)) for key in FILL_TAGS)
    return next((value for value in values if value is not None and math.isfinite(value)), None)


def _name(
    dataset: Any, index: int, tags: Mapping[str, str], file_name: str, envi: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Return the name of a band and where it comes from."""
    if name := _written_name(dataset.descriptions[index], tags, _listed(envi, "band_names", index)):
        return name, "description"
    if dataset.count == 1 and (stem := band_from_file_name(file_name)):
        return stem, "file name"
    if colour := _colour_name([kind.name for kind in dataset.colorinterp], index):
        return colour, "colour"
    return None, None


def _written_name(description: str | None, tags: Mapping[str, str], listed: str | None) -> str | None:
    """Return the first name that is not blank: the description, a tag, or the entry of an ENVI header."""
    tagged = (tags.get(tag.casefold()) for tag in NAME_TAGS)
    stripped = (text.strip() for text in (description, *tagged, listed) if text)
    return next(filter(None, stripped), None)


def _colour_name(colours: Sequence[str], index: int) -> str | None:
    """Return the colour of a band in a file of red, green and blue, with one more band or without; else None."""
    is_display = set(COLOURS) <= set(colours) and len(colours) <= 4
    return colours[index] if is_display and colours[index] in COLOURS else None


def _wavelength(
    tags: Mapping[str, str], imagery: Mapping[str, str], envi: Mapping[str, str], index: int
) -> float | None:
    """Return the centre in nanometres from the band's tags, GDAL's IMAGERY domain or an ENVI header."""
    unit = _first_tag(tags, "wavelength_units", "wavelength_unit") or envi.get("wavelength_units")
    text = _first_tag(tags, "wavelength", "central_wavelength", "center_wavelength")
    if (value := _nanometres(text, unit)) is not None:
        return value
    if (value := _nanometres(imagery.get("CENTRAL_WAVELENGTH_UM"), "um")) is not None:
        return value
    return _nanometres(_listed(envi, "wavelength", index), envi.get("wavelength_units"))


def _width(tags: Mapping[str, str], imagery: Mapping[str, str], envi: Mapping[str, str], index: int) -> float | None:
    """Return the full width at half maximum in nanometres, in the unit of the wavelength that stands beside it."""
    unit = _first_tag(tags, "bandwidth_unit", "wavelength_units", "wavelength_unit")
    text = _first_tag(tags, "fwhm", "bandwidth")
    if (value := _length(text, _scale_beside(tags.get("wavelength"), unit))) is not None:
        return value
    if (value := _length(imagery.get("FWHM_UM"), 1000.0)) is not None:
        return value
    per_unit = _scale_beside(_listed(envi, "wavelength", index), envi.get("wavelength_units"))
    return _length(_listed(envi, "fwhm", index), per_unit)


def _first_tag(tags: Mapping[str, str], *keys: str) -> str | None:
    """Return the first of the tags that is not empty."""
    return next((tags[key] for key in keys if tags.get(key)), None)


def _nanometres(text: str | None, unit: str | None) -> float | None:
    """Return a wavelength in nanometres."""
    return _length(text, _scale_beside(text, unit))


def _scale_beside(wavelength: str | None, unit: str | None) -> float | None:
    """Return nanometres per unit of a wavelength; None for a unit that is no length.

    Files name the wrong unit, or none: but no band lies below 100 nm, and none beyond 100 micrometres.
    """
    if _is_no_length(unit):
        return None  # wavenumbers, gigahertz, an index
    number = _number(wavelength)
    if number is None:
        return _per_unit(unit)
    return 1000.0 if number < MIN_NANOMETRES else 1.0


def _is_no_length(unit: str | None) -> bool:
    """Return whether a file names a unit, and it is none of length."""
    named = bool(unit) and normalise_name(unit or "") not in ("unknown", "none")
    return named and _per_unit(unit) is None


def _length(text: str | None, per_unit: float | None) -> float | None:
    value = _number(text)
    return value * per_unit if value is not None and value > 0 and per_unit is not None else None


def _per_unit(unit: str | None) -> float | None:
    """Return nanometres per unit by its name in either spelling; None for what is no length of light."""
    spelling = (unit or "").strip().casefold().replace("μ", "µ").replace("metre", "meter").removesuffix("s")
    return NANOMETRES_PER_UNIT.get(spelling)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return parse_wavelength(text or "")


def _listed(envi: Mapping[str, str], key: str, index: int) -> str | None:
    """Return a band's entry of a list in an ENVI header, such as ``{450.1, 455.2}``."""
    entries = envi.get(key, "").strip().strip("{}").split(",")
    return entries[index].strip() or None if index < len(entries) else None
