"""How good a fleet's pictures were, beside the offline evaluation of the same moments and each platform alone.

For fleets that played a recording whose truth is known, and whose nodes saved their pictures (``save`` in node.yaml).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.boxes import Boxes
from skyweave.fleet.perceivers.base import Perceiver, WorldFrame
from skyweave.fleet.perceivers.offline import perceive_ego_and_fused
from skyweave.fleet.sinks.publish import MIN_PUBLISHED_SCORE
from skyweave.fleet.sources.base import platform_captures
from skyweave.perception.metrics import evaluate_detection, visible_objects
from skyweave.perception.results import Detections
from skyweave.recordings.recording import RecordedScene

SAME = 0.2  # share of the interval by which captures of one moment may lie apart


@dataclass(frozen=True)
class FleetScore:
    """Mean average precision (nuScenes' definition) against everything that any platform sees, and how it came.

    Attributes:
        pictures: that were scored. expected: that there would be, had every platform made one of each moment.
        live: of the pictures that the fleet made. offline: of the same moments with everything told at once.
        own: of what each platform found alone; NaN for perceivers that do not say.
        whole: frames of others of the same moment, with nothing missing, that went into a picture, on average.
        latencies: seconds from capture to picture, ascending.
        longest: seconds between the captures of two pictures of one platform at most.
    """

    pictures: int
    expected: int
    live: float
    offline: float
    own: float
    whole: float
    latencies: tuple[float, ...]
    longest: float

    def latency(self, share: float) -> float:
        """Seconds within which that share of the pictures was ready; NaN of none."""
        return float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


def score_fleet(
    scene: RecordedScene,
    pictures: Sequence[Mapping[str, Any]],
    perceivers: Mapping[str, Perceiver[Any]],
    interval: float,
    budget_bytes: int,
    mtu: int = 1200,
) -> FleetScore:
    """Score what a fleet made of a scene that it played over and over.

    Args:
        scene: with truth.
        pictures: content of form ``picture``, of all platforms.
        perceivers: such as the nodes had, new, by platform; for the offline evaluation.
        interval: seconds between frames as played.
        budget_bytes: of a frame, without envelopes. mtu: of its chunks.

    Raises:
        ValueError: no pictures, or a scene without truth.
    """
    if not pictures:
        raise FleetError("the fleet saved no pictures; give its nodes a `save`")
    place, names = WorldFrame(scene.crs, scene.ground), sorted(perceivers)
    moments: dict[int, dict[str, Mapping[str, Any]]] = {}
    for content in pictures:
        moments.setdefault(round(content["time"] / interval), {})[content["platform"]] = content
    truth, live, offline, own, whole = [], [], [], [], []
    ticks = range(min(moments), max(moments) + 1)
    for tick in ticks:  # all of them, also where no picture is: perceivers remember the moment before
        frame = scene.frames[tick % len(scene.frames)]
        if frame.annotations is None:
            raise FleetError(f"scene {scene.name} has no truth to score against")
        shift = tick * round(interval * 1e9) - frame.time
        captured = {name: moment for name in names if (moment := platform_captures(frame, name, shift)) is not None}
        found = perceive_ego_and_fused(perceivers, captured, place, budget_bytes, mtu)
        for name, content in moments.get(tick, {}).items():
            observed, together = found[name]
            truth.append(frame.annotations)
            live.append(read_detections(content))
            offline.append(_shown(together.detections))
            own.append(_shown(perceivers[name].ego_detections(observed)))
            sources = content["sources"].values()
            whole.append(sum(one["complete"] and abs(one["apart"]) < SAME * interval for one in sources))
    counted = [visible_objects(one) for one in truth]
    return FleetScore(
        pictures=len(live),
        expected=len(ticks) * len(names),
        live=evaluate_detection(truth, live, counted=counted).mean_ap,
        offline=evaluate_detection(truth, offline, counted=counted).mean_ap,
        own=evaluate_detection(truth, own, counted=counted).mean_ap,
        whole=float(np.mean(whole)),
        latencies=tuple(sorted(content["latency"] for content in pictures)),
        longest=_longest(pictures),
    )


def read_saved_scenes(path: str | Path, begin: float = 0.0, end: float = float("inf")) -> list[dict[str, Any]]:
    """The pictures that a node saved, captured between two times (UTC seconds). A line that is cut off is left out."""
    if not Path(path).exists():
        return []
    found = []
    for line in Path(path).read_text("utf-8").splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if begin <= content["time"] <= end:
            found.append(content)
    return found


def read_detections(content: Mapping[str, Any]) -> Detections:
    """The boxes of a picture."""
    boxes, time = content["boxes"], round(content["time"] * 1e9)
    if not boxes:
        return Detections.empty(content["crs"], time)
    return Detections(
        Boxes(*(np.array([box[part] for box in boxes]) for part in ("centre", "size", "yaw"))),
        np.array([box["velocity"] for box in boxes]),
        tuple(box["category"] for box in boxes),
        np.array([box["score"] for box in boxes]),
        content["crs"],
        time,
    )


def _shown(found: Detections | None) -> Detections:
    """What would be published of it."""
    if found is None:
        return Detections.empty(None, 0)
    return found.select(np.flatnonzero(found.scores >= MIN_PUBLISHED_SCORE))


def _longest(pictures: Sequence[Mapping[str, Any]]) -> float:
    times: dict[str, list[float]] = {}
    for content in pictures:
        times.setdefault(content["platform"], []).append(content["time"])
    return max((float(np.diff(sorted(one)).max()) for one in times.values() if len(one) > 1), default=0.0)
