"""What a kind of band has to say of itself: which fields its bands need, and which numbers a model embeds.

A package of somebody else adds a kind through an entry point in ``skyweave.band_kinds`` (docs/extending.md). It may use
the numbers that all kinds share (`BandEncoding`) and adds columns of its own. Weights from before the kind have no
columns for it: there they count as zero, so that the weights give the same features for all kinds that they know.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from skyweave.core.errors import DataError

POLARISATIONS = ("VV", "VH", "HH", "HV")
"""Transmit, then receive."""
BUILT_IN_KINDS = ("optical", "thermal", "radar", "elevation")
"""In the order of their columns in all weights; further kinds add columns behind them."""
FLAGS = (*POLARISATIONS, *BUILT_IN_KINDS)
"""Columns that are one where a band has the property."""


@dataclass(frozen=True)
class Sinusoid:
    """A number as sines and cosines of geometric periods.

    Attributes:
        value: such as the logarithm of a wavelength.
        longest: period, in units of the value.
        shortest: period, in units of the value.
    """

    value: float
    longest: float
    shortest: float


@dataclass(frozen=True)
class BandEncoding:
    """The numbers that describe a band to a model.

    Attributes:
        wavelength: where the band lies on the axis of wavelengths; None: zeros.
        extent: how wide it is, or a radar's carrier frequency; None: zeros.
        flags: names in `FLAGS` that are one.
        columns: the numbers that the kind adds, as many as it declares.
    """

    wavelength: Sinusoid | None = None
    extent: Sinusoid | None = None
    flags: tuple[str, ...] = ()
    columns: tuple[float, ...] = ()


class BandFields(Protocol):
    """The fields of a `skyweave.core.sensors.Band` that its kind checks and encodes; units are given there."""

    @property
    def name(self) -> str:
        """Return the canonical name of the band."""

    @property
    def wavelength(self) -> float | None:
        """Return the centre wavelength in nanometres."""

    @property
    def width(self) -> float | None:
        """Return the full width at half maximum in nanometres."""

    @property
    def frequency(self) -> float | None:
        """Return the carrier frequency in gigahertz."""

    @property
    def polarisation(self) -> str | None:
        """Return transmitted and received polarisation, `VV`."""

    @property
    def properties(self) -> tuple[tuple[str, float], ...]:
        """Return further numbers by name."""


class BandKind(ABC):
    """What a kind of band measures.

    Attributes:
        name: in YAML files and messages.
        fields: of a band that the kind can have, among wavelength, width, frequency and polarisation.
        properties: names of further numbers that its bands must give, each with its unit or meaning.
        units: of pixel values, besides those that all kinds share.
        columns: numbers that the kind adds to the encoding of bands; zero for those that are built in.
    """

    name: ClassVar[str]
    fields: ClassVar[tuple[str, ...]] = ()
    properties: ClassVar[dict[str, str]] = {}
    units: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[int] = 1

    def validate(self, band: BandFields) -> None:
        """Check the fields of a band.

        Args:
            band: of this kind.

        Raises:
            DataError: a field is missing, impossible, or of another kind; names the band and the remedy.
        """
        wrong = [name for name in ("wavelength", "width") if getattr(band, name) and name not in self.fields]
        if wrong:
            raise DataError(f"band {band.name!r} is {self.name}: it has no wavelength; remove it")
        if any(getattr(band, name) and name not in self.fields for name in ("frequency", "polarisation")):
            raise DataError(f"band {band.name!r} is {self.name}: frequency and polarisation belong to radar bands")
        self._check_properties(band)

    def _check_properties(self, band: BandFields) -> None:
        given = dict(band.properties)
        if given.keys() != self.properties.keys():
            needed = ", ".join(f"{name} ({meaning})" for name, meaning in self.properties.items()) or "none"
            raise DataError(
                f"band {band.name!r} is {self.name} and has these properties: {needed}; "
                f"given: {', '.join(given) or 'none'}"
            )

    @abstractmethod
    def encode(self, band: BandFields) -> BandEncoding:
        """Return the numbers that describe a band to a model.

        Args:
            band: of this kind, valid.
        """

    def describe(self, band: BandFields) -> str:
        """Return what a band measures, in a few words for a table.

        Args:
            band: of this kind, valid.
        """
        return self.name
