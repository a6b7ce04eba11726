"""The built-in kinds of bands: optical, thermal, radar, elevation."""

import math
from typing import ClassVar

from skyweave.core.errors import DataError, did_you_mean
from skyweave.core.sensors.band_kind import POLARISATIONS, BandEncoding, BandFields, BandKind, Sinusoid

REFERENCE_WAVELENGTH_NM = 400.0
"""Zero of the axis of wavelengths, whose unit is the octave."""
DEFAULT_WIDTH_NM = 50.0


class SpectralKind(BandKind):
    """Bands on the axis of wavelengths, by centre and full width at half maximum, both in nanometres."""

    fields = ("wavelength", "width")
    columns = 0

    def validate(self, band: BandFields) -> None:
        """Check that the band has a wavelength in nanometres.

        Args:
            band: of this kind.

        Raises:
            DataError: it has none, or a field of another kind.
        """
        if not band.wavelength:
            raise DataError(f"band {band.name!r} is {self.name} and needs a centre wavelength in nanometres")
        super().validate(band)
        if not 100 <= band.wavelength <= 50_000:
            raise DataError(
                f"band {band.name!r}: wavelength {band.wavelength} is outside 100 to 50000 nm; "
                "wavelengths are in nanometres (red is about 665, not 0.665)"
            )

    def encode(self, band: BandFields) -> BandEncoding:
        """Return wavelength and width, both in octaves.

        Args:
            band: of this kind.
        """
        assert band.wavelength is not None  # checked by `validate`
        octaves = math.log2(band.wavelength / REFERENCE_WAVELENGTH_NM)
        width = math.log2(max(band.width or DEFAULT_WIDTH_NM, 1.0))
        return BandEncoding(Sinusoid(octaves, 4.0, 0.03), Sinusoid(width, 16.0, 1.0), (self.name,))

    def describe(self, band: BandFields) -> str:
        """Return wavelength and half width in nanometres.

        Args:
            band: of this kind.
        """
        width = f" ± {band.width / 2:.4g}" if band.width else ""
        return f"{band.wavelength:.5g}{width} nm" + ("" if self.name == "optical" else f" ({self.name})")


class OpticalKind(SpectralKind):
    """Reflected light, by wavelength in nanometres."""

    name = "optical"


class ThermalKind(SpectralKind):
    """Emitted infrared light, by wavelength in nanometres."""

    name = "thermal"


class RadarKind(BandKind):
    """Backscatter, by carrier frequency in gigahertz and polarisation; a radar band has no optical wavelength."""

    name = "radar"
    fields = ("frequency", "polarisation")
    columns = 0

    def validate(self, band: BandFields) -> None:
        """Check that the band has a frequency and a polarisation.

        Args:
            band: of this kind.

        Raises:
            DataError: it has none, or a field of another kind.
        """
        check_radar_fields(band, self.name)
        super().validate(band)

    def encode(self, band: BandFields) -> BandEncoding:
        """Return the frequency in octaves over a gigahertz, and the polarisation.

        Args:
            band: of this kind.
        """
        return BandEncoding(extent=encode_frequency(band), flags=(str(band.polarisation), self.name))

    def describe(self, band: BandFields) -> str:
        """Return the frequency and the polarisation.

        Args:
            band: of this kind.
        """
        return f"{self.name} {band.frequency:g} GHz {band.polarisation}"


class ElevationKind(BandKind):
    """Height of the surface in metres."""

    name = "elevation"
    columns: ClassVar[int] = 0

    def encode(self, band: BandFields) -> BandEncoding:
        """Return that the band is one of elevations.

        Args:
            band: of this kind.
        """
        return BandEncoding(flags=(self.name,))


def check_radar_fields(band: BandFields, kind: str) -> None:
    """Check that a band has a carrier frequency and a polarisation.

    Args:
        band: of a radar.
        kind: of the band, for messages.

    Raises:
        DataError: one is missing, or the polarisation is unknown.
    """
    if not (band.frequency and band.polarisation):
        raise DataError(
            f"band {band.name!r} is {kind} and needs a frequency in GHz (C band: 5.405) and a polarisation (VV, VH)"
        )
    if band.polarisation not in POLARISATIONS:
        raise DataError(
            f"band {band.name!r}: polarisation {band.polarisation!r} is not one of {', '.join(POLARISATIONS)}"
            f"{did_you_mean(band.polarisation, POLARISATIONS)}"
        )


def encode_frequency(band: BandFields) -> Sinusoid:
    """Return a radar's carrier frequency, in octaves over a gigahertz.

    Args:
        band: of a radar, valid.
    """
    assert band.frequency is not None  # checked by `check_radar_fields`
    return Sinusoid(math.log2(band.frequency), 16.0, 0.5)
