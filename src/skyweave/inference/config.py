"""How a model is taken over a scene."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from skyweave.core.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]
FLIP_AXES: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-1, -2))
"""Axes to flip, of the four mirror images."""
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")  # of processors that multiply in it


@dataclass(frozen=True)
class InferenceConfig:
    """How a scene is cut, which part of it counts, and how it is computed.

    Attributes:
        tile: pixels per window side, rounded down to whole pixels of the result; None: what suits the model.
        overlap: pixels that neighbouring windows share; None: an eighth of the window.
        window: (row, column, rows, columns) of the part of the scene that is wanted, in pixels; None: all of it.
        bounds: (west, south, east, north) of the part that is wanted, in the scene's reference system.
        area: GeoJSON file of polygons in longitude and latitude; what lies outside them is no data.
        resampling: of scenes on another grid than the first one's, see `skyweave.data.regridded.RESAMPLINGS`.
        precision: of the model's arithmetic; ``auto``: bfloat16 where the processor multiplies in it, else float32.
        batch: windows that go through the model at once.
        workers: batches that are computed at once; None: one a core, and one on other devices.

    Raises:
        ConfigError: a number that is not possible.
    """

    tile: int | None = None
    overlap: int | None = None
    window: tuple[int, int, int, int] | None = None
    bounds: tuple[float, float, float, float] | None = None
    area: Path | None = None
    resampling: str = "bilinear"
    precision: Precision = "auto"
    batch: int = 16
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision {self.precision!r}: choose one of {', '.join(get_args(Precision))}")
        for name in ("batch", "workers", "tile"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; use 1 or more")
        if self.window is not None and self.bounds is not None:
            raise ConfigError("a window and bounds are two ways to say one part of the scene; give one of them")

    def resolved_precision(self, device: str) -> str:
        """Return the precision on a device, ``float32`` or ``bfloat16``.

        Args:
            device: type of the device, such as ``cpu``.
        """
        if self.precision != "auto":
            return self.precision
        return "bfloat16" if device == "cuda" or (device == "cpu" and _multiplies_bfloat16()) else "float32"

    def resolved_workers(self, device: str) -> int:
        """Return how many batches are computed at once on a device.

        Args:
            device: type of the device.
        """
        return self.workers or (count_cores() if device == "cpu" else 1)


def count_cores() -> int:
    """Return the cores that this process may use."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0))
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores


def _multiplies_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16, as Linux lists them."""
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return not set(BFLOAT16_FLAGS).isdisjoint(words)
