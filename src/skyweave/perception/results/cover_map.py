"""Land cover of the map at one time."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.results.checks import check_scores, set_array
from skyweave.perception.results.outlines import signed_area, trace_outlines
from skyweave.perception.results.vector import GeometryType, VectorFeature


@dataclass(frozen=True)
class CoverMap:
    """Which class each cell of the map is of.

    Attributes:
        grid: where the cells lie; its ``crs`` is the result's.
        classes: (rows, columns) uint8 index into ``names``.
        names: of the classes.
        confidence: (rows, columns) probability of the class.
        time: UTC nanoseconds.

    Raises:
        ValueError: another shape than the grid's, or an index without a name.
    """

    grid: MapGrid
    classes: np.ndarray
    names: tuple[str, ...]
    confidence: np.ndarray
    time: int | None = None

    def __post_init__(self) -> None:
        classes, confidence = np.asarray(self.classes), np.asarray(self.confidence, np.float32)
        if not classes.shape == confidence.shape == self.grid.shape:
            raise ValueError(
                f"classes have shape {classes.shape}, confidences {confidence.shape}, but their grid has "
                f"{self.grid.shape} cells"
            )
        if not np.issubdtype(classes.dtype, np.integer) or classes.min() < 0 or classes.max() >= len(self.names):
            raise ValueError(
                f"classes must be whole numbers from 0 to {len(self.names) - 1}, are {classes.dtype} from "
                f"{classes.min()} to {classes.max()}"
            )
        set_array(self, "classes", classes.astype(np.uint8))
        set_array(self, "confidence", confidence)
        check_scores(confidence.ravel(), "confidences of cells")

    @property
    def crs(self) -> str | None:
        """Reference system of the grid."""
        return self.grid.crs

    def features(self) -> list[VectorFeature]:
        """Return the outline of every connected area of one class.

        Raises:
            MissingExtraError: rasterio is not installed.
        """
        return [
            VectorFeature(
                GeometryType.POLYGON,
                [rings],
                {
                    "category": self.names[value - 1],
                    "area": sum(signed_area(ring) for ring in rings),
                    "time": self.time,
                },
            )
            for value, rings in trace_outlines(self.classes.astype(np.int32) + 1, self.grid)
        ]
