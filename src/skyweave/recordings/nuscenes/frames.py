"""One frame of a recording from its joined rows: captures that load their files when asked, and annotations."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import make_transform, rotation_from_quaternion
from skyweave.core.inner_path import path_below
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor, get_sensor
from skyweave.core.sensors.description import sensor_from_dict
from skyweave.recordings.nuscenes import rasters
from skyweave.recordings.nuscenes.layouts import NUSCENES, Layout
from skyweave.recordings.nuscenes.link import LinkedImage, LinkedSample, LinkedScene, nanoseconds_from_timestamp
from skyweave.recordings.nuscenes.tables import CaptureExtras, Extras, FrameExtras, SampleAnnotationRow
from skyweave.recordings.recording import ALL_CHANNELS, Annotations, Capture, Frame

VISIBILITY_LEVELS = {
    "1": 0.2,
    "2": 0.5,
    "3": 0.7,
    "4": 0.9,
}  # middle of the schema's ranges 0-40, 40-60, 60-80, 80-100 %
MAX_VELOCITY_GAP_S = 1.5  # seconds between two places of an object that still give a velocity, as in the devkit
CAR_VIEW_DISTANCE_M = 20.0  # metres to what a camera on a car looks at


@dataclass(frozen=True)
class Context:
    """What all frames of a recording share.

    Attributes:
        root: folder that file names in the tables start from.
        layout: the family of recordings.
        extras: what lies beside the tables in recordings of Skyweave.
        annotated: whether there are annotations.
        sensors: built so far, by name.
    """

    root: Path
    layout: Layout
    extras: Extras | None
    annotated: bool
    sensors: dict[str, Sensor] = field(default_factory=dict)

    def sensor(self, name: str) -> Sensor:
        """Return the sensor that the recording describes under a name, built once.

        Args:
            name: of an entry of `Extras.sensors`, or of the catalogue.
        """
        if name not in self.sensors:
            described = self.extras.sensors.get(name) if self.extras else None
            self.sensors[name] = sensor_from_dict(described, str(self.root)) if described else get_sensor(name)
        return self.sensors[name]


@dataclass(frozen=True)
class ImageFile:
    """What a capture of a stored recording loads.

    Attributes:
        path: an image of 8-bit colours, or ``.npz`` with the pixels of any other sensor.
        geometry: of the camera.
        time: UTC nanoseconds.
        sensor: that took it.
        ground_sample_distance: metres.
        notes: of the observation.
    """

    path: Path
    geometry: CameraGeometry
    time: int
    sensor: Sensor
    ground_sample_distance: float
    notes: tuple[str, ...] = ()

    def __call__(self) -> Observation:
        """The picture. Raises ``ValueError`` that names a missing file, or one of another size than its camera's."""
        valid: np.ndarray | None = None
        if self.path.suffix == ".npz":
            pixels, valid = rasters.read_pixels(self.path)
        else:
            image, valid = rasters.read_image(self.path)
            pixels = image.transpose(2, 0, 1)
        camera = self.geometry.camera
        if pixels.shape[1:] != (camera.rows, camera.columns):
            raise DataError(
                f"{self.path} has {pixels.shape[1]} x {pixels.shape[2]} pixels, but its table says {camera.rows} x "
                f"{camera.columns}; the camera matrix would not fit: repair the table, or put the original back"
            )
        return Observation.from_pixels(
            pixels,
            self.sensor,
            self.ground_sample_distance,
            valid,
            geometry=self.geometry,
            time=self.time,
            source=str(self.path),
            notes=self.notes,
        )


def build_frame(scene: LinkedScene, context: Context, crs: str | None, number: int) -> Frame:
    """Build one frame of a scene from its joined rows.

    Args:
        scene: with its samples.
        context: of the recording.
        crs: of the world frame.
        number: of the frame, from 0.
    """
    sample, extras = scene.samples[number], context.extras
    known = extras.frames.get(sample.token) if extras else None
    ego = None if extras else context.layout.world_from_ego(sample)
    rows = sample.annotations
    places: tuple[int, ...] | None = None
    rows, places = _order_annotations(known, rows, places)
    captures = {}
    for image in sample.images:
        known_capture = extras.captures.get(image.data.token) if extras else None
        captures[image.channel] = (
            _skyweave_capture(image, known_capture, context, crs, places)
            if known_capture
            else _capture(image, scene, context, ego)
        )
    annotations = _frame_annotations(known, rows, context, scene, number)
    return Frame(known.time if known else sample.time, captures, annotations, sample.token, ego)


