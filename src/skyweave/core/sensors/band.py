"""What one channel measures: the record on which every model and dataset agrees."""

from dataclasses import dataclass
from typing import Literal

from skyweave.core.errors import DataError

BandKind = Literal["optical", "thermal", "radar", "elevation"]
Unit = Literal["reflectance", "radiance", "db", "uint8", "dn", "kelvin", "metre"]


@dataclass(frozen=True, slots=True)
class Band:
    """One channel of a sensor.

    Optical and thermal bands are described by wavelength, radar bands by frequency and polarisation; a radar band
    never carries a made-up optical wavelength.

    Attributes:
        name: canonical name, unique in its sensor; the STAC common name where the sensor has one such band.
        aliases: other spellings (``B04``, ``04 - Red``, ``RED``); matching ignores case and punctuation.
        kind: what the band measures.
        wavelength: centre wavelength in nanometres (optical and thermal only).
        width: full width at half maximum in nanometres (optical and thermal only).
        frequency: carrier frequency in gigahertz (radar only).
        polarisation: ``VV``, ``VH``, ``HH`` or ``HV``, transmit then receive (radar only).
        unit: unit of the pixel values that a model receives.
        mean: typical mean in ``unit``, used to normalise.
        std: typical standard deviation in ``unit``, used to normalise.
        ground_sample_distance: native pixel size in metres, if it differs from the sensor's.

    Raises:
        ValueError: a field that the kind needs is missing, or one that it cannot have is given.
    """

    name: str
    kind: BandKind = "optical"
    wavelength: float | None = None
    width: float | None = None
    frequency: float | None = None
    polarisation: str | None = None
    unit: Unit = "reflectance"
    mean: float = 0.0
    std: float = 1.0
    ground_sample_distance: float | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        spectral = self.kind in ("optical", "thermal")
        if spectral and not self.wavelength:
            raise DataError(f"band {self.name!r} is {self.kind} and needs a centre wavelength in nanometres")
        if self.kind == "radar" and not (self.frequency and self.polarisation):
            raise DataError(
                f"band {self.name!r} is radar and needs a frequency in GHz (C band: 5.405) and a polarisation (VV, VH)"
            )
        if not spectral and (self.wavelength or self.width):
            raise DataError(f"band {self.name!r} is {self.kind}: it has no wavelength; remove it")
        if self.kind != "radar" and (self.frequency or self.polarisation):
            raise DataError(f"band {self.name!r} is {self.kind}: frequency and polarisation belong to radar bands")
        if spectral and self.wavelength is not None and not 100 <= self.wavelength <= 50_000:
            raise DataError(
                f"band {self.name!r}: wavelength {self.wavelength} is outside 100 to 50000 nm; "
                "wavelengths are in nanometres (red is about 665, not 0.665)"
            )
        if self.std <= 0:
            raise DataError(f"band {self.name!r}: std is {self.std}, must be positive")
