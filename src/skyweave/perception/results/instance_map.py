"""Instance segmentation of the map at one time."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.results.checks import check_scores, set_array
from skyweave.perception.results.outlines import trace_outlines
from skyweave.perception.results.vector import GeometryType, Rings, VectorFeature


@dataclass(frozen=True)
class InstanceMap:
    """Which cells of the map belong to which object at one time. A forecast is one map a step.

    Attributes:
        grid: where the cells lie; its ``crs`` is the result's.
        identities: (rows, columns) int32: identifier of the object on a cell, above 0 and constant over the maps of one
            forecast; 0 for none.
        categories: class name by identifier; those that are missing have no class.
        scores: confidence by identifier.
        time: UTC nanoseconds.

    Raises:
        ValueError: another shape than the grid's, or identifiers below 0.
    """

    grid: MapGrid
    identities: np.ndarray
    categories: dict[int, str]
    scores: dict[int, float]
    time: int | None = None

    def __post_init__(self) -> None:
        identities = np.asarray(self.identities)
        if identities.shape != self.grid.shape:
            raise ValueError(f"identities have shape {identities.shape}, but their grid has {self.grid.shape} cells")
        if not np.issubdtype(identities.dtype, np.integer) or identities.min() < 0 or identities.max() >= 2**31:
            raise ValueError(
                f"identities must be whole numbers from 0 to 2^31 - 1, are {identities.dtype} from "
                f"{identities.min()} to {identities.max()}"
            )
        set_array(self, "identities", identities.astype(np.int32))
        check_scores(np.array(list(self.scores.values()), np.float64), "scores of instances")

    @property
    def crs(self) -> str | None:
        """Reference system of the grid."""
        return self.grid.crs

    def instance_ids(self) -> list[int]:
        """Return the identifiers that have cells, in rising order."""
        return [int(identity) for identity in np.unique(self.identities) if identity]

    def features(self) -> list[VectorFeature]:
        """Return the outline of each instance's cells as a polygon or multipolygon.

        Raises:
            MissingExtraError: rasterio is not installed.
        """
        cell_area = self.grid.resolution**2
        return [
            VectorFeature(
                GeometryType.POLYGON if len(polygons) == 1 else GeometryType.MULTI_POLYGON,
                polygons,
                {
                    "instance": str(identity),
                    "category": self.categories.get(identity),
                    "score": self.scores.get(identity),
                    "area": float(np.count_nonzero(self.identities == identity) * cell_area),
                    "time": self.time,
                },
            )
            for identity, polygons in sorted(self._outlines().items())
        ]

    def _outlines(self) -> dict[int, list[Rings]]:
        """Polygons by identifier."""
        polygons: dict[int, list[Rings]] = {}
        for identity, rings in trace_outlines(self.identities, self.grid):
            polygons.setdefault(identity, []).append(rings)
        return polygons
