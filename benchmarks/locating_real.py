"""Boxes of real drones on the map: vehicles of Songdo against published trajectories, sizes of cars of HIT-UAV.

    python benchmarks/locating_real.py --json results/locating/real.json

Songdo (github.com/rfonod/geo-trax, MIT): boxes of a video, homographies of its images to an orthophoto, trajectories in
metres. The boxes go through the ordinary path (a camera with a pose for each image, tracking on the map) and the tracks
are compared to the published ones. HIT-UAV (github.com/suojiashun/HIT-UAV-Infrared-Thermal-Dataset, CC-BY-4.0):
thermal images with their height and the angle of the camera; the boxes of cars are measured on the ground.
"""

import argparse
import csv
import json
import os
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.geometry import CameraGeometry, GroundPlane, PinholeCamera, camera_pose
from skyweave.core.geometry.frames import quaternion_from_rotation, rotation_about_z
from skyweave.core.geometry.geodesy import grid_convergence, unproject_lon_lat
from skyweave.detection.image_detections import ImageDetections
from skyweave.locating.camera_track import CameraTrack
from skyweave.locating.config import LocatingConfig
from skyweave.locating.ground_points import CameraState
from skyweave.locating.located import BoxErrorConfig, locate_detections
from skyweave.locating.pose_error_model import PoseErrorConfig
from skyweave.locating.track_table import tables_of
from skyweave.locating.tracking import CameraStream, SeenImage, track_streams
from skyweave.telemetry import Heights, PosesOverTime
from skyweave.telemetry.poses_over_time import NS_PER_S

SONGDO_CRS = "EPSG:5186"
SONGDO_RATE = 29.97
SONGDO_SIZE = (2160, 3840)
SONGDO_FOCAL = 2900.0  # pixels, of the drone's wide lens; its height follows
SONGDO_CLASSES = ("car", "bus", "truck", "motorcycle")
HIT_UAV_FIELD_OF_VIEW = (
    24.6  # degrees, horizontal: 25 mm before 640 pixels of 17 micrometres; the data set does not say it
)
SLOWER_STEPS = (3, 6, 15, 30)  # images of which one is looked at
MATCH_M = 3.0  # between a track and a trajectory at one time


def songdo(folder: Path, step: int = 1) -> dict[str, Any]:
    """Track the boxes of every so many images, and compare."""
    poses, camera = songdo_poses(folder)
    images = songdo_images(folder)[::step]
    errors = PoseErrorConfig(
        horizontal=0.2, height=0.5, heading=0.1, pitch=0.1, roll=0.1, focal=0.001, clock=0.001, elevation=0.2,
        position_jitter=0.02, angle_jitter=0.005,
    )  # fmt: skip
    config = LocatingConfig(errors, BoxErrorConfig(pixels=1.0, share=0.02), calibration_rounds=0)
    angle = np.radians(0.1)
    stated = np.array([0.2, 0.2, 0.5, angle, angle, angle, 0.001, 0.001])
    track = CameraTrack(poses, camera, SONGDO_CRS, "ground", 0.0, errors, stated)
    stream = CameraStream("songdo", track, images)
    started = time.process_time()
    result = track_streams([stream], GroundPlane(0.0), config, has_utc=False)
    seconds = time.process_time() - started
    return compare_songdo(folder, tables_of(result), result, len(images), seconds)


