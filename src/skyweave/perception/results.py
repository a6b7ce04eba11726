"""What perception finds: boxes, instances on the map, and trajectories, each with its place, time and certainty.

Everything is in metres in one world frame, whose reference system is ``crs`` (None for a local frame that no Earth is
known for). `skyweave.perception.export` writes results as GeoJSON, GeoParquet, GeoTIFF and nuScenes JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid


@dataclass(frozen=True)
class Detections:
    """Boxes of one moment.

    Attributes:
        boxes: n boxes in the world frame.
        velocities: (n, 2) metres per second east and north; NaN where unknown.
        categories: n class names.
        scores: (n,) how certain, at least 0; the higher the better.
        crs: reference system of the world frame as WKT or ``EPSG:code``.
        time: UTC nanoseconds.
        instances: n identifiers that are constant over time, once a tracker has run.
        attributes: n nuScenes attributes (``vehicle.moving``); "" where there is none.

    Raises:
        ValueError: counts that differ, or scores that are no certainties.
    """

    boxes: Boxes
    velocities: np.ndarray
    categories: tuple[str, ...]
    scores: np.ndarray
    crs: str | None = None
    time: int | None = None
    instances: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _set(self, "velocities", np.asarray(self.velocities, np.float64).reshape(-1, 2))
        _set(self, "scores", np.asarray(self.scores, np.float64).reshape(-1))
        _same_count("boxes", self.boxes, self, ("velocities", "categories", "scores", "instances", "attributes"))
        _check_scores(self.scores, "scores of detections")

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls, crs: str | None = None, time: int | None = None) -> "Detections":
        """Nothing was found."""
        none = np.zeros((0, 3))
        return cls(Boxes(none, none, none[:, 0]), none[:, :2], (), none[:, 0], crs, time)

    def select(self, which: np.ndarray) -> "Detections":
        """Those at these indices, or where a mask is true."""
        return Detections(
            self.boxes.select(which),
            self.velocities[which],
            _chosen(self.categories, which),
            self.scores[which],
            self.crs,
            self.time,
            None if self.instances is None else _chosen(self.instances, which),
            None if self.attributes is None else _chosen(self.attributes, which),
        )


@dataclass(frozen=True)
class InstanceMap:
    """Which cells of the map are an object, and whose, at one moment. A forecast is one map a step.

    Attributes:
        grid: where the cells lie; its ``crs`` is the result's.
        identities: (rows, columns) int32: identifier of the object on a cell, above 0 and constant over the maps of one
            forecast; 0 for none.
        categories: class name by identifier; those that are missing have no class.
        scores: certainty by identifier.
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
        _set(self, "identities", identities.astype(np.int32))
        _check_scores(np.array(list(self.scores.values()), np.float64), "scores of instances")

    @property
    def crs(self) -> str | None:
        """Reference system of the grid."""
        return self.grid.crs

    def present(self) -> list[int]:
        """The identifiers that have cells, in order."""
        return [int(identity) for identity in np.unique(self.identities) if identity]


@dataclass(frozen=True)
class Trajectories:
    """Where objects will be: several futures each, with probabilities.

    Attributes:
        modes: (n, modes, steps, 2) world positions in metres, finite.
        probabilities: (n, modes), at least 0; of one object they sum to 1.
        times: (steps,) seconds from ``time``, above 0 and rising.
        categories: n class names.
        instances: n identifiers.
        crs: reference system of the world frame.
        time: UTC nanoseconds of the moment that is predicted from.

    Raises:
        ValueError: shapes that do not fit together, positions that are not finite, probabilities that are none.
    """

    modes: np.ndarray
    probabilities: np.ndarray
    times: np.ndarray
    categories: tuple[str, ...]
    instances: tuple[str, ...] | None = None
    crs: str | None = None
    time: int | None = None

    def __post_init__(self) -> None:
        for name in ("modes", "probabilities", "times"):
            _set(self, name, np.asarray(getattr(self, name), np.float64))
        shape = self.modes.shape
        if len(shape) != 4 or shape[3] != 2 or not shape[1] or not shape[2]:
            raise ValueError(f"modes have shape {shape}; needed are (n, modes, steps, 2), at least one mode and step")
        if self.probabilities.shape != shape[:2] or self.times.shape != shape[2:3]:
            raise ValueError(
                f"modes of shape {shape} need probabilities {shape[:2]} and times {shape[2:3]}, got "
                f"{self.probabilities.shape} and {self.times.shape}"
            )
        _same_count("modes", self.modes, self, ("categories", "instances"))
        if not np.isfinite(self.modes).all():
            raise ValueError("modes hold NaN or infinity; leave out objects whose future is not predicted")
        _check_scores(self.probabilities, "probabilities of modes")
        if shape[0] and not np.allclose(self.probabilities.sum(1), 1, atol=1e-3):
            raise ValueError(f"probabilities of an object's modes sum to 1, not {self.probabilities.sum(1).max():.4g}")
        if not (np.diff(self.times, prepend=0.0) > 0).all():
            raise ValueError(f"times must be seconds above 0 and rise, are {self.times.tolist()}")

    def __len__(self) -> int:
        return len(self.modes)

    def best(self) -> np.ndarray:
        """(n, steps, 2) the most probable future of each."""
        return np.asarray(self.modes[np.arange(len(self)), self.probabilities.argmax(1)])


def _same_count(of: str, values: Any, result: object, names: Sequence[str]) -> None:
    """Raise where columns of a result are not as long as ``values``."""
    found = {name: len(getattr(result, name)) for name in names if getattr(result, name) is not None}
    wrong = [f"{count} {name}" for name, count in found.items() if count != len(values)]
    if wrong:
        raise ValueError(f"{len(values)} {of}, but {', '.join(wrong)}")


def _check_scores(scores: np.ndarray, what: str) -> None:
    if not (np.isfinite(scores) & (scores >= 0)).all():
        wrong = scores[~(np.isfinite(scores) & (scores >= 0))][0]
        raise ValueError(f"{what} must be finite and at least 0, found {wrong}; take the sigmoid or softmax of logits")


def _chosen(names: tuple[str, ...], which: np.ndarray) -> tuple[str, ...]:
    return tuple(np.array(names, object)[which].tolist())


def _set(result: object, name: str, value: np.ndarray) -> None:
    object.__setattr__(result, name, value)
