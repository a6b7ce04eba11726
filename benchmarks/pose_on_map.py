"""Where a platform finds itself on a base map: simulated drones, drift without satellite navigation, a real flight.

    skyweave simulate configs/world/union.yaml -o recordings/pose --scenes 20 --frames 16 --seed 900 --set validation=0
    OMP_NUM_THREADS=1 python benchmarks/pose_on_map.py simulated --recording recordings/pose
    OMP_NUM_THREADS=1 python benchmarks/pose_on_map.py drift --recording recordings/pose
    OMP_NUM_THREADS=1 python benchmarks/pose_on_map.py real --data ../shared/data -o /tmp/pose

`simulated`: drones at 15 to 35 m whose stated poses are wrong by 1.5 m and 3 degrees of heading, then by 10 m and 5
degrees (standard deviations; 2 m of height and 1 degree of roll and pitch in both), each image by itself, against an
orthophoto of 1 m of another season with other traffic. `drift`: navigation drifts for five minutes as a random walk, an
image every few seconds of a hovering drone (recorded frames come again and again). `real`: one strip of Brighton Beach
as the mosaic, photographs of the other one with positions shifted by 5 to 20 m; the truth is where bundle adjustment of
all photographs puts them.

A claim is an estimate that the matcher believes. It is wrong where an error east, north or of the heading is above
three of its own standard deviations.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import rotation_from_vector
from skyweave.core.geometry.ground import Ground
from skyweave.locating import NavigationErrorConfig, PoseEstimate, PoseFilter, Reference, grey_values, match_pose
from skyweave.locating.map_matching import prior_covariance
from skyweave.perception import load_scenes
from skyweave.recordings.recording import RecordedScene

SETTINGS = {"1.5 m, 3 degrees": (1.5, 2.0, 3.0, 1.0), "10 m, 5 degrees": (10.0, 2.0, 5.0, 1.0)}
JUDGED = [0, 1, 5]  # east, north, heading
SHIFT_M = (5.0, 20.0)
REAL_GSD_M = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("simulated", "drift", "real"))
    parser.add_argument("--recording", type=Path, help="of configs/world/union.yaml")
    parser.add_argument("--data", type=Path, help="folder of the real imagery")
    parser.add_argument("-o", "--output", type=Path, help="folder of the mosaics of the real flight")
    parser.add_argument("--images", type=int, default=200, help="at most, of each setting")
    parser.add_argument("--every", type=int, default=8, help="take every so many-th frame")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seconds", type=float, default=300, help="of the drift")
    parser.add_argument("--interval", type=float, default=5, help="seconds between images of the drift")
    parser.add_argument("--walk", type=float, default=0.3, help="of the drift, metres in the first second")
    parser.add_argument("--shifts", type=int, default=3, help="of each real photograph")
    args = parser.parse_args()
    {"simulated": simulated, "drift": drift, "real": real}[args.what](args)


def simulated(args: argparse.Namespace) -> None:
    """Single images."""
    print("| errors | images | claims | before (m, deg) | after (m, deg) | wrong | seconds |\n|" + " --- |" * 7)
    for name in args.settings:
        prior = prior_covariance(SETTINGS[name])
        random, rows = np.random.default_rng(0), []
        for image, geometry, ground, reference in views(load_scenes([args.recording], None), args.every):
            error = random.multivariate_normal(np.zeros(6), prior)
            started = time.process_time()
            found = match_pose(image, misplaced(geometry, error), ground, reference, prior)
            rows.append((error, found, time.process_time() - started))
            if len(rows) >= args.images:
                break
        print(f"| {name} | {summary(rows)} |", flush=True)


def views(
    scenes: Sequence[RecordedScene], every: int
) -> Iterator[tuple[np.ndarray, CameraGeometry, Ground, Reference]]:
    """Images with their true poses, and the orthophoto where it truly lies."""
    for scene in scenes:
        base = next(base for base in scene.base_maps if base.name == "ortho")
        reference = Reference.from_observation(replace(base.load(), geometry=base.true_geometry))
        for frame in scene.frames[::every]:
            for capture in frame.captures.values():
                yield grey_values(capture.load()), capture.true_geometry or capture.geometry, scene.ground, reference


def misplaced(geometry: CameraGeometry, error: np.ndarray) -> CameraGeometry:
    """The stated pose of which an error makes the true one."""
    pose = geometry.world_from_camera.copy()
    pose[:3, :3] = rotation_from_vector(-error[3:]) @ pose[:3, :3]
    pose[:3, 3] -= error[:3]
    return replace(geometry, world_from_camera=pose)


def summary(rows: Sequence[tuple[np.ndarray, PoseEstimate, float]]) -> str:
    """Cells of a table."""
    claimed = [(error, found) for error, found, _ in rows if found.known]
    if not claimed:
        return f"{len(rows)} | 0 % | | | | {np.mean([seconds for _, _, seconds in rows]):.2f}"
    before = median_errors([error for error, _ in claimed])
    after = median_errors([found.error - error for error, found in claimed])
    wrong = np.mean([is_wrong(error, found) for error, found in claimed])
    seconds = np.mean([seconds for _, _, seconds in rows])
    return f"{len(rows)} | {len(claimed) / len(rows):.0%} | {before} | {after} | {wrong:.1%} | {seconds:.2f}"


def median_errors(errors: Sequence[np.ndarray]) -> str:
    """Median of position and heading."""
    values = np.array(errors)
    return f"{np.median(np.hypot(*values[:, :2].T)):.2f}, {np.degrees(np.median(np.abs(values[:, 5]))):.2f}"


def is_wrong(error: np.ndarray, found: PoseEstimate) -> bool:
    """Whether an error is above three of its own standard deviations."""
    std = np.sqrt(np.diag(found.covariance))
    return bool((np.abs(found.error - error) > 3 * std)[JUDGED].any())


def drift(args: argparse.Namespace) -> None:
    """A random walk of the stated position and heading, corrected and not."""
    steps = int(args.seconds / args.interval)
    print("| drone | uncorrected at the end (m) | corrected, median | last minute, median | largest | claims |")
    print("|" + " --- |" * 6)
    scenes, config = load_scenes([args.recording], None), NavigationErrorConfig(drift=args.walk)
    for number, scene in enumerate(scenes[: max(1, args.images // steps)]):
        captures = [next(iter(frame.captures.values())) for frame in scene.frames]
        base = next(base for base in scene.base_maps if base.name == "ortho")
        reference = Reference.from_observation(replace(base.load(), geometry=base.true_geometry))
        located, random = PoseFilter(reference, config), np.random.default_rng(number)
        error = random.multivariate_normal(np.zeros(6), config.start())
        left, claims, uncorrected = [], 0, 0.0
        for step in range(steps):
            capture = captures[step % len(captures)]
            true = capture.true_geometry or capture.geometry
            stated, now = misplaced(true, error), round(step * args.interval * 1e9)
            found = located.update(grey_values(capture.load()), stated, scene.ground, now)
            left.append(float(np.hypot(*(found.error - error)[:2])))
            claims, uncorrected = claims + found.known, float(np.hypot(*error[:2]))
            error = error + random.multivariate_normal(np.zeros(6), args.interval * config.growth())
        last = left[-max(1, int(60 / args.interval)) :]
        cells = uncorrected, np.median(left), np.median(last), max(left)
        print(f"| {number} | {' | '.join(f'{value:.2f}' for value in cells)} | {claims / steps:.0%} |", flush=True)


def real(args: argparse.Namespace) -> None:
    """Photographs of one strip on the mosaic of another."""
    import rasterio
    from PIL import Image

    from skyweave.orthomosaic import make_orthomosaic
    from skyweave.orthomosaic.flight import read_flight
    from skyweave.orthomosaic.poses import read_poses
    from skyweave.telemetry.image_metadata.image_files import find_images

    folder = args.data / "uav_brighton_beach"
    args.output.mkdir(parents=True, exist_ok=True)
    refined, mosaic = args.output / "refined.json", args.output / "strip.tif"
    files = sorted((folder / "images").glob("*.JPG"))
    strip, others = files[: len(files) // 2], files[len(files) // 2 :]
    if not refined.exists():
        poses = read_poses(folder / "poses.json")
        make_orthomosaic(files, args.output / "all.tif", refine=True, poses=poses, save_poses=refined)
    if not mosaic.exists():
        make_orthomosaic(strip, mosaic, poses=read_poses(refined), resolution=REAL_GSD_M)
    with rasterio.open(mosaic) as source:
        pixels, a = source.read(), source.transform
        crs = source.crs.to_string()
    from skyweave.core.geometry.grid import MapGrid

    grey = np.where(pixels[3] > 0, pixels[:3].astype(np.float64).mean(0), np.nan)
    grid = MapGrid(round(a.c / a.a), round(a.f / a.a), a.a, grey.shape[0], grey.shape[1], crs)
    reference, random, rows = Reference(grey, grid), np.random.default_rng(0), []
    flight = read_flight(find_images(others), poses=read_poses(refined))
    prior = prior_covariance((SHIFT_M[1] / 2, 1.0, 3.0, 1.0))
    report = []
    for photo in flight.photos:
        with Image.open(photo.path) as opened:
            factor = max(1, round(REAL_GSD_M / photo.ground_sample_distance(flight.ground)))
            image = np.asarray(opened.convert("L").reduce(factor), np.float64)
        geometry = replace(photo.geometry, camera=photo.geometry.camera.resized(*image.shape), crs=crs)
        for _ in range(args.shifts):
            angle, length = random.uniform(0, 2 * np.pi), random.uniform(*SHIFT_M)
            error = np.array([length * np.cos(angle), length * np.sin(angle), *random.normal(0, 0.5, 1)])
            error = np.append(error, np.radians(random.normal(0, (0.5, 0.5, 2.0))))
            started = time.process_time()
            found = match_pose(image, misplaced(geometry, error), flight.ground, reference, prior)
            rows.append((error, found, time.process_time() - started))
            report.append([photo.name, length, float(np.hypot(*(found.error - error)[:2])), found.reason])
            print(json.dumps(report[-1]), flush=True)
    print("| photographs | claims | before (m, deg) | after (m, deg) | wrong | seconds |\n|" + " --- |" * 6)
    print(f"| {summary(rows)} |")


if __name__ == "__main__":
    main()