def compare_songdo(folder: Path, tables: Any, result: Any, num_images: int, seconds: float) -> dict[str, Any]:
    """Compare tracks to the published trajectories, which came of the same boxes."""
    truth: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    with (folder / "U_video_cut.csv").open() as file:
        for row in csv.DictReader(file):
            truth[int(row["Frame_Number"])][row["Vehicle_ID"]] = np.array(
                [float(row["Local_X"]), float(row["Local_Y"])]
            )
    errors, inside = [], []
    of_vehicle: dict[str, list[int]] = defaultdict(list)
    for table in tables:
        for number, (frame, row) in enumerate(zip(table.frames.tolist(), table.rows.tolist(), strict=True)):
            vehicle = (result.located[0, frame].detections.identities or ())[row]
            of_vehicle[vehicle].append(table.number)
            if vehicle in truth[frame]:
                left = table.points[number] - truth[frame][vehicle]
                errors.append(float(np.hypot(*left)))
                inside.append(float(left @ np.linalg.solve(table.covariances[number], left)) <= 4.605)
    published = Counter(
        vehicle for frame, places in truth.items() if (0, frame) in result.located for vehicle in places
    )
    kept = [
        len(set(numbers)) == 1 and len(numbers) >= 0.9 * published[vehicle]
        for vehicle, numbers in of_vehicle.items()
        if vehicle in published
    ]
    kept += [False] * len(published.keys() - of_vehicle.keys())
    long_tracks = {vehicle for vehicle, count in published.items() if count >= 15}
    switched = [vehicle for vehicle, numbers in of_vehicle.items() if len(set(numbers)) > 1]
    return {
        "published_tracks": len(published),
        "tracks": len(tables),
        "images": num_images,
        "median_error_m": round(float(np.median(errors)), 3),
        "p90_error_m": round(float(np.quantile(errors, 0.9)), 3),
        "inside_90": round(float(np.mean(inside)), 3),
        "identities_kept": round(float(np.mean(kept)), 3),
        "identities_kept_of_half_a_second": round(
            float(np.mean([float(len(set(of_vehicle.get(name, [0, 1]))) == 1) for name in long_tracks] or [np.nan])), 3
        ),
        "vehicles_of_several_tracks": len(switched),
        "processor_seconds": round(seconds, 2),
        "video_seconds": round(num_images / SONGDO_RATE, 2),
    }


def songdo_images(folder: Path) -> list[SeenImage]:
    """Return the boxes as detected, not stabilised; their identities serve the comparison only."""
    rows = np.loadtxt(folder / "U_video_cut.txt", delimiter=",")
    images = []
    for frame in range(int(rows[:, 0].max()) + 1):
        chosen = rows[rows[:, 0] == frame]
        half = chosen[:, 4:6] / 2
        detections = ImageDetections(
            np.concatenate([chosen[:, 2:4] - half, chosen[:, 2:4] + half], 1),
            chosen[:, 11],
            tuple(SONGDO_CLASSES[int(label)] for label in chosen[:, 10]),
            tuple(str(int(identity)) for identity in chosen[:, 1]),
        )
        images.append(SeenImage(frame, round(frame / SONGDO_RATE * NS_PER_S), detections))
    return images


def songdo_poses(folder: Path) -> tuple[PosesOverTime, PinholeCamera]:
    """Return a pose for each image, from the homographies to the map."""
    to_ortho = np.loadtxt(folder / "U_video_cut_geo_transf.txt", delimiter=",").reshape(3, 3)
    rows, columns = SONGDO_SIZE
    camera = PinholeCamera(
        np.array([[SONGDO_FOCAL, 0, columns / 2], [0, SONGDO_FOCAL, rows / 2], [0, 0, 1.0]]), rows, columns
    )
    to_reference = {0: np.eye(3)}
    for line in np.loadtxt(folder / "U_video_cut_vid_transf.txt", delimiter=","):
        to_reference[int(line[0])] = line[1:].reshape(3, 3)
    to_map = ortho_to_map(folder)
    poses = [pose_of_homography(to_map @ to_ortho @ to_reference[frame], camera) for frame in sorted(to_reference)]
    places = unproject_lon_lat(np.array([pose[:2, 3] for pose in poses]), SONGDO_CRS)
    convergence = grid_convergence(places[0, 1], places[0, 0], SONGDO_CRS)
    rotations = rotation_about_z(-convergence) @ np.array([pose[:3, :3] for pose in poses])
    count = len(poses)
    times = np.round(np.array(sorted(to_reference)) / SONGDO_RATE * NS_PER_S).astype(np.int64)
    return (
        PosesOverTime(
            source="homographies", times=times, clock="video", places=places[:, ::-1],
            heights={"ground": Heights(np.array([pose[2, 3] for pose in poses]))},
            enu_from_camera=quaternion_from_rotation(rotations), enu_from_body=np.full((count, 4), np.nan),
            covariance=np.zeros((count, 6, 6)),
        ),
        camera,
    )  # fmt: skip


