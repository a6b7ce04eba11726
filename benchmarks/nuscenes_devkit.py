"""The ordinary nuscenes-devkit opens a recording, walks its tables, and finds its boxes where their pixels are.

Runs where nuscenes-devkit is installed (it needs numpy < 2, so not beside skyweave): ``make test-nuscenes``, or

    python benchmarks/nuscenes_devkit.py RECORDING [--version v1.0-trainval] [--at-least 0.6]

Imports nothing of skyweave. Of each car, truck or bus that is unoccluded in a picture (at least 0.95 of it visible, and
wholly inside it), the hull of its box, as the devkit projects it, is compared with its pixels in the instance raster:
intersection over union. A table by camera is printed; the exit code is 1 if the median falls below ``--at-least``.
"""

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import Box
from nuscenes.utils.geometry_utils import view_points
from PIL import Image, ImageDraw

UNOCCLUDED = 0.95
FEWEST_PIXELS = 30  # below, a box is too small on the picture to say anything
FOREIGN = {
    "sample": {"scene_token": "scene", "prev": "sample", "next": "sample"},
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
        "prev": "sample_data",
        "next": "sample_data",
    },
    "sample_annotation": {
        "sample_token": "sample",
        "instance_token": "instance",
        "visibility_token": "visibility",
        "prev": "sample_annotation",
        "next": "sample_annotation",
    },
    "instance": {
        "category_token": "category",
        "first_annotation_token": "sample_annotation",
        "last_annotation_token": "sample_annotation",
    },
    "calibrated_sensor": {"sensor_token": "sensor"},
    "scene": {"log_token": "log", "first_sample_token": "sample", "last_sample_token": "sample"},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--version", default="v1.0-trainval")
    parser.add_argument("--at-least", type=float, default=0.6)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    nusc = NuScenes(version=args.version, dataroot=str(args.recording), verbose=False)
    with contextlib.redirect_stdout(io.StringIO()):  # the devkit prints what it lists
        rows = walk_tables(nusc)
    found = measure(nusc, json.loads((args.recording / args.version / "skyweave.json").read_text()))
    everything = [value for values in found.values() for value in values]
    if not everything:
        print("no unoccluded vehicle with an instance raster was found", file=sys.stderr)
        return 1
    median = float(np.median(everything))
    if args.json:
        result: dict[str, Any] = {"rows": rows, "vehicles": len(everything), "median": median}
        result["cameras"] = {k: {"vehicles": len(v), "median": float(np.median(v))} for k, v in found.items()}
        print(json.dumps(result, indent=1))
    else:
        print(f"{rows} rows in {len(nusc.table_names)} tables, every token leads somewhere")
        print(f"{'camera':<20}{'vehicles':>10}{'IoU 5 %':>10}{'median':>10}{'IoU 95 %':>10}")
        for camera, values in [*found.items(), ("all", everything)]:
            low, middle, high = np.percentile(values, [5, 50, 95])
            print(f"{camera:<20}{len(values):>10}{low:>10.3f}{middle:>10.3f}{high:>10.3f}")
    return 0 if median > args.at_least else 1


def walk_tables(nusc: NuScenes) -> int:
    """Follow every token of every row and every chain; read every picture's path; returns the number of rows."""
    for table, keys in FOREIGN.items():
        for row in getattr(nusc, table):
            for key, other in keys.items():
                if row[key] != "":
                    nusc.get(other, row[key])
    for scene in nusc.scene:
        token, count = scene["first_sample_token"], 0
        while token:
            sample = nusc.get("sample", token)
            for data in sample["data"].values():
                path, _, intrinsics = nusc.get_sample_data(data)
                assert Path(path).exists(), f"{path} is missing"
                assert intrinsics.shape == (3, 3)
            for annotation in sample["anns"]:
                nusc.box_velocity(annotation)
            token, count = sample["next"], count + 1
        assert count == scene["nbr_samples"], f"{scene['name']}: {count} samples, not {scene['nbr_samples']}"
    for instance in nusc.instance:
        token, count = instance["first_annotation_token"], 0
        while token:
            token, count = nusc.get("sample_annotation", token)["next"], count + 1
        assert count == instance["nbr_annotations"]
    nusc.list_scenes()
    nusc.list_categories()
    nusc.list_attributes()
    return sum(len(getattr(nusc, table)) for table in nusc.table_names)


def measure(nusc: NuScenes, extras: dict[str, Any]) -> dict[str, list[float]]:
    """Intersection over union by camera, of all unoccluded vehicles."""
    found: dict[str, list[float]] = {}
    for sample in nusc.sample:
        known = extras["frames"][sample["token"]]
        order = known["annotations"] or []
        for channel, data in sorted(sample["data"].items()):
            capture, shares = extras["captures"][data], known["visibility"].get(channel)
            if capture["instances"] is None or shares is None:
                continue
            with Image.open(Path(nusc.dataroot) / capture["instances"]) as image:
                instances = np.asarray(image).astype(np.int64) - 1
            _, boxes, intrinsics = nusc.get_sample_data(data)
            for box in boxes:
                index = order.index(box.token)
                if not is_car_like(box.name) or shares[index] < UNOCCLUDED:
                    continue
                value = overlap(box, intrinsics, instances == index)
                if value is not None:
                    found.setdefault(channel, []).append(value)
    return found


def is_car_like(name: str) -> bool:
    """Vehicles that fill their box; a bicycle is mostly holes."""
    return name.startswith("vehicle.") and not name.endswith("cycle")


def overlap(box: Box, intrinsics: np.ndarray, pixels: np.ndarray) -> float | None:
    """Of the hull of a box and the pixels of an object; None where it is cut by the border, behind, or too small."""
    corners = box.corners()
    rows, columns = pixels.shape
    if (corners[2] <= 0.1).any() or np.count_nonzero(pixels) < FEWEST_PIXELS:
        return None
    projected = view_points(corners, intrinsics, normalize=True)[:2].T
    if (projected < 0).any() or (projected > [columns, rows]).any():
        return None
    canvas = Image.new("1", (columns * 4, rows * 4))  # finer than the pixels, whose centres are then asked
    ImageDraw.Draw(canvas).polygon([tuple(point * 4) for point in hull(projected)], fill=1)
    inside = np.asarray(canvas)[2::4, 2::4]
    return float(np.count_nonzero(inside & pixels) / np.count_nonzero(inside | pixels))


def hull(points: np.ndarray) -> np.ndarray:
    """(m, 2) convex hull of (n, 2) points in order (monotone chain)."""
    ordered = sorted(map(tuple, points))

    def half(sequence: Any) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for x, y in sequence:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2], chain[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return np.array(half(ordered) + half(reversed(ordered)))


if __name__ == "__main__":
    sys.exit(main())
