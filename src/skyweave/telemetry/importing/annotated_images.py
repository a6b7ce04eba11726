"""Images with poses and objects that are known already, as a recording in the ordinary tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_folder_aside
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import Ground
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.recordings.nuscenes import finish_recording, write_scene
from skyweave.recordings.recording import Annotations, Capture, Frame, RecordedScene

SCENE, SPLIT = "flight", "val"
MIN_HEIGHT_M = 1.0  # above the ground, for the ground sample distance


@dataclass(frozen=True)
class KnownObject:
    """One object in an image.

    Attributes:
        identity: constant over time.
        category: its class.
        centre: (3,) metres.
        size: (3,) length, width and height in metres.
        yaw: radians counter-clockwise from east.
        velocity: (2,) metres per second east and north.
    """

    identity: str
    category: str
    centre: np.ndarray
    size: np.ndarray
    yaw: float
    velocity: np.ndarray


@dataclass(frozen=True)
class AnnotatedImage:
    """An image by one camera.

    Attributes:
        camera: its name; letters, digits and ``. + -``.
        time: nanoseconds.
        geometry: camera and pose on the map.
        load: returns the pixels (rows, columns, 3) uint8.
        objects: in it.
    """

    camera: str
    time: int
    geometry: CameraGeometry
    load: Callable[[], np.ndarray]
    objects: Sequence[KnownObject]


def write_annotated_images(
    folder: Path, frames: Sequence[Sequence[AnnotatedImage]], crs: str, ground: Ground, description: str
) -> None:
    """Write images as a recording; the folder has its name when it is whole.

    Args:
        folder: of the recording; one that is there is replaced.
        frames: images of different cameras that belong together, in order of time.
        crs: of the map.
        ground: in it.
        description: free text.
    """
    names = sorted({one.category for images in frames for image in images for one in image.objects})
    recorded = [_frame(images, ground) for images in frames]
    scene = RecordedScene(SCENE, recorded, crs, description, ground=ground)
    with write_folder_aside(folder) as aside:
        write_scene(aside, scene, names, image_format="jpg")
        finish_recording(aside, folder.name, {SPLIT: [SCENE]})


def _frame(images: Sequence[AnnotatedImage], ground: Ground) -> Frame:
    objects = {one.identity: one for image in images for one in image.objects}
    captures = {image.camera: _capture(image, ground) for image in images}
    return Frame(min(image.time for image in images), captures, _annotations(list(objects.values())))


def _capture(image: AnnotatedImage, ground: Ground) -> Capture:
    geometry = image.geometry
    below = float(np.nan_to_num(ground.height(geometry.position[None, :2])[0]))
    height = max(float(geometry.position[2]) - below, MIN_HEIGHT_M)

    def load() -> Observation:
        bands = image.load().transpose(2, 0, 1).astype(np.float32)
        distance = height / float(geometry.camera.intrinsics[0, 0])
        return Observation.from_pixels(bands, get_sensor("rgb"), distance, geometry=geometry)

    return Capture(image.camera, image.camera, image.time, geometry, load)


def _annotations(objects: Sequence[KnownObject]) -> Annotations:
    return Annotations(
        Boxes(
            np.array([one.centre for one in objects]).reshape(-1, 3),
            np.array([one.size for one in objects]).reshape(-1, 3),
            np.array([one.yaw for one in objects]).reshape(-1),
        ),
        np.array([one.velocity for one in objects]).reshape(-1, 2),
        tuple(one.category for one in objects),
        tuple(one.identity for one in objects),
    )
