"""Scores a fleet's scenes, beside the offline evaluation of the same frames and each platform alone.

For fleets that played a recording whose ground truth is known, and whose nodes wrote their scenes to files (the sink
``file``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.boxes import Boxes
from skyweave.fleet.link.clocks import NS_PER_S
from skyweave.fleet.perceivers.base import Perceiver, WorldFrame
from skyweave.fleet.perceivers.offline import perceive_ego_and_fused
from skyweave.fleet.sinks.publisher import MIN_PUBLISHED_SCORE
from skyweave.fleet.sources.base import platform_captures
from skyweave.perception.metrics import evaluate_detection, visible_objects
from skyweave.perception.results import Detections
from skyweave.perception.results.scene import ScenePrediction
from skyweave.recordings.recording import Frame, RecordedScene

SIMULTANEOUS_SHARE = 0.2  # of the interval by which captures of one frame may lie apart


@dataclass(frozen=True)
class FleetScore:
    """Mean average precision (nuScenes' definition) against everything that any platform sees, and how it came about.

    Attributes:
        scenes: that were scored.
        expected: scenes that there would be, had every platform fused one for each frame.
        live: mean average precision of the scenes that the fleet fused.
        offline: of the same frames with every message delivered at once.
        ego_only: of what each platform detected alone; NaN for perceivers that do not say.
        complete_peers: peers' frames of the same time, with nothing missing, that were fused into a scene, on average.
        latencies: seconds from capture to scene, ascending.
        longest_gap: seconds between the captures of two scenes of one platform at most.
    """

    scenes: int
    expected: int
    live: float
    offline: float
    ego_only: float
    complete_peers: float
    latencies: tuple[float, ...]
    longest_gap: float

    def latency(self, share: float) -> float:
        """Return the seconds within which a share of the scenes was ready; NaN of none.

        Args:
            share: 0 to 1.
        """
        return float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


@dataclass
class _Collected:
    """What is scored, an entry for each scene."""

    truth: list[Any] = field(default_factory=list)
    live: list[Detections] = field(default_factory=list)
    offline: list[Detections] = field(default_factory=list)
    ego_only: list[Detections] = field(default_factory=list)
    complete_peers: list[int] = field(default_factory=list)


def score_fleet(
    scene: RecordedScene,
    contents: Sequence[Mapping[str, Any]],
    perceivers: Mapping[str, Perceiver[Any]],
    interval: float,
    budget_bytes: int,
    mtu: int = 1200,
) -> FleetScore:
    """Score what a fleet fused of a recorded scene that it played over and over.

    Args:
        scene: with ground truth.
        contents: fused scenes of all platforms, as the sink ``file`` writes them.
        perceivers: such as the nodes had, new, by platform; for the offline evaluation.
        interval: seconds between frames as played.
        budget_bytes: of a frame, without envelopes.
        mtu: bytes of its largest chunk.

    Raises:
        FleetError: no scenes, or no ground truth.
    """
    if not contents:
        raise FleetError("the fleet saved no scenes; give its nodes a sink {kind: file, path: ...}")
    world_frame, names = WorldFrame(scene.crs, scene.ground), sorted(perceivers)
    by_tick = _group_by_tick(contents, interval)
    collected = _Collected()
    ticks = range(min(by_tick), max(by_tick) + 1)
    for tick in ticks:  # all of them, also where no scene is: perceivers remember the frame before
        frame = scene.frames[tick % len(scene.frames)]
        if frame.annotations is None:
            raise FleetError(f"scene {scene.name} has no ground truth to score against")
        captured = _captures_by_platform(frame, names, tick * round(interval * NS_PER_S) - frame.time)
        results = perceive_ego_and_fused(perceivers, captured, world_frame, budget_bytes, mtu)
        for name, content in by_tick.get(tick, {}).items():
            _collect(results, name, collected, frame, content, perceivers, interval)
    return _evaluate(collected, contents, len(ticks) * len(names))


def _collect(
    results: dict[str, tuple[Any, ScenePrediction]],
    name: str,
    collected: _Collected,
    frame: Frame,
    content: Mapping[str, Any],
    perceivers: Mapping[str, Perceiver[Any]],
    interval: float,
) -> None:
    """Collect the results of one platform at one tick."""
    observation, fused = results[name]
    collected.truth.append(frame.annotations)
    collected.live.append(detections_from_content(content))
    collected.offline.append(_published(fused.detections))
    collected.ego_only.append(_published(perceivers[name].ego_detections(observation)))
    collected.complete_peers.append(_count_complete_peers(content, interval))


def _group_by_tick(contents: Sequence[Mapping[str, Any]], interval: float) -> dict[int, dict[str, Mapping[str, Any]]]:
    """Group scenes by tick and platform."""
    by_tick: dict[int, dict[str, Mapping[str, Any]]] = {}
    for content in contents:
        by_tick.setdefault(round(content["time"] / interval), {})[content["platform"]] = content
    return by_tick


def detections_from_content(content: Mapping[str, Any]) -> Detections:
    """Return the boxes of a fused scene.

    Args:
        content: as published, plain JSON types.
    """
    boxes, time = content["boxes"], round(content["time"] * NS_PER_S)
    if not boxes:
        return Detections.empty(content["crs"], time)
    return Detections(
        _boxes_of(boxes),
        np.array([box["velocity"] for box in boxes]),
        tuple(box["category"] for box in boxes),
        np.array([box["score"] for box in boxes]),
        content["crs"],
        time,
    )


def _boxes_of(boxes: Any) -> Boxes:
    """Return the boxes of a published scene."""
    return Boxes(*(np.array([box[part] for box in boxes]) for part in ("centre", "size", "yaw")))


def _evaluate(collected: _Collected, contents: Sequence[Mapping[str, Any]], expected: int) -> FleetScore:
    counted = [visible_objects(objects) for objects in collected.truth]

    def mean_ap(detections: list[Detections]) -> float:
        return evaluate_detection(collected.truth, detections, counted=counted).mean_ap

    return FleetScore(
        scenes=len(collected.live),
        expected=expected,
        live=mean_ap(collected.live),
        offline=mean_ap(collected.offline),
        ego_only=mean_ap(collected.ego_only),
        complete_peers=float(np.mean(collected.complete_peers)),
        latencies=tuple(sorted(content["latency"] for content in contents)),
        longest_gap=_longest_gap(contents),
    )


def _captures_by_platform(frame: Frame, names: Sequence[str], shift: int) -> dict[str, Frame]:
    captured = {name: platform_captures(frame, name, shift) for name in names}
    return {name: part for name, part in captured.items() if part is not None}


def _count_complete_peers(content: Mapping[str, Any], interval: float) -> int:
    tolerance = SIMULTANEOUS_SHARE * interval
    frames = content["peer_frames"].values()
    return sum(frame["complete"] and abs(frame["time_offset"]) < tolerance for frame in frames)


def _published(detections: Detections | None) -> Detections:
    """Return what would be published of detections."""
    if detections is None:
        return Detections.empty(None, 0)
    return detections.select(np.flatnonzero(detections.scores >= MIN_PUBLISHED_SCORE))


def _longest_gap(contents: Sequence[Mapping[str, Any]]) -> float:
    times: dict[str, list[float]] = {}
    for content in contents:
        times.setdefault(content["platform"], []).append(content["time"])
    gaps = (float(np.diff(sorted(captures)).max()) for captures in times.values() if len(captures) > 1)
    return max(gaps, default=0.0)
