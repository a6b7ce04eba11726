"""How honest and how good places on the map are: simulated flights with errors that are known.

    python benchmarks/locating.py --json results/locating/simulation.json
    python benchmarks/locating.py --flights 10      # quickly

Clock 0.2 s, heading 3 degrees, pitch 1 degree, height 2 m, elevation of the ground 2 m, boxes by 1 pixel and 4 % of
their extent, each pose by 0.1 m and 0.1 degrees more (standard deviations). Coverage: the share of truths inside the
90 % ellipses, of single detections and of tracks. Calibration: the median error of tracks before and after what stands
still has calibrated the poses. Two drones: the error of tracks of one and of both, beside what the covariances predict.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from locating_flight import ORIGIN, Drone, FlightConfig, World

from skyweave.core.geometry import GroundPlane
from skyweave.locating.config import LocatingConfig
from skyweave.locating.tracking import CameraStream, TrackingResult, track_streams

ALTITUDES, PITCHES = (20.0, 50.0, 80.0, 120.0), (25.0, 45.0, 65.0, 90.0)
CHI_SQUARED_90 = 4.605  # of two degrees of freedom
MIN_AGE_S = 1.0  # of a track, from which it is scored


def fly(
    config: FlightConfig, seed: int, rounds: int = 0, errors: np.ndarray | None = None
) -> tuple[World, TrackingResult]:
    """Simulate a flight and track what is seen; errors of unit variance: of the camera, then of the elevation."""
    world = World(config, seed, None if errors is None else float(errors[-1]))
    drone = Drone(config, world, 1000 + 10 * seed, 0, None if errors is None else errors[:-1])
    return world, track([drone.stream()], config, rounds)


def even_errors(count: int, seed: int) -> np.ndarray:
    """Return (count, 9) errors of unit variance that fill their space evenly, as flights are few."""
    from scipy.stats import norm, qmc

    uniform = qmc.Sobol(9, seed=seed).random(count)
    return np.asarray(norm.ppf(np.clip(uniform, 1e-6, 1 - 1e-6)))


def track(streams: list[CameraStream], config: FlightConfig, rounds: int = 0) -> TrackingResult:
    """Track streams with the options of a simulated flight."""
    locating = LocatingConfig(config.errors, config.boxes, calibration_rounds=rounds)
    return track_streams(streams, GroundPlane(0.0), locating, has_utc=False)


def score_detections(world: World, result: TrackingResult) -> tuple[np.ndarray, np.ndarray]:
    """Return squared Mahalanobis distances and errors of all detections by themselves."""
    squares, errors = [], []
    for located in result.located.values():
        rows = [int(name) for name in located.detections.identities or ()]
        left = located.points[:, :2] - world.at(located.time)[0][rows, :2] - ORIGIN
        squares.append(np.einsum("ni,nij,nj->n", left, np.linalg.inv(located.covariances()), left))
        errors.append(np.linalg.norm(left, axis=1))
    return np.concatenate(squares), np.concatenate(errors)


def score_tracks(world: World, result: TrackingResult) -> dict[str, np.ndarray]:
    """Return squared Mahalanobis distances, errors and predicted errors of the points of tracks, and their objects."""
    columns: dict[str, list[float]] = {"square": [], "error": [], "predicted": [], "object": [], "time": []}
    for one in result.tracks:
        for point in one.points:
            if point.time - one.points[0].time < MIN_AGE_S:
                continue
            name = (result.located[point.platform, point.frame].detections.identities or ())[point.row]
            left = point.position - world.at(point.time)[0][int(name), :2] - ORIGIN
            columns["square"].append(float(left @ np.linalg.solve(point.covariance, left)))
            columns["error"].append(float(np.hypot(*left)))
            columns["predicted"].append(float(np.trace(point.covariance)))
            columns["object"].append(float(name))
            columns["time"].append(point.time)
    return {name: np.array(values) for name, values in columns.items()}


def coverage(flights: int) -> list[dict[str, Any]]:
    """Measure the share of truths inside the ellipses, condition by condition."""
    rows: list[dict[str, Any]] = []
    for altitude in ALTITUDES:
        for pitch in PITCHES:
            first = 10_000 * len(rows)
            single = FlightConfig(altitude, pitch, seconds=0.1, objects=8)
            draws = even_errors(4 * flights, len(rows))
            squares = [
                score_detections(*fly(single, first + seed, errors=errors))[0] for seed, errors in enumerate(draws)
            ]
            moving = FlightConfig(altitude, pitch, seconds=4.0, rate=2.5, objects=6)
            draws = even_errors(flights, 100 + len(rows))
            tracked = [
                score_tracks(*fly(moving, first + seed, errors=errors))["square"] for seed, errors in enumerate(draws)
            ]
            rows.append({
                "altitude": altitude,
                "pitch": pitch,
                "detections": int(sum(map(len, squares))),
                "inside_90_detections": _share(squares),
                "track_points": int(sum(map(len, tracked))),
                "inside_90_tracks": _share(tracked),
            })  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    return rows


def calibration(flights: int) -> dict[str, Any]:
    """Measure the error of tracks before and after calibration, at 60 m and 45 degrees."""
    config = FlightConfig(60.0, 45.0, seconds=15.0, rate=2.5, objects=25)
    before, after, inside, static = [], [], [], []
    for seed in range(flights):
        world = World(config, seed)
        streams = [Drone(config, world, 1000 + 10 * seed).stream()]
        before.append(score_tracks(world, track(streams, config)))
        result = track(streams, config, rounds=3)
        after.append(score_tracks(world, result))
        inside.append(after[-1]["square"])
        static.append(result.calibration.num_static)
    medians = [float(np.median(np.concatenate([flight["error"] for flight in of]))) for of in (before, after)]
    return {
        "flights": flights,
        "median_error_before_m": round(medians[0], 3),
        "median_error_after_m": round(medians[1], 3),
        "ratio": round(medians[1] / medians[0], 3),
        "inside_90_before": _share([flight["square"] for flight in before]),
        "inside_90_after": _share(inside),
        "median_static_objects": float(np.median(static)),
    }


def two_drones(flights: int) -> dict[str, Any]:
    """Measure the error of tracks of one and of two drones, beside what the covariances predict."""
    config = FlightConfig(60.0, 45.0, seconds=6.0, rate=2.5, objects=12, moving=0.3)
    one: dict[str, list[float]] = {"error": [], "predicted": []}
    both: dict[str, list[float]] = {"error": [], "predicted": []}
    squares, objects, split = [], 0, 0
    for seed in range(flights):
        world = World(config, seed)
        streams = [Drone(config, world, 1000 + 10 * seed + number, number).stream() for number in range(2)]
        alone = score_tracks(world, track(streams[:1], config))
        result = track(streams, config)
        fused = score_tracks(world, result)
        fused = {name: values[fused_by_both(world, result)] for name, values in fused.items()}
        squares.append(fused["square"])
        seen = {(number, time) for number, time in zip(fused["object"], fused["time"], strict=True)}
        same = np.array([pair in seen for pair in zip(alone["object"], alone["time"], strict=True)], bool)
        for name in one:
            one[name] += alone[name][same].tolist()
            both[name] += fused[name].tolist()
        objects += len(set(fused["object"]))
    measured = np.sqrt(np.mean(np.square(both["error"])) / np.mean(np.square(one["error"])))
    predicted = np.sqrt(np.mean(both["predicted"]) / np.mean(one["predicted"]))
    return {
        "flights": flights,
        "objects": objects,
        "split": split,
        "rms_error_one_m": round(float(np.sqrt(np.mean(np.square(one["error"])))), 3),
        "rms_error_two_m": round(float(np.sqrt(np.mean(np.square(both["error"])))), 3),
        "ratio_measured": round(float(measured), 3),
        "ratio_predicted": round(float(predicted), 3),
        "measured_to_predicted": round(float(measured / predicted), 3),
        "inside_90_two": _share(squares),
    }


def fused_by_both(world: World, result: TrackingResult) -> np.ndarray:
    """Return which scored points are of tracks that both drones have continued by then."""
    chosen = []
    for one in result.tracks:
        platforms: set[int] = set()
        for point in one.points:
            platforms.add(point.platform)
            if point.time - one.points[0].time >= MIN_AGE_S:
                chosen.append(len(platforms) > 1)
    return np.array(chosen, bool)


def _share(squares: list[np.ndarray]) -> float:
    return round(float((np.concatenate(squares) < CHI_SQUARED_90).mean()), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flights", type=int, default=64, help="of each condition, a power of two")
    parser.add_argument("--only", choices=("coverage", "calibration", "two_drones"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    started = time.process_time()
    parts = {"calibration": calibration, "two_drones": two_drones, "coverage": coverage}
    figures: dict[str, Any] = {}
    for name, measure in parts.items():
        if arguments.only in (None, name):
            figures[name] = measure(arguments.flights)
            print(json.dumps({name: figures[name]}, indent=1), flush=True)
    figures["processor_seconds"] = round(time.process_time() - started, 1)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
