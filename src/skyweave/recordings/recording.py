"""What several platforms recorded together, with the truth beside it: the types that the simulator makes, that
the readers of public recordings fill, and that training and evaluation read.

A `Recording` holds scenes, a scene holds frames in order, a frame holds one capture a camera and the annotations of
its moment. Images are read when they are asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.core.observation import GeoTransform, Observation

LAND_COVER = ("road", "crossing", "pavement", "building", "tree", "grass", "water", "bare")
"""Classes of land cover and map elements, as the simulator knows them."""
UNKNOWN_COVER = 255
"""Value in a raster of land cover where it is not known."""
ALL_CHANNELS = "any"
"""Channel of a visibility that holds for all cameras together."""


@dataclass(frozen=True)
class Capture:
    """One picture by one camera of one platform.

    Attributes:
        channel: name of the camera, unique in the frame (``UAV_1``, or ``UAV_1_FRONT`` where a platform has several).
        platform: name of the platform that carries it.
        time: UTC nanoseconds by the platform's own clock.
        geometry: camera and pose as the platform reports them, in the scene's world frame.
        load: reads the observation; may raise ValueError that names the file.
        true_geometry: without pose noise, where the truth is known.
        true_time: UTC nanoseconds without clock offset, where it is known.
        load_depth: reads (rows, columns) float32 depth along the optical axis in metres, infinity for the sky.
        load_instances: reads (rows, columns) int32 index into the frame's annotations, -1 for none.
        load_classes: reads (rows, columns) uint8 index into the recording's ``surfaces``.
    """

    channel: str
    platform: str
    time: int
    geometry: CameraGeometry
    load: Callable[[], Observation]
    true_geometry: CameraGeometry | None = None
    true_time: int | None = None
    load_depth: Callable[[], np.ndarray] | None = None
    load_instances: Callable[[], np.ndarray] | None = None
    load_classes: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Annotations:
    """The objects of one moment.

    Attributes:
        boxes: n boxes in the scene's world frame.
        velocities: (n, 2) metres per second east and north; NaN where unknown.
        categories: n class names.
        instances: n identifiers, constant over a scene.
        visibility: by channel, (n,) share of the object's pixels that is not hidden, in [0, 1]; 0 out of view. Under
            ``any``: the middle of the range that a public recording states for all cameras together, NaN where it
            states none.
    """

    boxes: Boxes
    velocities: np.ndarray
    categories: tuple[str, ...]
    instances: tuple[str, ...]
    visibility: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.boxes)
        object.__setattr__(self, "velocities", np.asarray(self.velocities, np.float64).reshape(-1, 2))
        lengths = {
            "velocities": len(self.velocities),
            "categories": len(self.categories),
            "instances": len(self.instances),
            **{f"visibility of {channel}": len(values) for channel, values in self.visibility.items()},
        }
        wrong = {name: count for name, count in lengths.items() if count != n}
        if wrong:
            raise DataError(f"{n} boxes, but {', '.join(f'{count} {name}' for name, count in wrong.items())}")


@dataclass(frozen=True)
class Frame:
    """One moment: what each platform saw. A platform whose frame was dropped has no capture.

    Attributes:
        time: UTC nanoseconds.
        captures: by channel.
        annotations: the objects of this moment; None where nobody annotated it.
        token: identifier in the recording's own tables.
        world_from_ego: (4, 4) level frame around which the recording's own benchmark maps; None where it has none.
    """

    time: int
    captures: Mapping[str, Capture]
    annotations: Annotations | None = None
    token: str = ""
    world_from_ego: np.ndarray | None = None

    def channels(self, platform: str) -> frozenset[str]:
        """Return the cameras of a platform that have an image in this frame.

        Args:
            platform: its name.
        """
        return frozenset(name for name, capture in self.captures.items() if capture.platform == platform)


@dataclass(frozen=True)
class BaseMap:
    """An orthorectified image of the place, taken at another time: a satellite pass, an orthophoto.

    Attributes:
        name: unique in the scene, such as ``satellite``.
        load: reads the observation; its geometry is a geotransform, as its producer states it.
        time: UTC nanoseconds when it was taken; None where that is not known.
        position_std: standard deviation of its place, metres; None where that is not known.
        true_geometry: where it really lies, where the truth is known.
    """

    name: str
    load: Callable[[], Observation]
    time: int | None = None
    position_std: float | None = None
    true_geometry: GeoTransform | None = None


@dataclass(frozen=True)
class LandCoverRaster:
    """What covers the ground of a scene, as seen from above: the truth of a map.

    Attributes:
        classes: names of the values.
        geometry: where it lies, in the scene's world frame.
        load: reads (rows, columns) uint8 index into ``classes``, `UNKNOWN_COVER` where it is not known.
    """

    classes: tuple[str, ...]
    geometry: GeoTransform
    load: Callable[[], np.ndarray]


@dataclass(frozen=True)
class RecordedScene:
    """Consecutive frames at one place.

    Attributes:
        name: unique in the recording.
        frames: in order of time.
        crs: of the world frame; None for a local frame that no Earth is known for.
        description: free text.
        location: name of the place or map.
        ground: what lies under everything, in the scene's world frame.
        base_maps: images of the place from other times.
        land_cover: what covers the ground; None where nobody knows.
    """

    name: str
    frames: Sequence[Frame]
    crs: str | None = None
    description: str = ""
    location: str = ""
    ground: Ground = field(default_factory=GroundPlane)
    base_maps: Sequence[BaseMap] = ()
    land_cover: LandCoverRaster | None = None


@dataclass(frozen=True)
class Recording:
    """Scenes that belong together.

    Attributes:
        name: of the folder or world.
        scenes: all of them.
        splits: names of scenes by split (``train``, ``val``, ``test``).
        categories: all class names, in order.
        surfaces: names of the values that ``load_classes`` gives.
        notes: what a reader should know about how it was read.
    """

    name: str
    scenes: Sequence[RecordedScene]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> "list[RecordedScene]":
        """Return the scenes of a split.

        Args:
            name: ``train``, ``val`` or ``test``.

        Raises:
            DataError: no such split; the message lists those there are.
        """
        if name not in self.splits:
            raise DataError(f"{self.name} has no split {name!r}; it has {', '.join(self.splits) or 'none'}")
        names = set(self.splits[name])
        return [scene for scene in self.scenes if scene.name in names]
