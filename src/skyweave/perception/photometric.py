"""Photometric augmentation: the same place through another camera, in other light.

What a camera's colour, exposure, optics and coding do to an image is drawn once for each platform of a sample, so that
all its images of that sample change alike, and differently from those of other platforms. The effects come in the order
in which they happen: light, lens, sensor, coding. Bands in 8-bit steps change in all of these; bands in kelvin only by
blur, noise and inversion, since calibrated temperatures have neither exposure nor white balance; reflectances have
neither by definition, and are blurred only.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.images.decoding import open_image
from skyweave.core.observation import Observation

WHITE = 255.0
GREEN_NM = 550.0  # white balance turns about this wavelength: 100 nm away is the whole factor
BALANCE_SPAN_NM = 85.0
VISIBLE_NM = (380.0, 780.0)
LAMP_COLOUR = 0.35  # white balance of a lamp's light: warm
LAMPS = (2, 7)  # of an image at night
NIGHT_NOISE = (2.0, 11.0)  # deviation, 8-bit steps
NOISE_KELVIN_PER_STEP = 0.05  # noise of a thermal band, in kelvin for each 8-bit step asked for


@dataclass(frozen=True)
class EffectConfig:
    """How often an effect happens, and how strong it then is.

    Attributes:
        share: of the platforms that are changed, from 0 to 1.
        low: weakest value.
        high: strongest value.
    """

    share: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.low > self.high:
            raise ConfigError(
                f"an effect has share {self.share}, from {self.low} to {self.high}; give a share from 0 to 1"
            )

    def draw(self, generator: np.random.Generator) -> float | None:
        """Return a value, or None where the effect does not happen.

        Args:
            generator: two numbers are always drawn from it, so that one effect does not change the draws of the next.
        """
        happens, position = generator.random() < self.share, generator.random()
        return self.low + position * (self.high - self.low) if happens else None


@dataclass(frozen=True)
class PhotometricConfig:
    """Effects of light and cameras on images.

    Attributes:
        share: of the platforms whose images are changed at all.
        night: light that is left, as a share of the day's; lamps shine in some places.
        exposure: logarithm of a factor on all bands, to base 2: stops of the encoded values.
        white_balance: logarithm of the factor on red; blue is divided by as much.
        tint: logarithm of a factor on green.
        gamma: logarithm of the exponent.
        saturation: factor on the difference from grey.
        hue: degrees by which colours turn about grey.
        grey: no colour at all.
        inversion: bright becomes dark, without colour: a thermal camera of either polarity.
        blur: deviation of a Gaussian, pixels.
        motion: length of the path of a moving camera during exposure, pixels.
        noise: deviation, 8-bit steps.
        jpeg: quality of a JPEG.
    """

    share: float = 0.85
    night: EffectConfig = field(default_factory=lambda: EffectConfig(0.15, 0.1, 0.5))
    exposure: EffectConfig = field(default_factory=lambda: EffectConfig(0.75, -1.75, 1.5))
    white_balance: EffectConfig = field(default_factory=lambda: EffectConfig(0.75, -0.25, 0.25))
    tint: EffectConfig = field(default_factory=lambda: EffectConfig(0.4, -0.1, 0.1))
    gamma: EffectConfig = field(default_factory=lambda: EffectConfig(0.4, -0.35, 0.35))
    saturation: EffectConfig = field(default_factory=lambda: EffectConfig(0.3, 0.2, 1.6))
    hue: EffectConfig = field(default_factory=lambda: EffectConfig(0.2, -20.0, 20.0))
    grey: EffectConfig = field(default_factory=lambda: EffectConfig(0.06))
    inversion: EffectConfig = field(default_factory=lambda: EffectConfig(0.03))
    blur: EffectConfig = field(default_factory=lambda: EffectConfig(0.25, 0.3, 1.4))
    motion: EffectConfig = field(default_factory=lambda: EffectConfig(0.12, 1.5, 5.0))
    noise: EffectConfig = field(default_factory=lambda: EffectConfig(0.4, 1.0, 14.0))
    jpeg: EffectConfig = field(default_factory=lambda: EffectConfig(0.3, 40.0, 95.0))

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"photometric.share is {self.share}; it is a share of platforms, from 0 to 1")


@dataclass(frozen=True)
class CameraEffects:
    """What light and a camera do to all images of one platform; each value as in `PhotometricConfig`, or None.

    Attributes:
        angle: radians of the direction in which the camera moves.
    """

    night: float | None = None
    exposure: float | None = None
    white_balance: float | None = None
    tint: float | None = None
    gamma: float | None = None
    saturation: float | None = None
    hue: float | None = None
    grey: float | None = None
    inversion: float | None = None
    blur: float | None = None
    motion: float | None = None
    noise: float | None = None
    jpeg: float | None = None
    angle: float = 0.0

    @classmethod
    def draw(cls, config: PhotometricConfig, generator: np.random.Generator) -> "CameraEffects":
        """Return the effects of one platform in one sample.

        Args:
            config: what may happen.
            generator: of random numbers.
        """
        changed = generator.random() < config.share
        values = {
            entry.name: getattr(config, entry.name).draw(generator) for entry in fields(cls) if entry.name != "angle"
        }
        return cls(**values, angle=float(generator.uniform(0, np.pi))) if changed else cls()

    def apply(self, observation: Observation, generator: np.random.Generator) -> Observation:
        """Return the image that this camera takes in this light.

        Args:
            observation: the image; invalid pixels stay 0.
            generator: of what differs from one image to the next: noise, and where lamps stand.
        """
        if self == CameraEffects():
            return observation
        bands = observation.sensor.bands
        encoded = [number for number, band in enumerate(bands) if band.unit == "uint8"]
        pixels = observation.pixels.astype(np.float32, copy=True)
        if encoded:
            wavelengths = np.array([bands[number].wavelength or GREEN_NM for number in encoded], np.float32)
            image = pixels[encoded] / np.float32(WHITE)
            image = self._apply_effects(image, wavelengths, generator)
            pixels[encoded] = _quantise(image)
        for number, band in enumerate(bands):
            if number not in encoded:
                pixels[number] = self._calibrated(pixels[number], observation.valid[number], band.unit, generator)
        return replace(observation, pixels=pixels * observation.valid)

    def _apply_effects(self, image: np.ndarray, wavelengths: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Apply the effects on encoded colours."""
        for name, effect in ENCODED_EFFECTS.items():
            if getattr(self, name) is not None:
                image = effect(image, self, wavelengths, generator)
        return image

    def _calibrated(
        self, plane: np.ndarray, valid: np.ndarray, unit: str, generator: np.random.Generator
    ) -> np.ndarray:
        """One band, (rows, columns), that has no exposure."""
        plane = self._invert(unit, valid, plane)
        image = plane[None]
        image = image if self.blur is None else _blur(image, self)
        image = image if self.motion is None else _motion(image, self)
        image = self._add_noise(unit, image, generator)
        return np.asarray(image[0])

    def _invert(self, unit: str, valid: np.ndarray, plane: np.ndarray) -> np.ndarray:
        """Invert temperatures about their mean."""
        if unit == "kelvin" and self.inversion is not None and valid.any():
            plane = 2 * plane[valid].mean() - plane
        return plane

    def _add_noise(self, unit: str, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Add the noise of a thermal sensor."""
        if unit == "kelvin" and self.noise is not None:
            deviation = np.float32(self.noise * NOISE_KELVIN_PER_STEP)
            image = image + deviation * generator.standard_normal(image.shape, np.float32)
        return image


Effect = Callable[[np.ndarray, CameraEffects, np.ndarray, np.random.Generator], np.ndarray]
"""From (bands, rows, columns) in [0, 1], the camera, (bands,) nanometres and a generator to the changed image."""


def _set(value: float | None) -> float:
    """A value that is not None: the effect happens."""
    assert value is not None
    return value


def _gains(balance: float, wavelengths: np.ndarray) -> np.ndarray:
    """(bands, 1, 1) float32: the factors of a white balance."""
    away = np.clip((wavelengths - np.float32(GREEN_NM)) / np.float32(BALANCE_SPAN_NM), -1, 1)
    return np.asarray(np.exp(np.float32(balance) * away)[:, None, None], np.float32)


def _night(
    image: np.ndarray, camera: CameraEffects, wavelengths: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Little light everywhere, warm pools of it below lamps, and the noise of an amplifier."""
    rows, columns = image.shape[1:]
    light = np.full((1, rows, columns), _set(camera.night), np.float32)
    warm = _gains(LAMP_COLOUR, wavelengths)
    lamps = np.zeros((1, rows, columns), np.float32)
    for _ in range(int(generator.integers(*LAMPS))):
        row, column, strength = generator.uniform(0, rows), generator.uniform(0, columns), generator.uniform(0.1, 0.6)
        height, width = np.array([rows, columns]) * generator.uniform(0.04, 0.15, 2)
        down = np.exp(-(((np.arange(rows, dtype=np.float32) - row) / height) ** 2))
        across = np.exp(-(((np.arange(columns, dtype=np.float32) - column) / width) ** 2))
        lamps += np.float32(strength) * down[:, None] * across
    grain = generator.standard_normal(image.shape, np.float32)
    return np.asarray(image * (light + lamps * warm) + grain * np.float32(generator.uniform(*NIGHT_NOISE) / WHITE))


def _exposure(image: np.ndarray, camera: CameraEffects, *_: object) -> np.ndarray:
    return np.asarray(np.minimum(image * np.float32(2.0 ** _set(camera.exposure)), 1))


def _white_balance(image: np.ndarray, camera: CameraEffects, wavelengths: np.ndarray, *_: object) -> np.ndarray:
    return np.asarray(np.minimum(image * _gains(_set(camera.white_balance), wavelengths), 1))


def _tint(image: np.ndarray, camera: CameraEffects, wavelengths: np.ndarray, *_: object) -> np.ndarray:
    green = np.clip(1 - np.abs(wavelengths - np.float32(GREEN_NM)) / np.float32(BALANCE_SPAN_NM), 0, 1)
    return np.asarray(np.minimum(image * np.exp(np.float32(_set(camera.tint)) * green)[:, None, None], 1))


def _gamma(image: np.ndarray, camera: CameraEffects, *_: object) -> np.ndarray:
    return np.asarray(np.clip(image, 0, 1) ** np.float32(np.exp(_set(camera.gamma))))


def _desaturated(image: np.ndarray, wavelengths: np.ndarray, factor: float) -> np.ndarray:
    """The image, its visible bands moved towards their mean."""
    seen = (wavelengths >= VISIBLE_NM[0]) & (wavelengths <= VISIBLE_NM[1])
    if seen.sum() < 2:
        return image
    grey = image[seen].mean(0)
    image = image.copy()
    image[seen] = grey + np.float32(factor) * (image[seen] - grey)
    return np.asarray(np.clip(image, 0, 1))


def _saturation(image: np.ndarray, camera: CameraEffects, wavelengths: np.ndarray, *_: object) -> np.ndarray:
    return _desaturated(image, wavelengths, _set(camera.saturation))


def _grey(image: np.ndarray, camera: CameraEffects, wavelengths: np.ndarray, *_: object) -> np.ndarray:
    return _desaturated(image, wavelengths, 0.0)


def _hue(image: np.ndarray, camera: CameraEffects, *_: object) -> np.ndarray:
    """Three bands turned about the axis of grey (Rodrigues); other numbers of bands have no hue."""
    if len(image) != 3:
        return image
    angle, axis = np.radians(_set(camera.hue)), np.full(3, 3**-0.5)
    cross = np.cross(np.eye(3), axis)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    return np.clip(np.tensordot(turn.astype(np.float32), image, 1), 0, 1)


def _inversion(image: np.ndarray, camera: CameraEffects, wavelengths: np.ndarray, *_: object) -> np.ndarray:
    return np.asarray(1 - _desaturated(image, wavelengths, 0.0))


def _blur(image: np.ndarray, camera: CameraEffects, *_: object) -> np.ndarray:
    """A separable Gaussian; beyond the edge the last pixel repeats."""
    deviation = _set(camera.blur)
    radius = max(int(np.ceil(2.5 * deviation)), 1)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    rows, columns = image.shape[1:]
    padded = np.pad(image, ((0, 0), (radius, radius), (0, 0)), "edge")
    down = np.asarray(sum(weight * padded[:, i : i + rows] for i, weight in enumerate(weights)))
    padded = np.pad(down, ((0, 0), (0, 0), (radius, radius)), "edge")
    return np.asarray(sum(weight * padded[:, :, i : i + columns] for i, weight in enumerate(weights)))


def _motion(image: np.ndarray, camera: CameraEffects, *_: object) -> np.ndarray:
    """The mean over whole pixels along a straight path."""
    length = _set(camera.motion)
    along = np.linspace(-length / 2, length / 2, int(np.ceil(length)) + 1)[:, None]
    steps = np.unique(np.rint(along * [np.sin(camera.angle), np.cos(camera.angle)]).astype(int), axis=0)
    radius, (rows, columns) = int(np.abs(steps).max()), image.shape[1:]
    padded = np.pad(image, ((0, 0), (radius, radius), (radius, radius)), "edge")
    shifted = [padded[:, radius + r : radius + r + rows, radius + c : radius + c + columns] for r, c in steps]
    return np.asarray(sum(shifted) / np.float32(len(steps)))


def _noise(
    image: np.ndarray, camera: CameraEffects, wavelengths: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    grain = generator.standard_normal(image.shape, np.float32)
    return np.asarray(image + grain * np.float32(_set(camera.noise) / WHITE))


def _quantise(image: np.ndarray) -> np.ndarray:
    """(bands, rows, columns) uint8."""
    return np.asarray(np.rint(np.clip(image, 0, 1) * np.float32(WHITE)), np.uint8)


def _jpeg(image: np.ndarray, camera: CameraEffects, *_: object) -> np.ndarray:
    """Three bands are coded as one colour image, others each by itself."""
    steps, quality = _quantise(image), round(_set(camera.jpeg))
    if len(steps) == 3:
        coded = _through_jpeg(np.ascontiguousarray(steps.transpose(1, 2, 0)), quality).transpose(2, 0, 1)
    else:
        coded = np.stack([_through_jpeg(plane, quality) for plane in steps])
    return np.asarray(coded / np.float32(WHITE), np.float32)


def _through_jpeg(steps: np.ndarray, quality: int) -> np.ndarray:
    """What is left of an 8-bit image, (rows, columns) or (rows, columns, 3), in a JPEG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(steps).save(file, "JPEG", quality=quality)
    with open_image(file, "an image in memory") as image:
        return np.asarray(image)


ENCODED_EFFECTS: dict[str, Effect] = {
    "night": _night,
    "exposure": _exposure,
    "white_balance": _white_balance,
    "tint": _tint,
    "gamma": _gamma,
    "saturation": _saturation,
    "hue": _hue,
    "grey": _grey,
    "inversion": _inversion,
    "blur": _blur,
    "motion": _motion,
    "noise": _noise,
    "jpeg": _jpeg,
}
"""By the field of `CameraEffects` that sets them, in the order in which they happen."""
