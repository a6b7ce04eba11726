"""A recording as a Rerun file (rerun.io): cameras with their images, boxes, the map, time.

The one place that knows Rerun's names, which change every few releases; tested with the version in constraints.txt.
Rerun holds positions as 32-bit floats, so the scene is moved to near zero; the entity ``scene`` says by how much.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.frames import quaternion_from_rotation, rotation_about_z
from skyweave.core.geometry.ground import Ground
from skyweave.core.geometry.outlines import camera_footprint, name_colour
from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.recordings.recording import Annotations, Capture, Frame, RecordedScene
from skyweave.viewing.captures import load_captures
from skyweave.viewing.ground_mosaic import frame_map_grid, render_ground_mosaic

MAP_CELLS = 256  # per side
JPEG_QUALITY = 85
MAX_FOOTPRINT_M = 400.0  # to which a camera's footprint is drawn
IMAGE_PLANE_DISTANCE_M = 6.0  # from a camera to its image in the 3D view
APPLICATION = "skyweave"


def write_rerun(
    path: str | Path,
    scene: RecordedScene,
    numbers: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write frames of a scene as ``.rrd``, whole or not at all.

    Args:
        path: of the file.
        scene: whose frames to write.
        numbers: of the frames, at least one.
        progress: called with frames done and all frames.

    Returns:
        What could not be loaded, and why; the cameras are there without that image.
    """
    problems: list[str] = []
    first = scene.frames[numbers[0]]
    middle = np.mean(np.stack([capture.geometry.position for capture in first.captures.values()]), axis=0)
    origin = np.array([*np.round(middle[:2], -1), 0.0])
    with write_aside(path) as aside:
        stream = rr.RecordingStream(APPLICATION, recording_id=scene.name)
        stream.save(str(aside), default_blueprint=_blueprint(first, scene.crs))
        stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        text = (
            f"{scene.name}: {scene.description}\n\nmoved by {(-origin).tolist()} m from {scene.crs or 'local metres'}"
        )
        stream.log("scene", rr.TextDocument(text), static=True)
        for done, number in enumerate(numbers):
            _log_frame(stream, scene, number, origin, problems)
            if progress:
                progress(done + 1, len(numbers))
        stream.flush()
        stream.disconnect()
    return problems


def _log_frame(
    stream: rr.RecordingStream, scene: RecordedScene, number: int, origin: np.ndarray, problems: list[str]
) -> None:
    """Log cameras, objects and map of a frame; what could not be loaded is added to ``problems``."""
    frame = scene.frames[number]
    stream.set_time("frame", sequence=number)
    stream.set_time("time", timestamp=np.datetime64(frame.time, "ns"))
    images = load_captures(frame, number, sorted(frame.captures), problems)
    for name in sorted(frame.captures):
        _log_camera(stream, frame.captures[name], images.get(name), scene, origin)
    if frame.annotations is not None:
        _log_objects(stream, frame.annotations, origin)
    _log_map(stream, frame, scene.ground, images, scene.crs, origin)


def write_rerun_image(path: str | Path, image: np.ndarray, name: str) -> None:
    """Write one image as ``.rrd``.

    Args:
        path: of the file.
        image: (rows, columns, 3) uint8.
        name: of the recording in Rerun.
    """
    with write_aside(path) as aside:
        stream = rr.RecordingStream(APPLICATION, recording_id=name)
        stream.save(str(aside))
        stream.log("image", rr.Image(image).compress(jpeg_quality=JPEG_QUALITY), static=True)
        stream.flush()
        stream.disconnect()


