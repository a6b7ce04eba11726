"""Where a platform finds itself on a base map: simulated drones, drift without satellite navigation, a real flight.

    skyweave simulate configs/world/union.yaml -o recordings/pose --scenes 20 --frames 16 --seed 900 --set validation=0
    OMP_NUM_THREADS=1 python benchmarks/pose_on_map.py simulated --recording recordings/pose
    OMP_NUM_THREADS=1 python benchmarks/pose_on_map.py drift --recording recordings/pose
    OMP_NUM_THREADS=1 python benchmarks/pose_on_map.py real --data ../shared/data -o /tmp/pose
    OMP_NUM_THREADS=1 python benchmarks/pose_on_map.py naip --data ../shared/data

`simulated`: drones at 15 to 35 m whose stated poses are wrong by 1.5 m and 3 degrees of heading, then by 10 m and 5
degrees (standard deviations; 2 m of height and 1 degree of roll and pitch in both), each image by itself, against an
orthophoto of 1 m of another season with other traffic. `drift`: navigation drifts for five minutes as a random walk, an
image every few seconds of a hovering drone (recorded frames come again and again). `real`: one strip of Brighton Beach
as the mosaic, photographs of the other one with positions shifted by 5 to 20 m; the truth is where bundle adjustment of
all photographs puts them. Beside the camera's place stands that of the middle of the photograph on the ground. `naip`:
NAIP of 2017 (5 m pixels) as seen straight down by a camera over the ground, on that of 2014.

A claim is an estimate that the matcher believes. It is wrong where an error east, north or of the heading is above
three of its own standard deviations.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from result_file import write_result

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import make_transform, rotation_from_vector
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.locating import NavigationErrorConfig, PoseEstimate, PoseFilter, Reference, grey_values, match_pose
from skyweave.locating.map_matching import prior_covariance
from skyweave.orthomosaic import make_orthomosaic
from skyweave.orthomosaic.flight import read_flight
from skyweave.orthomosaic.poses import read_poses
from skyweave.perception import load_scenes
from skyweave.recordings.recording import RecordedScene
from skyweave.telemetry.image_metadata.image_files import find_images

SETTINGS = {"1.5 m, 3 degrees": (1.5, 2.0, 3.0, 1.0), "10 m, 5 degrees": (10.0, 2.0, 5.0, 1.0)}
JUDGED = [0, 1, 5]  # east, north, heading
SHIFT_M = (5.0, 20.0)
REAL_GSD_M = 0.2
NAIP_YEARS, NAIP_SIDE, NAIP_SHIFT_M = ("2014", "2017"), 160, (20.0, 80.0)
DRIFT_COLUMNS = (
    "uncorrected at the end (m)", "first minute, median (m)", "last minute, median (m)", "median (m)", "largest (m)",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("simulated", "drift", "real", "naip"))
    parser.add_argument("--recording", type=Path, help="of configs/world/union.yaml")
    parser.add_argument("--data", type=Path, help="folder of the real imagery")
    parser.add_argument("-o", "--output", type=Path, help="folder of the mosaics of the real flight")
    parser.add_argument("--images", type=int, default=200, help="at most, of each setting")
    parser.add_argument("--every", type=int, default=8, help="take every so many-th frame")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seconds", type=float, default=300, help="of the drift")
    parser.add_argument("--interval", type=float, default=5, help="seconds between images of the drift")
    parser.add_argument("--walk", type=float, default=0.3, help="of the drift, metres in the first second")
    parser.add_argument("--minutes", type=float, default=60, help="that a setting may take: images are fewer then")
    parser.add_argument("--json", type=Path, help="write the table as a file of results/")
    parser.add_argument("--skip", type=int, default=0, help="scenes of the recording to leave out")
    parser.add_argument("--shifts", type=int, default=3, help="of each real photograph")
    args = parser.parse_args()
    {"simulated": simulated, "drift": drift, "real": real, "naip": naip}[args.what](args)


Row = tuple[np.ndarray, PoseEstimate, float]
"""The error of a stated pose, what was found, and processor seconds."""


def simulated(args: argparse.Namespace) -> None:
    """Single images."""
    cells = []
    for name in args.settings:
        prior = prior_covariance(SETTINGS[name])
        random, rows, ends = np.random.default_rng(0), [], time.monotonic() + 60 * args.minutes
        for image, geometry, ground, reference in views(load_scenes([args.recording], None)[args.skip :], args.every):
            error = random.multivariate_normal(np.zeros(6), prior)
            rows.append(measure(image, geometry, error, ground, reference, prior))
            if len(rows) >= args.images or time.monotonic() > ends:
                break
        cells.append({"errors of stated poses": name, **summary(rows)})
        print(cells[-1], flush=True)
    show(args, "Poses of single simulated images on an orthophoto", cells)


def measure(
    image: np.ndarray,
    geometry: CameraGeometry,
    error: np.ndarray,
    ground: Ground,
    reference: Reference,
    prior: np.ndarray,
) -> Row:
    """Find a pose that was stated with an error."""
    started = time.process_time()
    found = match_pose(image, misplaced(geometry, error), ground, reference, prior)
    print(found.reason or "known", np.round([*(found.error - error)], 3).tolist(), file=sys.stderr, flush=True)
    return error, found, time.process_time() - started


def show(args: argparse.Namespace, title: str, cells: Sequence[dict[str, str]], note: str = "") -> None:
    """Print a table, and write it where it was asked for."""
    print(f"| {' | '.join(cells[0])} |\n|{' --- |' * len(cells[0])}")
    for row in cells:
        print(f"| {' | '.join(row.values())} |", flush=True)
    if args.json:
        write_result(args.json, title, cells, note)


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


def summary(rows: Sequence[Row]) -> dict[str, str]:
    """Cells of a table."""
    claimed = [(error, found) for error, found, _ in rows if found.known]
    cells = {"images": str(len(rows)), "claims": f"{len(claimed) / len(rows):.0%}"}
    before, after = [error for error, _ in claimed], [found.error - error for error, found in claimed]
    wrong = sum(is_wrong(error, found) for error, found in claimed)
    return {
        **cells,
        "before, median (m, degrees)": median_errors(before) if claimed else "",
        "after, median (m, degrees)": median_errors(after) if claimed else "",
        "wrong claims": f"{wrong} of {len(claimed)}",
        "processor seconds an image": f"{np.mean([seconds for _, _, seconds in rows]):.1f}",
    }


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
    scenes, config = load_scenes([args.recording], None)[args.skip :], NavigationErrorConfig(drift=args.walk)
    table, ends = [], time.monotonic() + 60 * args.minutes
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
            print(number, step, round(uncorrected, 2), round(left[-1], 2), found.reason, file=sys.stderr, flush=True)
        minute = max(1, int(60 / args.interval))
        figures = uncorrected, np.median(left[:minute]), np.median(left[-minute:]), np.median(left), max(left)
        values = dict(zip(DRIFT_COLUMNS, (f"{value:.2f}" for value in figures), strict=True))
        table.append({"drone": str(number + 1), **values, "claims": f"{claims / steps:.0%}"})
        if time.monotonic() > ends:
            break
    show(args, "Navigation that drifts, corrected on an orthophoto", table)


def real(args: argparse.Namespace) -> None:
    """Photographs of one strip on the mosaic of another."""
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
    grey = np.where(pixels[3] > 0, pixels[:3].astype(np.float64).mean(0), np.nan)
    grid = MapGrid(round(a.c / a.a), round(a.f / a.a), a.a, grey.shape[0], grey.shape[1], crs)
    reference, random, rows = Reference(grey, grid), np.random.default_rng(0), []
    flight = read_flight(find_images(others), poses=read_poses(refined))
    prior = prior_covariance((SHIFT_M[1] / 2, 0.5, 2.0, 0.5))
    centres, ends = [], time.monotonic() + 60 * args.minutes
    for _ in range(args.shifts):
        for photo in flight.photos:
            with Image.open(photo.path) as opened:
                factor = max(1, round(REAL_GSD_M / photo.ground_sample_distance(flight.ground)))
                image = np.asarray(opened.convert("L").reduce(factor), np.float64)
            geometry = replace(photo.geometry, camera=photo.geometry.camera.resized(*image.shape), crs=crs)
            error = shift_of(random)
            rows.append(measure(image, geometry, error, flight.ground, reference, prior))
            found = rows[-1][1]
            if found.known:
                corrected = found.correct(misplaced(geometry, error))
                centres.append(np.linalg.norm(middle(corrected, flight.ground) - middle(geometry, flight.ground)))
            if time.monotonic() > ends:
                break
    on_ground = {"middle on the ground, median (m)": f"{np.median(centres):.2f}" if centres else ""}
    show(args, "Photographs of one strip on the mosaic of another", [{**summary(rows), **on_ground}])


def shift_of(random: np.random.Generator, metres: tuple[float, float] = SHIFT_M, tilt: float = 0.5) -> np.ndarray:
    """(6,) error: some metres in any direction, 0.5 m up, 2 degrees of heading, and of tilt."""
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(*metres)
    turn = np.radians(random.normal(0, (tilt, tilt, 2.0)))
    return np.array([length * np.cos(angle), length * np.sin(angle), random.normal(0, 0.5), *turn])


def middle(geometry: CameraGeometry, ground: Ground) -> np.ndarray:
    """(2,) where the middle of an image is on the ground."""
    ray = geometry.world_rays(np.array([[geometry.camera.columns / 2, geometry.camera.rows / 2]]))
    depth = np.asarray(ground.depth(geometry.position, ray))
    point: np.ndarray = (geometry.position + depth[:, None] * ray)[0, :2]
    return point


def naip(args: argparse.Namespace) -> None:
    """Parts of one year, as seen straight down, on the whole of another."""
    grey, grid = {}, None
    for year in NAIP_YEARS:
        path = next((args.data / "naip_5m").glob(f"*_{year}*_west.tif"))
        with rasterio.open(path) as source:
            pixels, a = source.read(), source.transform
        grey[year] = np.where((pixels[:3] > 0).any(0), pixels[:3].astype(np.float64).mean(0), np.nan)
        rows_of_grid, columns = grey[year].shape
        grid = MapGrid(round(a.c / a.a), round(a.f / a.a), a.a, rows_of_grid, columns, "EPSG:26914")
    assert grid is not None
    reference, side = Reference(grey[NAIP_YEARS[0]], grid), NAIP_SIDE
    camera = PinholeCamera.from_field_of_view(np.radians(60), side, side)
    height = side * grid.resolution / (2 * np.tan(np.radians(30)))
    random, prior = np.random.default_rng(0), prior_covariance((40.0, 1.0, 2.0, 0.05))
    rows: list[Row] = []
    ends = time.monotonic() + 60 * args.minutes
    while len(rows) < args.images and time.monotonic() < ends:
        row, column = random.integers(side // 4, np.array(grid.shape) - side - side // 4)
        image = grey[NAIP_YEARS[1]][row : row + side, column : column + side]
        if not (image.shape == (side, side) and np.isfinite(image).all()):
            continue
        x, y = grid.world_from_cells(np.array([row, column]) + side / 2)
        pose = make_transform(np.diag([1.0, -1.0, -1.0]), np.array([x, y, height]))
        geometry = CameraGeometry(camera, pose, grid.crs)
        error = shift_of(random, NAIP_SHIFT_M, 0.02)
        rows.append(measure(image, geometry, error, GroundPlane(0.0), reference, prior))
    show(args, f"NAIP of {NAIP_YEARS[1]} on that of {NAIP_YEARS[0]}, pixels of 5 m", [summary(rows)])


if __name__ == "__main__":
    main()
