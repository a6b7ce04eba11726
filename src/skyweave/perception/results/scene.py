"""All results of one map."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skyweave.perception.results.cover_map import CoverMap
from skyweave.perception.results.detections import Detections
from skyweave.perception.results.instance_map import InstanceMap
from skyweave.perception.results.trajectory_set import Trajectories
from skyweave.perception.results.vector import Result

DETECTION, INSTANCES, TRAJECTORIES, LAND_COVER = "detection", "instances", "trajectories", "land_cover"
"""Names of the built-in heads, under which their results are kept."""


@dataclass(frozen=True)
class ScenePrediction:
    """The results of one map, by the head that decoded them.

    Attributes:
        results: result by the name of its head; what a model has no head for is missing.
        novelty: how unlike its training images those of the ego are that the model read: above 1 it knows nothing like
            them, and its results mean little; None where that is not known.
    """

    results: Mapping[str, Any] = field(default_factory=dict)
    novelty: float | None = None

    @property
    def detections(self) -> Detections | None:
        """Boxes now, best score first; None without a detection head."""
        return self.results.get(DETECTION)

    @property
    def instances(self) -> list[InstanceMap] | None:
        """One map a step, the present first, identities constant over them; None without an instance head."""
        return self.results.get(INSTANCES)

    @property
    def trajectories(self) -> Trajectories | None:
        """Futures of the first detections, in their order; None without a trajectory head."""
        return self.results.get(TRAJECTORIES)

    @property
    def land_cover(self) -> CoverMap | None:
        """What covers the ground now; None without a land-cover head."""
        return self.results.get(LAND_COVER)

    def with_results(self, results: Mapping[str, Any]) -> "ScenePrediction":
        """Return a copy with some results replaced.

        Args:
            results: result by the name of its head; None takes one out.
        """
        merged = {**self.results, **results}
        kept = {name: result for name, result in merged.items() if result is not None}
        return ScenePrediction(kept, self.novelty)

    def exportable(self) -> list[Result]:
        """Return all results for `skyweave.perception.export`, one entry a map of those that are several."""
        parts = [result if isinstance(result, list) else [result] for result in self.results.values()]
        return [result for part in parts for result in part]