def _log_camera(
    stream: rr.RecordingStream,
    capture: Capture,
    observation: Observation | None,
    scene: RecordedScene,
    origin: np.ndarray,
) -> None:
    geometry = capture.geometry
    camera, entity, colour = geometry.camera, entity_path(capture), name_colour(capture.platform)
    pose = geometry.world_from_camera
    stream.log(entity, rr.Transform3D(translation=pose[:3, 3] - origin, mat3x3=pose[:3, :3]))
    if observation is None:
        stream.log(f"{entity}/image", rr.Clear(recursive=False))  # or the last image would stay
    stream.log(
        f"{entity}/image",
        rr.Pinhole(
            image_from_camera=camera.intrinsics,
            resolution=[camera.columns, camera.rows],
            camera_xyz=rr.ViewCoordinates.RDF,
            image_plane_distance=IMAGE_PLANE_DISTANCE_M,
        ),
    )
    if observation is not None:
        stream.log(f"{entity}/image", rr.Image(true_color_image(observation)).compress(jpeg_quality=JPEG_QUALITY))
    outline = camera_footprint(geometry, scene.ground, MAX_FOOTPRINT_M) - origin
    strip = np.concatenate([outline, outline[:1]])
    stream.log(f"world/views/{capture.channel}", rr.LineStrips3D([strip], colors=[colour], radii=0.1))
    if scene.crs is not None:
        stream.log(f"geo/{capture.channel}", rr.GeoPoints(lat_lon=[_lat_lon(geometry.position, scene.crs)], radii=4.0))


def _log_objects(stream: rr.RecordingStream, objects: Annotations, origin: np.ndarray) -> None:
    boxes = objects.boxes
    wxyz = quaternion_from_rotation(rotation_about_z(boxes.yaws))
    colours = [name_colour(category) for category in objects.categories]
    labels = [
        f"{category} {instance[:8]}" for category, instance in zip(objects.categories, objects.instances, strict=True)
    ]
    stream.log(
        "world/objects",
        rr.Boxes3D(
            centers=boxes.centres - origin,
            half_sizes=boxes.sizes / 2,
            quaternions=wxyz[:, [1, 2, 3, 0]],
            colors=colours,
            labels=labels,
            show_labels=False,
        ),
    )
    moving = np.isfinite(objects.velocities).all(axis=1)
    arrows = np.concatenate([objects.velocities[moving], np.zeros((int(moving.sum()), 1))], -1)
    starts = boxes.centres[moving] - origin
    moved = [colour for colour, keep in zip(colours, moving, strict=True) if keep]
    stream.log("world/velocities", rr.Arrows3D(origins=starts, vectors=arrows, colors=moved))


def _log_map(
    stream: rr.RecordingStream,
    frame: Frame,
    ground: Ground,
    images: dict[str, Observation],
    crs: str | None,
    origin: np.ndarray,
) -> None:
    """Log the images laid on the ground, as a textured square at the ground's height in its middle."""
    grid = frame_map_grid(frame, ground, MAP_CELLS, crs)
    mosaic = render_ground_mosaic(frame, ground, grid, images)
    west, south, east, north = grid.bounds
    height = float(ground.height(np.array([(west + east) / 2, (south + north) / 2])))
    z = (height if np.isfinite(height) else 0.0) - 0.05  # below the footprints
    corners = np.array([[west, north, z], [east, north, z], [east, south, z], [west, south, z]]) - origin
    stream.log(
        "world/map",
        rr.Mesh3D(
            vertex_positions=corners,
            triangle_indices=[[0, 2, 1], [0, 3, 2]],
            vertex_texcoords=[[0, 0], [1, 0], [1, 1], [0, 1]],
            albedo_texture=mosaic,
        ),
    )
    stream.log("map/mosaic", rr.Image(mosaic).compress(jpeg_quality=JPEG_QUALITY))


def entity_path(capture: Capture) -> str:
    """Return the entity path of a camera in Rerun.

    Args:
        capture: of the camera.
    """
    return f"world/{capture.platform}/{capture.channel}"


def _blueprint(frame: Frame, crs: str | None) -> Any:
    cameras = [
        rrb.Spatial2DView(origin=f"{entity_path(frame.captures[name])}/image", name=name)
        for name in sorted(frame.captures)
    ]
    maps: list[Any] = [rrb.Spatial2DView(origin="map", name="from above")]
    if crs is not None:
        maps.append(rrb.MapView(origin="geo", name="Earth"))
    world = rrb.Vertical(rrb.Spatial3DView(origin="world", name="world"), rrb.Horizontal(*maps), row_shares=[2, 1])
    return rrb.Blueprint(rrb.Horizontal(world, rrb.Grid(*cameras)), collapse_panels=True)


def _lat_lon(position: np.ndarray, crs: str) -> tuple[float, float]:
    from pyproj import Transformer

    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(position[0], position[1])
    return latitude, longitude
