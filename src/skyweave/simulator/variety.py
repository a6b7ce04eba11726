"""How scenes differ in looks: seasons, materials, paints, wear; drawn once for each scene.

Without it every scene has the same asphalt, grass and eleven paints, and a model learns these instead of shapes. With
it materials keep their kind but not their colour: what is drawn is a factor and a tilt of each spectrum, so every
sensor sees the same change. Marks on the ground (stains, cracks, slabs, covers) look like objects from above and are
none.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.simulator.materials import FREE_PAINTS, MATERIAL_INDEX, MATERIALS, WAVELENGTHS, reflectance_table

VEGETATION = ("grass", "meadow", "crop", "foliage", "dark foliage")
PAVED = ("asphalt", "old asphalt", "cycle lane", "pavement", "gravel", "kerb")
ROOFS = ("tile roof", "slate roof", "flat roof")
UNDER_SNOW = (*VEGETATION, "dry grass", "soil", *PAVED, *ROOFS)
SNOW = 0.85  # reflectance in the visible
SNOW_ON_ROADS = 0.4  # of the cover elsewhere
AUTUMN = (6, 7, 9, 17, 30, 36, 37, 39, 42, 44, 44, 42, 36, 24, 18)  # percent at WAVELENGTHS: yellow and brown leaves
MIN_REFLECTANCE, MAX_REFLECTANCE = 0.01, 0.95
MIDDLE_NM, TILT_SPAN_NM = 550.0, 150.0
MAX_TILT = 2.0  # spans from the middle: the infrared is tilted no further


@dataclass(frozen=True)
class VarietyConfig:
    """How much scenes differ in looks; at 0 all materials are those of `skyweave.simulator.materials`.

    Attributes:
        materials: spread of the logarithm of each material's reflectance.
        colours: spread of the logarithm of how each spectrum is tilted.
        paints: share of vehicles and people in any colour there is.
        seasons: share of scenes that are not in summer: dry, autumn or snow, a third each.
        roughness: spread of the logarithm of how uneven materials are.
        marks: stains, cracks, slabs and covers on the ground of the built-up area.
    """

    materials: float = 0.0
    colours: float = 0.0
    paints: float = 0.0
    seasons: float = 0.0
    roughness: float = 0.0
    marks: int = 0

    def __post_init__(self) -> None:
        if min(self.materials, self.colours, self.roughness, self.marks) < 0:
            raise ConfigError("variety: spreads and the number of marks cannot be negative")
        if not (0 <= self.paints <= 1 and 0 <= self.seasons <= 1):
            raise ConfigError(f"variety.paints {self.paints} and .seasons {self.seasons} are shares, from 0 to 1")


@dataclass(frozen=True)
class SceneAppearance:
    """The looks of one scene.

    Attributes:
        reflectance: (materials, wavelengths) in [0, 1] at ``WAVELENGTHS``.
        roughness: (materials,) float32 spread of brightness from place to place, as a share.
        paints: share of vehicles and people in any colour.
        marks: number of marks on the ground.
    """

    reflectance: np.ndarray
    roughness: np.ndarray
    paints: float = 0.0
    marks: int = 0

    @classmethod
    def draw(cls, config: VarietyConfig, generator: np.random.Generator) -> "SceneAppearance":
        """Draw the looks of one scene.

        Args:
            config: how much scenes differ.
            generator: of random numbers.
        """
        table, rough = reflectance_table(), np.array([m.roughness for m in MATERIALS.values()], np.float32)
        if config == VarietyConfig():
            return cls(table, rough)
        table, water = table[:-1], table[-1:]  # the same in every scene
        table = _in_season(table, config.seasons, generator)
        tilt = np.clip((WAVELENGTHS - MIDDLE_NM) / TILT_SPAN_NM, -MAX_TILT, MAX_TILT)
        factors = config.materials * generator.standard_normal((len(table), 1))
        tilts = config.colours * generator.standard_normal((len(table), 1))
        table = table * np.exp(factors + tilts * tilt)
        for name in FREE_PAINTS:
            table[MATERIAL_INDEX[name]] = _any_colour(generator)
        rough = rough * np.exp(config.roughness * generator.standard_normal()).astype(np.float32)
        table = np.concatenate([table, water])
        return cls(np.clip(table, MIN_REFLECTANCE, MAX_REFLECTANCE), rough, config.paints, config.marks)


def _in_season(table: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """The table in summer, or in another season: each material changed by a part of its own."""
    season = generator.choice(["dry", "autumn", "snow"]) if generator.random() < share else "summer"
    parts = generator.uniform(0.2, 1.0, len(table))[:, None]
    if season == "snow":
        cover = {name: SNOW_ON_ROADS if name in PAVED else 1.0 for name in UNDER_SNOW}
        return _mixed(table, np.full(len(WAVELENGTHS), SNOW), parts, cover)
    if season == "autumn":
        return _mixed(table, np.array(AUTUMN) / 100, parts, dict.fromkeys(VEGETATION, 0.8))
    if season == "dry":
        return _mixed(table, table[MATERIAL_INDEX["dry grass"]], parts, dict.fromkeys(VEGETATION[:3], 1.0))
    return table


def _mixed(table: np.ndarray, spectrum: np.ndarray, parts: np.ndarray, cover: dict[str, float]) -> np.ndarray:
    """The table with some materials covered in part by a spectrum."""
    share = np.zeros((len(table), 1))
    for name, maximum in cover.items():
        share[MATERIAL_INDEX[name]] = maximum
    share = share * parts
    return np.asarray(table * (1 - share) + spectrum * share)


def _any_colour(generator: np.random.Generator) -> np.ndarray:
    """(wavelengths,) a smooth spectrum of any lightness, from grey to saturated."""
    lightness, strength = np.exp(generator.uniform(np.log(0.03), np.log(0.7))), generator.beta(1, 1.5)
    anchors = np.exp(1.6 * strength * generator.standard_normal(4))
    shape = np.interp(WAVELENGTHS, [440, 540, 640, 900], anchors / anchors.mean())
    return np.asarray(np.clip(lightness * shape, MIN_REFLECTANCE, MAX_REFLECTANCE))
