"""Detected boxes of one frame."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.perception.results.checks import check_lengths, check_scores, select_names, set_array
from skyweave.perception.results.vector import GeometryType, VectorFeature, finite_or_none

COLUMNS = ("velocities", "categories", "scores", "instances", "attributes", "covariances")


@dataclass(frozen=True)
class Detections:
    """Boxes of one frame.

    Attributes:
        boxes: n boxes in the world frame.
        velocities: (n, 2) metres per second east and north; NaN where unknown.
        categories: n class names.
        scores: (n,) confidences, at least 0; the higher the better.
        crs: reference system of the world frame as WKT or ``EPSG:code``.
        time: UTC nanoseconds.
        instances: n identifiers that are constant over time, once a tracker has run.
        attributes: n nuScenes attributes (``vehicle.moving``); "" where there is none.
        covariances: (n, 2, 2) of the centres east and north, square metres; NaN where one is not known.

    Raises:
        ValueError: counts that differ, or scores that are negative or not finite.
    """

    boxes: Boxes
    velocities: np.ndarray
    categories: tuple[str, ...]
    scores: np.ndarray
    crs: str | None = None
    time: int | None = None
    instances: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None
    covariances: np.ndarray | None = None

    def __post_init__(self) -> None:
        set_array(self, "velocities", np.asarray(self.velocities, np.float64).reshape(-1, 2))
        set_array(self, "scores", np.asarray(self.scores, np.float64).reshape(-1))
        check_lengths("boxes", self.boxes, self, COLUMNS)
        check_scores(self.scores, "scores of detections")

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls, crs: str | None = None, time: int | None = None) -> "Detections":
        """Return no boxes.

        Args:
            crs: reference system of the world frame.
            time: UTC nanoseconds.
        """
        none = np.zeros((0, 3))
        return cls(Boxes(none, none, none[:, 0]), none[:, :2], (), none[:, 0], crs, time)

    def select(self, selection: np.ndarray) -> "Detections":
        """Return some of the boxes.

        Args:
            selection: (m,) indices, or (n,) bool.
        """
        return Detections(
            self.boxes.select(selection),
            self.velocities[selection],
            select_names(self.categories, selection),
            self.scores[selection],
            self.crs,
            self.time,
            None if self.instances is None else select_names(self.instances, selection),
            None if self.attributes is None else select_names(self.attributes, selection),
            None if self.covariances is None else self.covariances[selection],
        )

    def features(self) -> list[VectorFeature]:
        """Return the footprint of each box as a polygon."""
        footprints = self.boxes.footprints()
        rings = np.concatenate([footprints, footprints[:, :1]], 1)
        columns = {
            "category": list(self.categories),
            "score": self.scores.tolist(),
            "instance": list(self.instances or [None] * len(self)),
            "time": [self.time] * len(self),
            **dict(zip(("x", "y", "z"), self.boxes.centres.T.tolist(), strict=True)),
            **dict(zip(("length", "width", "height"), self.boxes.sizes.T.tolist(), strict=True)),
            "yaw": self.boxes.yaws.tolist(),
            **dict(zip(("velocity_east", "velocity_north"), self.velocities.T.tolist(), strict=True)),
            **self._covariance_columns(),
        }
        return [
            VectorFeature(
                GeometryType.POLYGON, [[ring]], {name: finite_or_none(values[i]) for name, values in columns.items()}
            )
            for i, ring in enumerate(rings)
        ]

    def _covariance_columns(self) -> dict[str, list[float]]:
        """Return the covariances by the names of their columns; none where nothing is known of them."""
        if self.covariances is None:
            return {}
        values = self.covariances.reshape(-1, 4)[:, [0, 1, 3]].T.tolist()
        return dict(zip(("variance_east", "covariance_east_north", "variance_north"), values, strict=True))