def _order_annotations(
    known: FrameExtras | None, rows: list[tuple[SampleAnnotationRow, str]], places: tuple[int, ...] | None
) -> tuple[list[tuple[SampleAnnotationRow, str]], tuple[int, ...] | None]:
    """Sort the rows as instance rasters count them."""
    if known and known.annotations is not None:
        order = {token: index for index, token in enumerate(known.annotations)}
        rows = sorted((pair for pair in rows if pair[0].token in order), key=lambda pair: order[pair[0].token])
        if len(rows) < len(order):  # some were left out: instance rasters count all of them
            kept = {row.token: place for place, (row, _) in enumerate(rows)}
            places = tuple(kept.get(token, -1) for token in known.annotations)
    return rows, places


def _frame_annotations(
    known: FrameExtras | None,
    rows: list[tuple[SampleAnnotationRow, str]],
    context: Context,
    scene: LinkedScene,
    number: int,
) -> Annotations | None:
    """Return the annotations of a frame, ours or the public recording's."""
    annotations: Annotations | None
    if known:
        annotations = None if known.annotations is None else _skyweave_annotations(rows, known, context)
    else:
        annotations = _annotations(scene, number, context) if context.annotated else None
    return annotations


def _capture(image: LinkedImage, scene: LinkedScene, context: Context, ego: np.ndarray | None) -> Capture:
    """A picture of a public recording."""
    layout, time = context.layout, nanoseconds_from_timestamp(image.data.timestamp)
    geometry = _geometry(image, layout.world_from_camera(image), None, (0.0,) * 5)
    ground = layout.ground(ego)
    away = CAR_VIEW_DISTANCE_M if ground is None else max(float(geometry.position[2]) - ground, 1.0)
    distance = away / float(geometry.camera.intrinsics[0, 0])
    path = path_below(context.root, image.data.filename)
    return Capture(
        channel=image.channel,
        platform=layout.platform(image.channel, scene.vehicle),
        time=time,
        geometry=geometry,
        load=ImageFile(path, geometry, time, context.sensor("rgb"), distance),
    )


def _skyweave_capture(
    image: LinkedImage, known_capture: CaptureExtras, context: Context, crs: str | None, places: tuple[int, ...] | None
) -> Capture:
    """A picture of one of our recordings, with what lies beside the tables."""
    root, geometry = context.root, _geometry(image, NUSCENES.world_from_camera(image), crs, known_capture.distortion)
    sensor = context.sensor(known_capture.sensor)
    path = path_below(root, known_capture.pixels or image.data.filename)
    true = _true_geometry(known_capture, geometry, crs, image)
    return Capture(
        channel=image.channel,
        platform=known_capture.platform,
        time=known_capture.time,
        geometry=geometry,
        load=ImageFile(
            path, geometry, known_capture.time, sensor, known_capture.ground_sample_distance, tuple(known_capture.notes)
        ),
        true_geometry=true,
        true_time=known_capture.true_time,
        load_depth=partial(rasters.read_depth, path_below(root, known_capture.depth)) if known_capture.depth else None,
        load_instances=partial(load_indices, path_below(root, known_capture.instances), places)
        if known_capture.instances
        else None,
        load_classes=partial(rasters.read_classes, path_below(root, known_capture.classes))
        if known_capture.classes
        else None,
    )


def _true_geometry(
    known_capture: CaptureExtras, geometry: CameraGeometry, crs: str | None, image: LinkedImage
) -> CameraGeometry | None:
    """Return the geometry without noise, where it is known."""
    true = None
    if known_capture.true_translation and known_capture.true_rotation:
        rotation = rotation_from_quaternion(np.array(known_capture.true_rotation))
        pose = make_transform(rotation, np.array(known_capture.true_translation))
        camera = geometry.camera
        intrinsics = (
            camera.intrinsics if known_capture.true_intrinsics is None else np.array(known_capture.true_intrinsics)
        )
        camera = PinholeCamera(intrinsics, camera.rows, camera.columns, camera.distortion)
        true = CameraGeometry(camera, pose, crs, image.channel)
    return true


def _geometry(image: LinkedImage, pose: np.ndarray, crs: str | None, distortion: Any) -> CameraGeometry:
    intrinsics = np.array(image.calibration.camera_intrinsic, np.float64)
    camera = PinholeCamera(intrinsics, image.rows, image.columns, distortion)
    return CameraGeometry(camera, pose, crs, image.channel)


