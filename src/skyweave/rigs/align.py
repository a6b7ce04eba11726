"""The bands of one capture: calibrated, brought to one band's undistorted image, measured against each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.rigs.band_file import BandFile
from skyweave.rigs.calibrated import CalibratedBand, calibrate_band
from skyweave.rigs.lens import BandLens, band_lens
from skyweave.rigs.panel import Panel
from skyweave.rigs.residual import Shifts, coarse_shift, compose, edges, fit_shifts, measure_shifts
from skyweave.rigs.warp import IDENTITY, Target, resample_band, rig_rotation

REFERENCE_WAVELENGTH = 560.0  # nm; green shares its edges with most bands
SEARCH_SHARES = (0.02, 0.008)  # of the image's longer side, pass after pass
MIN_SEARCH = 4  # pixels
UNCALIBRATED = "no RigRelatives: its camera is taken to look as the others"


@dataclass(frozen=True)
class BandAlignment:
    """How a band was brought to the reference.

    Attributes:
        name: of the band.
        calibrated: whether the file states the angles of its camera.
        before: median distance to the reference by those alone, pixels; NaN where that was not measurable.
        after: the same with the measured correction.
        patches: from how many.
        notes: what is missing.
    """

    name: str
    calibrated: bool
    before: float
    after: float
    patches: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Stack:
    """The aligned bands of one capture.

    Attributes:
        bands: their files, in the order of the wavelengths.
        values: (bands, rows, columns) float32, NaN where invalid.
        units: of each.
        intrinsics: (3, 3) of the undistorted image, pixels.
        reference: name of the band whose image it is.
        alignments: of each band but the reference.
    """

    bands: tuple[BandFile, ...]
    values: np.ndarray
    units: tuple[str, ...]
    intrinsics: np.ndarray
    reference: str
    alignments: tuple[BandAlignment, ...]


def group_captures(bands: Sequence[BandFile]) -> list[list[BandFile]]:
    """Return the bands of each capture, in the order of their names.

    Args:
        bands: of any number of captures.

    Raises:
        DataError: a band twice in one capture.
    """
    captures: dict[str, dict[str, BandFile]] = {}
    for band in bands:
        capture = captures.setdefault(band.capture, {})
        if band.name in capture:
            raise DataError(
                f"{capture[band.name].path.name} and {band.path.name} are both the band {band.name} of one capture; "
                "give each once"
            )
        capture[band.name] = band
    return [sorted(capture.values(), key=_order) for capture in captures.values()]


def _order(band: BandFile) -> tuple[float, str]:
    return band.wavelength or float("inf"), band.name


def choose_reference(bands: Sequence[BandFile], name: str | None) -> BandFile:
    """Return the band whose image the stack is in: by name, else the one nearest to green.

    Args:
        bands: of a capture.
        name: as asked for.

    Raises:
        ConfigError: no such band.
    """
    if name is None:
        return min(_optical(bands) or bands, key=_distance_from_green)
    by_name = {band.name: band for band in bands}
    if name not in by_name:
        raise ConfigError(f"--reference {name}: there is no such band; there are {', '.join(by_name)}")
    return by_name[name]


def _optical(bands: Sequence[BandFile]) -> list[BandFile]:
    return [band for band in bands if not band.is_thermal]


def _distance_from_green(band: BandFile) -> float:
    return abs((band.wavelength or np.inf) - REFERENCE_WAVELENGTH)


def align_capture(
    bands: Sequence[BandFile], panel: Panel | None = None, as_radiance: bool = False, reference: str | None = None
) -> Stack:
    """Calibrate and align the bands of one capture.

    Args:
        bands: of the capture.
        panel: as of `calibrate_band`.
        as_radiance: as of `calibrate_band`.
        reference: name of the band whose image the stack is in; None: the one nearest to green.

    Raises:
        DataError: what the formulas need is not stated.
        ConfigError: no such reference.
    """
    first = choose_reference(bands, reference)
    rotations = {band.name: rig_rotation(band) for band in bands}
    calibrated = all(rotation is not None for rotation in rotations.values())
    lens = band_lens(first)
    target = Target(lens.intrinsics, _shape(first), _rotation(rotations[first.name], calibrated))
    fixed = calibrate_band(first, panel, as_radiance)
    images = {first.name: resample_band(fixed.values, lens, target.rotation, target)}
    units, alignments, base = {first.name: fixed.unit}, [], edges(images[first.name])
    for band in bands:
        if band is not first:
            values = calibrate_band(band, panel, as_radiance)
            rotation = _rotation(rotations[band.name], calibrated)
            image, alignment = _align_band(band, values, band_lens(band), rotation, target, base, calibrated)
            images[band.name], units[band.name] = image, values.unit
            alignments.append(alignment)
    stacked = np.stack([images[band.name] for band in bands])
    in_order = tuple(units[band.name] for band in bands)
    return Stack(tuple(bands), stacked, in_order, target.intrinsics, first.name, tuple(alignments))


def _shape(band: BandFile) -> tuple[int, int]:
    rows, columns = band.stored.shape
    return rows, columns


def _rotation(stated: np.ndarray | None, calibrated: bool) -> np.ndarray:
    """A camera's rotation; none where a camera of the rig states none: all count as looking one way."""
    return stated if stated is not None and calibrated else np.eye(3)


def _align_band(
    band: BandFile,
    values: CalibratedBand,
    lens: BandLens,
    rotation: np.ndarray,
    target: Target,
    base: np.ndarray,
    calibrated: bool,
) -> tuple[np.ndarray, BandAlignment]:
    """A band on the target, and how it got there; the measured correction counts where it brings bands closer."""
    image = resample_band(values.values, lens, rotation, target)
    radii = [max(round(share * max(target.shape)), MIN_SEARCH) for share in SEARCH_SHARES]
    warp = partial(resample_band, values.values, lens, rotation, target)
    offset = np.zeros(2) if calibrated else coarse_shift(base, edges(image))
    before, first, moved, last = _correct(base, warp, _translation(offset), radii)
    # without calibration the coarse shift itself is measured
    kept, shifts = (before, first) if calibrated and last.median >= first.median else (moved, last)
    notes = values.notes if calibrated else (*values.notes, UNCALIBRATED)
    alignment = BandAlignment(band.name, calibrated, first.median, shifts.median, len(shifts.offsets), notes)
    return kept, alignment


def _correct(
    base: np.ndarray, warp: Callable[[np.ndarray], np.ndarray], correction: np.ndarray, radii: Sequence[int]
) -> tuple[np.ndarray, Shifts, np.ndarray, Shifts]:
    """A band by a first correction and by those that are measured after it, each with what is left."""
    before = moved = warp(correction)
    first = last = measure_shifts(base, edges(before), radii[0])
    for radius in radii:
        fit = fit_shifts(last)
        if fit is None:
            break
        correction = compose(correction, fit)
        moved = warp(correction)
        last = measure_shifts(base, edges(moved), radius)
    return before, first, moved, last


def _translation(offset: np.ndarray) -> np.ndarray:
    moved: np.ndarray = IDENTITY + np.concatenate([np.zeros((2, 2)), offset[:, None]], 1)
    return moved
