"""An exported model as a model of windows: features of patches, or what a task predicts of pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.exported.model_file import ExportedFile
from skyweave.inference.raster_output import RasterOutput


@dataclass(frozen=True)
class ExportedWindowModel:
    """Windows of pixels to an output of an exported model.

    Attributes:
        file: that is run.
        output: what is stored.
    """

    file: ExportedFile
    output: RasterOutput

    @property
    def channels(self) -> int:
        """Return the number of values of a cell."""
        return self.file.channels

    @property
    def cell(self) -> int:
        """Return the pixels per side of a cell of a map: a patch of features, else a pixel."""
        return {"features": self.file.patch_size}.get(self.file.blended, 1)

    def __call__(self, windows: Sequence[tuple[Observation, ...]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the output of windows of one size, and where it counts; see `WindowModel`.

        Args:
            windows: the observations of each: one, two dates, or one of each sensor.
        """
        pixels = [self._stack(images) for images in zip(*windows, strict=True)]
        values = self.file.run([self.file.blended], pixels)[0]
        valid = np.stack(list(map(self._find_valid, windows)))
        sides = values.shape[-2:] if self.file.is_dense else (1, 1)
        values = values.reshape(len(windows), self.channels, *sides)[..., : valid.shape[1], : valid.shape[2]]
        if not np.isfinite(values[np.broadcast_to(valid[:, None], values.shape)]).all():
            raise DataError(f"the model gives values that are not finite for valid pixels of {windows[0][0].source}")
        return list(zip(values, valid, strict=True))

    def finish(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return blended values as they are stored; see `WindowModel`.

        Args:
            values: (channels, rows, columns) float32.
            valid: (rows, columns) bool.
        """
        return self.output.finish(values, valid)

    def _stack(self, images: Sequence[Observation]) -> np.ndarray:
        """Return (batch, bands, rows, columns) in whole patches, NaN where there is no measurement."""
        rows, columns = (self._whole(side) for side in images[0].shape)
        stacked = np.full((len(images), len(images[0].sensor), rows, columns), np.nan, np.float32)
        for place, image in zip(stacked, images, strict=True):
            place[:, : image.shape[0], : image.shape[1]] = np.where(image.valid, image.pixels, np.nan)
        if not self.file.nodata and np.isnan(stacked).any():
            raise DataError(
                f"{images[0].source} has pixels without data, or a side that is no multiple of {self.file.patch_size}, "
                f"and {self.file.path} takes none: export the model again with --nodata"
            )
        return stacked

    def _whole(self, side: int) -> int:
        patch = self.file.patch_size
        return self.file.size or math.ceil(side / patch) * patch

    def _find_valid(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return the cells of a window that count: valid at every date, or seen by any of several sensors."""
        seen = np.stack([observation.valid.any(axis=0) for observation in observations])
        needed = len(observations) if "pixels_before" in self.file.inputs else 1
        valid = np.asarray(np.count_nonzero(seen, axis=0) >= needed)
        if not self.file.is_dense:
            return np.array([[bool(valid.any())]])
        cell = self.cell
        padded = np.zeros([math.ceil(side / cell) * cell for side in valid.shape], bool)
        padded[: valid.shape[0], : valid.shape[1]] = valid
        rows, columns = padded.shape
        return np.asarray(padded.reshape(rows // cell, cell, columns // cell, cell).any(axis=(1, 3)))
