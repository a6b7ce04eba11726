"""What one channel measures: the record on which every model and dataset agrees."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.core.sensors.band_kind import BandKind

UNITS = ("reflectance", "radiance", "db", "uint8", "dn", "kelvin", "metre")
"""Units of pixel values that all kinds share."""
BAND_KINDS: Registry[Callable[[], BandKind]] = Registry(
    "band_kinds",
    "kind of band",
    {
        "optical": "skyweave.core.sensors.band_kinds:OpticalKind",
        "thermal": "skyweave.core.sensors.band_kinds:ThermalKind",
        "radar": "skyweave.core.sensors.band_kinds:RadarKind",
        "elevation": "skyweave.core.sensors.band_kinds:ElevationKind",
    },
)


@lru_cache(maxsize=256)
def get_band_kind(name: str) -> BandKind:
    """Return a kind of band.

    Args:
        name: a name in `BAND_KINDS`.

    Raises:
        UnknownNameError: there is none; lists the names and the nearest.
    """
    return BAND_KINDS[name]()


@dataclass(frozen=True, slots=True)
class Band:
    """One channel of a sensor.

    Optical and thermal bands are described by wavelength, radar bands by frequency and polarisation; a radar band
    never carries a made-up optical wavelength.

    Attributes:
        name: canonical name, unique in its sensor; the STAC common name where the sensor has one such band.
        aliases: other spellings (``B04``, ``04 - Red``, ``RED``); matching ignores case and punctuation.
        kind: what the band measures, a name in `BAND_KINDS`.
        wavelength: centre wavelength in nanometres (optical and thermal only).
        width: full width at half maximum in nanometres (optical and thermal only).
        frequency: carrier frequency in gigahertz (radar only).
        polarisation: ``VV``, ``VH``, ``HH`` or ``HV``, transmit then receive (radar only).
        unit: unit of the pixel values that a model receives, one in `UNITS` or of the kind.
        mean: typical mean in ``unit``, used to normalise.
        std: typical standard deviation in ``unit``, used to normalise.
        ground_sample_distance: native pixel size in metres, if it differs from the sensor's.
        properties: further numbers that the kind asks for, by name.

    Raises:
        DataError: a field that the kind needs is missing, or one that it cannot have is given.
        UnknownNameError: no such kind.
    """

    name: str
    kind: str = "optical"
    wavelength: float | None = None
    width: float | None = None
    frequency: float | None = None
    polarisation: str | None = None
    unit: str = "reflectance"
    mean: float = 0.0
    std: float = 1.0
    ground_sample_distance: float | None = None
    aliases: tuple[str, ...] = ()
    properties: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        get_band_kind(self.kind).validate(self)
        if self.std <= 0:
            raise DataError(f"band {self.name!r}: std is {self.std}, must be positive")