def ortho_to_map(folder: Path) -> np.ndarray:
    """Return the (3, 3) transform of the orthophoto's pixels to metres, which the published table holds."""
    with (folder / "U_video_cut.csv").open() as file:
        rows = [
            [float(row[name]) for name in ("Ortho_X", "Ortho_Y", "Local_X", "Local_Y")] for row in csv.DictReader(file)
        ]
    values = np.array(rows)
    solution = np.linalg.lstsq(np.column_stack([values[:, :2], np.ones(len(values))]), values[:, 2:], rcond=None)[0]
    return np.vstack([solution.T, [0, 0, 1]])


def pose_of_homography(map_from_pixel: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """Return ``world_from_camera`` of a camera that sees level ground by a homography (Zhang, 2000)."""
    middle = map_from_pixel @ [camera.columns / 2, camera.rows / 2, 1]
    middle = middle[:2] / middle[2]
    shift = np.array([[1, 0, middle[0]], [0, 1, middle[1]], [0, 0, 1.0]])
    columns = np.linalg.inv(camera.intrinsics) @ np.linalg.inv(map_from_pixel) @ shift
    columns /= np.sqrt(np.linalg.norm(columns[:, 0]) * np.linalg.norm(columns[:, 1]))
    columns *= np.sign(columns[2, 2])
    raw = np.column_stack([columns[:, 0], columns[:, 1], np.cross(columns[:, 0], columns[:, 1])])
    left, _, right = np.linalg.svd(raw)
    rotation = left @ right
    centre = -rotation.T @ columns[:, 2]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.T, centre + np.array([*middle, 0.0])
    return pose


def hit_uav(folder: Path) -> dict[str, Any]:
    """Measure the boxes of cars on the ground."""
    content = json.loads((folder / "annotations.json").read_text())
    boxes: dict[int, list[list[float]]] = defaultdict(list)
    car = next(category["id"] for category in content["categories"] if category["name"] == "Car")
    for annotation in content["annotations"]:
        if annotation["category_id"] == car:
            boxes[annotation["image_id"]].append(annotation["bbox"])
    lengths, ellipses = [], []
    for image in content["images"]:
        found = np.array(boxes[image["id"]], np.float64).reshape(-1, 4)
        whole = (found[:, :2] > 2).all(1) & (
            found[:, :2] + found[:, 2:] < [image["width"] - 2, image["height"] - 2]
        ).all(1)
        found = found[whole]
        detections = ImageDetections(
            np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], 1), np.ones(len(found)), ("Car",) * len(found)
        )
        camera = PinholeCamera.from_field_of_view(np.radians(HIT_UAV_FIELD_OF_VIEW), image["height"], image["width"])
        pose = camera_pose(np.array([0, 0, image["altitude_m"]]), 0.0, np.radians(image["camera_angle_deg"]))
        state = CameraState(CameraGeometry(camera, pose), np.zeros(3), np.zeros(3))
        errors = PoseErrorConfig()
        factor = np.sqrt(errors.camera_covariance())
        located = locate_detections(detections, state, GroundPlane(0.0), factor, errors, BoxErrorConfig(), 0.0)
        lengths += located.sizes[:, 0].tolist()
        ellipses += np.sqrt(np.linalg.eigvalsh(located.covariances())[:, -1]).tolist()
    quartiles = np.quantile(lengths, [0.05, 0.25, 0.5, 0.75, 0.95])
    return {
        "cars": len(lengths),
        "length_quantiles_m": dict(
            zip(("p5", "p25", "p50", "p75", "p95"), np.round(quartiles, 2).tolist(), strict=True)
        ),
        "median_std_m": round(float(np.median(ellipses)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SKYWEAVE_DATA", "../shared/data")))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    folder = arguments.data / "drone_traffic_songdo"
    figures = {
        "songdo": songdo(folder),
        "songdo_identities_kept_by_images_a_second": {
            round(SONGDO_RATE / step): songdo(folder, step)["identities_kept"] for step in SLOWER_STEPS
        },
        "hit_uav": hit_uav(arguments.data / "hit_uav"),
    }
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
