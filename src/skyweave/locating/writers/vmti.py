"""Tracks as detections in motion imagery: MISB ST 0903.5 (VMTI) within ST 0601, a set for each image.

What a player of such streams draws over the video: boxes with identities, places with their covariance, velocities.
"""

from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.locating.tracking import CameraStream, SeenImage
from skyweave.locating.writers.base import TrackOutput, TrackPlace, file_of_camera, places_by_image
from skyweave.locating.writers.vmti_sets import MAX_STD_M, VmtiTarget, camera_set, target_pack, vmti_set
from skyweave.telemetry.poses_over_time import HeightDatum

ALTITUDE_TAGS: dict[HeightDatum, int] = {"sea_level": 15, "ellipsoid": 75}


def write_track_klv(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.klv``, or ``tracks-CAMERA.klv`` of several.

    Args:
        output: what to write.
        folder: where.

    Raises:
        DataError: the times are not UTC.
    """
    output.require_utc("KLV")
    return [_write_one(output, platform, folder) for platform in range(len(output.result.streams))]


def _write_one(output: TrackOutput, platform: int, folder: Path) -> Path:
    stream = output.result.streams[platform]
    path = folder / file_of_camera(output, platform, "tracks", ".klv")
    times = np.array([image.time for image in stream.images], np.int64)
    correction = output.result.calibration.means[platform]
    samples = stream.track.samples(times, correction) if len(times) else []
    places = places_by_image(output, platform)
    with write_aside(path) as aside, aside.open("wb") as file:
        for image, sample in zip(stream.images, samples, strict=True):
            if sample is not None:
                file.write(_image_set(output, stream, image, sample.state.geometry, places.get(image.frame, [])))
    return path


def _image_set(
    output: TrackOutput, stream: CameraStream, image: SeenImage, geometry: CameraGeometry, places: list[TrackPlace]
) -> bytes:
    """Return the set of ST 0601 of one image, the camera and what is in the image."""
    camera = geometry.camera
    targets = [_target(output, place, stream, image, geometry) for place in places]
    detections = vmti_set(stream.name, image.frame, camera, len(image.detections), targets)
    tag = ALTITUDE_TAGS.get(stream.track.datum)
    return camera_set(stream.name, stream.start + image.time, geometry, output.result.crs, detections, tag)


def _target(
    output: TrackOutput, place: TrackPlace, stream: CameraStream, image: SeenImage, geometry: CameraGeometry
) -> bytes:
    """Return the pack of one target."""
    table, row = place.table, place.row
    detections = output.result.located[int(table.platforms[row]), image.frame].detections
    index = table.rows[row]
    up_std = output.result.elevation_std if stream.track.datum == "ellipsoid" else MAX_STD_M
    return target_pack(
        VmtiTarget(
            number=table.number,
            name=f"{table.times[0]} {table.number}",
            category=table.category,
            score=float(detections.scores[index]),
            box=detections.boxes[index],
            lon_lat=table.lon_lat[row],
            height=float(table.up[row]),
            covariance=table.covariances[row],
            up_std=up_std,
            velocity=table.velocities[row],
            velocity_covariance=table.velocity_covariances[row],
            begin=int(table.times[0]),
            time=int(table.times[row]),
            points=row + 1,
        ),
        geometry.camera,
        output.result.crs,
    )
