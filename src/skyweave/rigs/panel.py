"""The irradiance by a panel of known reflectance that was photographed before or after the flight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from skyweave.core.errors import DataError
from skyweave.rigs.band_file import BandFile
from skyweave.rigs.cameras.registry import rig_camera

MIN_PANEL_PIXELS = 16
Area = tuple[float, ...]
"""Corners x, y of a polygon in turn, pixels."""


@dataclass(frozen=True)
class Panel:
    """What a panel shows.

    Attributes:
        irradiance: by band; in the unit of the radiance, times pi.
        light: what the light sensor stated at that time, by band; None where it stated nothing.
    """

    irradiance: Mapping[str, float]
    light: Mapping[str, float | None]

    def irradiance_at(self, band: str, light: float | None) -> float:
        """Return the irradiance during an image: the panel's, followed by the light sensor where there is one.

        Args:
            band: name of the band.
            light: of the light sensor at the image.

        Raises:
            DataError: the panel was not photographed in that band.
        """
        if band not in self.irradiance:
            raise DataError(
                f"the panel was not photographed in the band {band} (in {', '.join(self.irradiance)}); give its files "
                "of all bands"
            )
        before = self.light[band]
        return self.irradiance[band] * (light / before if light and before else 1.0)


def measure_panel(
    bands: Sequence[BandFile], reflectances: Mapping[str, float] | None = None, area: Area | None = None
) -> Panel:
    """Measure the irradiance by images of a panel.

    Args:
        bands: of one capture of the panel; thermal ones do not count.
        reflectances: of the panel by band; None: as the camera read them from the panel's code (``Albedo``).
        area: of the panel in every band's image; None: where the camera found it (``ReflectArea``).

    Raises:
        DataError: neither states where the panel is, or what it reflects; it is overexposed or not lit.
    """
    irradiance, light = {}, {}
    for band in bands:
        if not band.is_thermal:
            irradiance[band.name] = np.pi * _radiance_of_panel(band, area) / _reflectance(band, reflectances)
            light[band.name] = rig_camera(band).irradiance(band)
    return Panel(irradiance, light)


def _reflectance(band: BandFile, reflectances: Mapping[str, float] | None) -> float:
    given = (reflectances or {}).get(band.name, (reflectances or {}).get("all"))
    reflectance = given if given is not None else band.number("Albedo")
    if reflectance is None or not 0 < reflectance <= 1:
        raise DataError(
            f"{band.path.name} does not state what the panel reflects in the band {band.name} (Albedo: "
            f"{reflectance}); give it as it is printed on the panel: --panel-reflectance {band.name}=0.49"
        )
    return reflectance


def _radiance_of_panel(band: BandFile, area: Area | None) -> float:
    corners = area or band.read_xmp_sequence("ReflectArea", 6)
    if corners is None:
        raise DataError(
            f"the camera did not recognise a panel in {band.path.name} (no ReflectArea); give its corners in pixels: "
            "--panel-area X,Y,X,Y,X,Y,X,Y"
        )
    mask = Image.new("1", band.stored.shape[::-1])
    ImageDraw.Draw(mask).polygon(list(corners), fill=1)
    inside = np.asarray(mask)
    if inside.sum() < MIN_PANEL_PIXELS:
        raise DataError(f"the panel covers {int(inside.sum())} pixels of {band.path.name}; check --panel-area")
    if band.saturated[inside].any():
        raise DataError(f"the panel is overexposed in {band.path.name}; take another image of it")
    radiance = float(rig_camera(band).radiance(band)[inside].mean())
    if radiance <= 0:
        raise DataError(f"the panel is not brighter than the black level in {band.path.name}; check --panel-area")
    return radiance
