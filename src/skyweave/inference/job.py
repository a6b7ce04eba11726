"""What is computed over a scene: from which source, by which model, in which windows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.observation import Observation
from skyweave.inference.config import InferenceConfig
from skyweave.inference.raster import RasterDescription
from skyweave.inference.windows import WINDOWS_PER_GROUP, Window, WindowPlan

Observations = tuple[Observation, ...]
"""Of one window: one observation, two dates, or one of each sensor."""
WindowValues = tuple[np.ndarray, np.ndarray]
"""Values (channels, rows, columns) float32 of the cells of a window, and which are valid (rows, columns) bool."""
MAX_OPEN_BYTES = 192 << 20
"""Of the sums that are open at a time; wider maps are computed in several parts."""


OVERLAP_SHARE = 8
"""Windows share an eighth of their side with each neighbour where nothing else is asked for."""


class WindowSource(Protocol):
    """Where the pixels of windows come from."""

    def read(self, windows: Sequence[Window]) -> list[Observations]:
        """Read the pixels of some cells, without those beyond the scene, in threads of the engine's.

        Args:
            windows: in cells of the result, near each other.

        Raises:
            DataError: a file is damaged, see `is_unreadable`, or contradicts what is declared.
            FileNotFoundError: a file is gone.
        """
        ...

    def mask(self, window: Window) -> np.ndarray | None:
        """Return which cells are wanted, (rows, columns) bool; None: all.

        Args:
            window: in cells of the result.
        """
        ...


class WindowModel(Protocol):
    """What turns windows into values."""

    @property
    def channels(self) -> int:
        """Return the number of values of a cell."""
        ...

    def __call__(self, windows: Sequence[Observations]) -> list[WindowValues]:
        """Return the values of windows of one size.

        Args:
            windows: pixels of each.
        """
        ...

    def finish(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return blended values as they are stored: (bands, rows, columns), nodata where not valid.

        Args:
            values: (channels, rows, columns) float32.
            valid: (rows, columns) bool.
        """
        ...


def plan_windows(shape: tuple[int, int], cell: int, tile: int, config: InferenceConfig, channels: int) -> WindowPlan:
    """Cut a map into windows.

    Args:
        shape: (rows, columns) of the map, in cells.
        cell: pixels per cell side.
        tile: pixels per window side where the configuration says nothing.
        config: tile and overlap.
        channels: values of a cell while it is computed.

    Raises:
        ConfigError: a window smaller than a cell, or an overlap that is not smaller than the window.
    """
    if config.tile is not None and config.tile < cell:
        raise ConfigError(
            f"a tile of {config.tile} pixels is smaller than a patch of {cell}; choose --tile {cell} or more"
        )
    size = (config.tile or tile) // cell
    overlap = size // OVERLAP_SHARE if config.overlap is None else config.overlap // cell
    open_rows = WINDOWS_PER_GROUP * (size - overlap) + overlap
    max_columns = max(MAX_OPEN_BYTES // (4 * channels * open_rows), WINDOWS_PER_GROUP * size)
    return WindowPlan(*shape, size, overlap, max_columns)


@dataclass(frozen=True)
class InferenceJob:
    """What is computed.

    Attributes:
        description: of the raster.
        plan: of the windows.
        source: of the pixels.
        model: from pixels to values.
        inputs: all else that the values depend on, as JSON types: files with their sizes and times, and the version of
            what computes, say.
        device: type of the device that the model runs on.
        config: batches and workers.
    """

    description: RasterDescription
    plan: WindowPlan
    source: WindowSource
    model: WindowModel
    inputs: Mapping[str, Any]
    device: str
    config: InferenceConfig

    @property
    def key(self) -> str:
        """Return a hash of all that the values depend on, to the last bit."""
        content = [asdict(self.description), asdict(self.plan), dict(self.inputs)]
        arithmetic = [self.device, self.config.batch]
        return hashlib.sha256(json.dumps([content, arithmetic], sort_keys=True, default=str).encode()).hexdigest()
