"""What a recording holds, in numbers."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from skyweave.recordings.nuscenes.frames import PictureFile
from skyweave.recordings.recording import Capture, RecordedScene, Recording

SHARES = ((0.0, "hidden"), (0.4, "up to 40 %"), (0.6, "40 to 60 %"), (0.8, "60 to 80 %"), (1.0, "80 to 100 %"))


@dataclass
class ChannelSummary:
    """One camera over all its pictures.

    Attributes:
        platform: that carries it.
        pictures: number of them.
        missing: whose file is not there.
        sizes: rows and columns, every combination that occurs.
        field_of_view: horizontal, least and greatest, degrees; None where nothing is known, as below.
        altitude: above the ground below, metres.
        pitch: below the horizon, degrees; 90 looks straight down.
        truth: what else is known of its pixels: depth, instances, classes, pose.
    """

    platform: str
    pictures: int = 0
    missing: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    field_of_view: tuple[float, float] | None = None
    altitude: tuple[float, float] | None = None
    pitch: tuple[float, float] | None = None
    truth: list[str] = field(default_factory=list)


@dataclass
class SceneSummary:
    """One scene: frames, seconds from the first to the last, objects ever seen."""

    name: str
    frames: int
    seconds: float
    objects: int
    splits: list[str]


@dataclass
class Summary:
    """A recording.

    Attributes:
        rate: frames a second, median; None for single frames.
        crs: reference systems of the scenes; None among them for a local frame.
        categories: boxes and objects by class.
        visibility: boxes by how much of them the best camera sees; empty where nobody knows.
        read: scenes that these numbers count, the first ones.
    """

    name: str
    scenes: list[SceneSummary]
    read: int
    frames: int
    annotated: int
    rate: float | None
    crs: list[str | None]
    channels: dict[str, ChannelSummary]
    categories: dict[str, tuple[int, int]]
    visibility: dict[str, int]
    splits: dict[str, int]
    notes: list[str]


def summarise(
    recording: Recording, most: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Summary:
    """Count over all scenes, or the first ``most``; looks for files but reads no image."""
    scenes = list(recording.scenes)[:most]
    channels: dict[str, ChannelSummary] = {}
    boxes: Counter[str] = Counter()
    objects: dict[str, set[tuple[str, str]]] = defaultdict(set)
    visibility: Counter[str] = Counter()
    gaps: list[np.ndarray] = []
    summaries = []
    annotated = 0
    for number, scene in enumerate(scenes):
        seen: set[str] = set()
        for frame in scene.frames:
            for channel, capture in frame.captures.items():
                _count_capture(channels.setdefault(channel, ChannelSummary(capture.platform)), capture, scene)
            if frame.annotations is None:
                continue
            annotated += 1
            seen |= set(frame.annotations.instances)
            for category, instance in zip(frame.annotations.categories, frame.annotations.instances, strict=True):
                boxes[category] += 1
                objects[category].add((scene.name, instance))
            if frame.annotations.visibility:
                best = np.max([*frame.annotations.visibility.values()], axis=0)
                visibility.update(_range(float(share)) for share in best)
        times = np.array([frame.time for frame in scene.frames], np.int64)
        gaps.append(np.diff(times))
        where = [split for split, names in recording.splits.items() if scene.name in names]
        seconds = float(times[-1] - times[0]) / 1e9 if len(times) else 0.0
        summaries.append(SceneSummary(scene.name, len(times), seconds, len(seen), where))
        if progress:
            progress(number + 1, len(scenes))
    steps = np.concatenate(gaps) if gaps else np.zeros(0)
    order = [*recording.categories, *sorted(set(boxes) - set(recording.categories))]
    return Summary(
        name=recording.name,
        scenes=summaries,
        read=len(scenes),
        frames=sum(scene.frames for scene in summaries),
        annotated=annotated,
        rate=float(1e9 / np.median(steps)) if len(steps) and np.median(steps) > 0 else None,
        crs=sorted({scene.crs for scene in scenes}, key=str),
        channels=dict(sorted(channels.items())),
        categories={name: (boxes[name], len(objects[name])) for name in order},
        visibility={name: visibility[name] for _, name in (*SHARES, (0, "unknown")) if visibility[name]},
        splits={split: len(names) for split, names in recording.splits.items()},
        notes=list(recording.notes),
    )


def _count_capture(summary: ChannelSummary, capture: Capture, scene: RecordedScene) -> None:
    geometry, camera = capture.geometry, capture.geometry.camera
    summary.pictures += 1
    if isinstance(capture.load, PictureFile) and not capture.load.path.exists():
        summary.missing += 1
    if (size := (camera.rows, camera.columns)) not in summary.sizes:
        summary.sizes.append(size)
    left, right = camera.rays(np.array([[0, camera.rows / 2], [camera.columns, camera.rows / 2]]))[:, 0]
    summary.field_of_view = _widened(summary.field_of_view, float(np.degrees(np.arctan(right) - np.arctan(left))))
    forward = geometry.world_from_camera[:3, 2]
    summary.pitch = _widened(summary.pitch, float(np.degrees(np.arcsin(np.clip(-forward[2], -1, 1)))))
    above = float(geometry.position[2] - scene.ground.height(geometry.position))
    summary.altitude = _widened(summary.altitude, above)
    known = {
        "depth": capture.load_depth,
        "instances": capture.load_instances,
        "classes": capture.load_classes,
        "pose": capture.true_geometry,
    }
    summary.truth += [name for name, value in known.items() if value is not None and name not in summary.truth]


def _widened(interval: tuple[float, float] | None, value: float) -> tuple[float, float] | None:
    if not np.isfinite(value):
        return interval
    return (value, value) if interval is None else (min(interval[0], value), max(interval[1], value))


def _range(share: float) -> str:
    if np.isnan(share):
        return "unknown"
    return next(name for upper, name in SHARES if share <= upper + 1e-9)