def _annotations(scene: LinkedScene, number: int, context: Context) -> Annotations:
    """The objects of one moment of a public recording; velocities from the moments before and after."""
    rows = scene.samples[number].annotations
    if not rows:
        return Annotations(Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)), np.zeros((0, 2)), (), ())
    boxes = context.layout.boxes([row for row, _ in rows])
    seen = [VISIBILITY_LEVELS.get(str(row.visibility_token), np.nan) for row, _ in rows]
    return Annotations(
        boxes=boxes,
        velocities=_velocities(scene, number, boxes, [row.instance_token for row, _ in rows], context.layout),
        categories=tuple(context.layout.category(category) for _, category in rows),
        instances=tuple(row.instance_token for row, _ in rows),
        visibility={ALL_CHANNELS: np.array(seen)} if not np.isnan(seen).all() else {},
    )


def _skyweave_annotations(
    rows: list[tuple[SampleAnnotationRow, str]], known: FrameExtras, context: Context
) -> Annotations:
    """The objects of one moment of our recordings, in the order of the instance rasters."""
    assert known.annotations is not None
    order = {token: index for index, token in enumerate(known.annotations)}
    which = [order[row.token] for row, _ in rows]
    empty = np.zeros((0, 3))
    velocities = np.array(known.velocities, np.float64).reshape(-1, 2)
    return Annotations(
        boxes=_boxes_of(rows, empty),
        velocities=velocities[which],
        categories=tuple(known.categories[index] for index in which),
        instances=tuple(known.names[index] for index in which),
        visibility=_visibility_of(known, which),
    )


def _visibility_of(known: FrameExtras, which: list[int]) -> dict[str, np.ndarray]:
    """Return the visibility by channel of some objects."""
    return {channel: np.array(seen, np.float64)[which] for channel, seen in known.visibility.items()}


def _boxes_of(rows: list[tuple[SampleAnnotationRow, str]], empty: np.ndarray) -> Boxes:
    """Return the boxes of rows, none where there are none."""
    return NUSCENES.boxes([row for row, _ in rows]) if rows else Boxes(empty, empty, np.zeros(0))


def _velocities(scene: LinkedScene, number: int, boxes: Boxes, instances: list[str], layout: Layout) -> np.ndarray:
    """(n, 2) from the places before and after, as the devkit does; NaN where an object is seen once or too seldom."""
    here = scene.samples[number]
    now = {instance: (here.time, place) for instance, place in zip(instances, boxes.centres[:, :2], strict=True)}
    before = _places(scene.samples[number - 1], layout) if number > 0 else {}
    after = _places(scene.samples[number + 1], layout) if number + 1 < len(scene.samples) else {}
    velocities = np.full((len(instances), 2), np.nan)
    _fill_velocities(instances, before, now, after, velocities)
    return velocities


def _fill_velocities(
    instances: list[str],
    before: dict[str, tuple[int, np.ndarray]],
    now: dict[str, tuple[int, Any]],
    after: dict[str, tuple[int, np.ndarray]],
    velocities: np.ndarray,
) -> None:
    """Fill in the velocities of the objects that a frame nearby shows, too."""
    for row, instance in enumerate(instances):
        (start, first), (end, last) = before.get(instance, now[instance]), after.get(instance, now[instance])
        seconds = (end - start) / 1e9
        longest = 2 * MAX_VELOCITY_GAP_S if instance in before and instance in after else MAX_VELOCITY_GAP_S
        if 0 < seconds <= longest:
            velocities[row] = (last - first) / seconds


def _places(sample: LinkedSample, layout: Layout) -> dict[str, tuple[int, np.ndarray]]:
    if not sample.annotations:
        return {}
    rows = [row for row, _ in sample.annotations]
    centres = layout.boxes(rows).centres[:, :2]
    return {row.instance_token: (sample.time, place) for row, place in zip(rows, centres, strict=True)}


def load_indices(path: Path, places: tuple[int, ...] | None) -> np.ndarray:
    """Read an instance raster as indices into the annotations that were kept.

    Args:
        path: the file.
        places: index of each of the file's annotations among those kept, -1 for one left out; None: all were kept.

    Returns:
        (rows, columns) int32, -1 for none.
    """
    instances = rasters.read_instances(path)
    if places is None:
        return instances
    kept: np.ndarray = np.array([*places, -1], np.int32)[instances]  # -1 takes the last
    return kept
