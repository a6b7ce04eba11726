"""What a recording holds, in numbers."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.recordings.nuscenes.frames import ImageFile
from skyweave.recordings.recording import Annotations, Capture, RecordedScene, Recording

VISIBILITY_CLASSES = (
    (0.0, "hidden"),
    (0.4, "up to 40 %"),
    (0.6, "40 to 60 %"),
    (0.8, "60 to 80 %"),
    (1.0, "80 to 100 %"),
)


@dataclass
class ChannelSummary:
    """One camera over all its pictures.

    Attributes:
        platform: that carries it.
        images: number of them.
        missing: whose file is not there.
        sizes: rows and columns, every combination that occurs.
        field_of_view: horizontal, least and greatest, degrees; None where nothing is known, as below.
        altitude: above the ground below, metres.
        pitch: below the horizon, degrees; 90 looks straight down.
        truth: what else is known of its pixels: depth, instances, classes, pose.
    """

    platform: str
    images: int = 0
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
class RecordingSummary:
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


def summarise_recording(
    recording: Recording, max_scenes: int | None = None, progress: Callable[[int, int], None] | None = None
) -> RecordingSummary:
    """Count what a recording holds; looks for files but reads no image.

    Args:
        recording: to count.
        max_scenes: count the first scenes only; None: all.
        progress: called with scenes done and all scenes.
    """
    scenes = list(recording.scenes)[:max_scenes]
    counts = _Counts()
    for number, scene in enumerate(scenes):
        counts.add_scene(scene, _splits_of(recording, scene))
        if progress:
            progress(number + 1, len(scenes))
    order = [*recording.categories, *sorted(set(counts.boxes) - set(recording.categories))]
    ranges = (*(name for _, name in VISIBILITY_CLASSES), "unknown")
    return RecordingSummary(
        name=recording.name,
        scenes=counts.scenes,
        read=len(scenes),
        frames=sum(scene.frames for scene in counts.scenes),
        annotated=counts.annotated,
        rate=counts.rate(),
        crs=sorted({scene.crs for scene in scenes}, key=str),
        channels=dict(sorted(counts.channels.items())),
        categories=_count_categories(order, counts),
        visibility=_count_visibility(ranges, counts),
        splits={split: len(names) for split, names in recording.splits.items()},
        notes=list(recording.notes),
    )


def _count_categories(order: list[str], counts: "_Counts") -> dict[str, tuple[int, int]]:
    """Return boxes and objects of each category."""
    return {name: (counts.boxes[name], len(counts.objects[name])) for name in order}


def _count_visibility(ranges: tuple[str, ...], counts: "_Counts") -> dict[str, int]:
    """Return the boxes of each range of visibility that has some."""
    return {name: counts.visibility[name] for name in ranges if counts.visibility[name]}


def _splits_of(recording: Recording, scene: RecordedScene) -> list[str]:
    """Return the splits that a scene is in."""
    return [split for split, names in recording.splits.items() if scene.name in names]


class _Counts:
    """Sums over scenes."""

    def __init__(self) -> None:
        self.scenes: list[SceneSummary] = []
        self.channels: dict[str, ChannelSummary] = {}
        self.boxes: Counter[str] = Counter()
        self.objects: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.visibility: Counter[str] = Counter()
        self.annotated = 0
        self._intervals: list[np.ndarray] = []

    def add_scene(self, scene: RecordedScene, splits: list[str]) -> None:
        instances: set[str] = set()
        instances = self._add_frame(scene, instances)
        times = np.array([frame.time for frame in scene.frames], np.int64)
        self._intervals.append(np.diff(times))
        seconds = float(times[-1] - times[0]) / 1e9 if len(times) else 0.0
        self.scenes.append(SceneSummary(scene.name, len(times), seconds, len(instances), splits))

    def _add_frame(self, scene: RecordedScene, instances: set[str]) -> set[str]:
        """Count the captures and annotations of one frame."""
        for frame in scene.frames:
            for channel, capture in frame.captures.items():
                _count_capture(self.channels.setdefault(channel, ChannelSummary(capture.platform)), capture, scene)
            if frame.annotations is not None:
                self._add_annotations(scene.name, frame.annotations)
                instances |= set(frame.annotations.instances)
        return instances

    def rate(self) -> float | None:
        """Return frames a second, by the median interval."""
        intervals = np.concatenate(self._intervals) if self._intervals else np.zeros(0)
        return float(1e9 / np.median(intervals)) if len(intervals) and np.median(intervals) > 0 else None

    def _add_annotations(self, scene: str, annotations: Annotations) -> None:
        self.annotated += 1
        for category, instance in zip(annotations.categories, annotations.instances, strict=True):
            self.boxes[category] += 1
            self.objects[category].add((scene, instance))
        if annotations.visibility:
            best = np.max([*annotations.visibility.values()], axis=0)
            self.visibility.update(_visibility_class(float(share)) for share in best)


def _count_capture(summary: ChannelSummary, capture: Capture, scene: RecordedScene) -> None:
    geometry, camera = capture.geometry, capture.geometry.camera
    summary.images += 1
    if isinstance(capture.load, ImageFile) and not capture.load.path.exists():
        summary.missing += 1
    if (size := (camera.rows, camera.columns)) not in summary.sizes:
        summary.sizes.append(size)
    _widen_ranges(camera, summary, geometry, scene)
    _add_truth(capture, summary)


def _add_truth(capture: Capture, summary: ChannelSummary) -> None:
    """Add what is known of the truth of one capture."""
    known = {
        "depth": capture.load_depth,
        "instances": capture.load_instances,
        "classes": capture.load_classes,
        "pose": capture.true_geometry,
    }
    summary.truth += [name for name, value in known.items() if value is not None and name not in summary.truth]


def _widen_ranges(
    camera: PinholeCamera, summary: ChannelSummary, geometry: CameraGeometry, scene: RecordedScene
) -> None:
    """Widen the ranges of field of view, pitch and altitude by those of one capture."""
    left, right = camera.rays(np.array([[0, camera.rows / 2], [camera.columns, camera.rows / 2]]))[:, 0]
    summary.field_of_view = _widened(summary.field_of_view, float(np.degrees(np.arctan(right) - np.arctan(left))))
    forward = geometry.world_from_camera[:3, 2]
    summary.pitch = _widened(summary.pitch, float(np.degrees(np.arcsin(np.clip(-forward[2], -1, 1)))))
    above = float(geometry.position[2] - scene.ground.height(geometry.position))
    summary.altitude = _widened(summary.altitude, above)


def _widened(interval: tuple[float, float] | None, value: float) -> tuple[float, float] | None:
    if not np.isfinite(value):
        return interval
    return (value, value) if interval is None else (min(interval[0], value), max(interval[1], value))


def _visibility_class(share: float) -> str:
    if np.isnan(share):
        return "unknown"
    return next(name for upper, name in VISIBILITY_CLASSES if share <= upper + 1e-9)
