"""Our metrics against those that the field runs: nuscenes-devkit (detection, tracking, prediction) and FIERY (VPQ).

    python benchmarks/metric_parity.py --devkit ENVIRONMENT/bin/python [--fiery CHECKOUT] [--cases 200] [--seed 0]

The devkit needs numpy < 2, so it runs in an environment of its own (``pip install nuscenes-devkit motmetrics==1.4.0
pandas``), as a second process of this file, which there imports nothing of skyweave. Cases are random and adversarial:
empty, duplicate, tied, of one class, far away, hidden, on the threshold. One table is printed, of the largest
difference of every figure; the exit code is 1 if any is above 1e-6 (1e-5 for FIERY, which sums in single precision).

``--golden FILE`` writes a small set of cases with the devkit's figures, for the tests.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VEHICLES = ("car", "truck", "bus", "trailer", "construction_vehicle")
NAMES = (*VEHICLES, "pedestrian", "motorcycle", "bicycle", "traffic_cone", "barrier")  # of the devkit, in its order
TRACKED = ("bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck")
VALIDATION = ["scene-0003", "scene-0012"]  # names of the devkit's own split, which it wants scenes to have
ATTRIBUTES = ["", "vehicle.moving", "vehicle.parked", "pedestrian.moving"]
Columns = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devkit", help="python of an environment with nuscenes-devkit")
    parser.add_argument("--fiery", type=Path, help="checkout of github.com/wayveai/fiery")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--golden", type=Path)
    parser.add_argument("--theirs", type=Path, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.theirs:
        cases = json.loads(args.theirs[0].read_text())
        args.theirs[1].write_text(json.dumps([THEIRS[case["kind"]](case) for case in cases]))
        return 0
    if args.golden:
        cases = [make(seed, small=True) for make, count in GOLDEN.items() for seed in range(count)]
        for case, figures in zip(cases, devkit(args.devkit, cases), strict=True):
            telling = {name: value for name, value in figures.items() if "/" not in name or value % 1 > 0}
            case["figures"] = {name: round(value, 9) for name, value in telling.items()}
        args.golden.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
        return 0
    worst: dict[str, tuple[float, str]] = {}
    if args.devkit:
        seeds = range(args.seed, args.seed + args.cases)
        cases = [make(seed) for make in MAKERS for seed in seeds]
        for case, theirs in zip(cases, devkit(args.devkit, cases), strict=True):
            note(worst, case, OURS[case["kind"]](case), theirs)
    if args.fiery:
        fiery = load_fiery(args.fiery)
        for seed in range(args.seed, args.seed + args.cases):
            case = instance_case(seed)
            note(worst, case, our_instances(case), fiery(case))
    print(f"{'figure':<34}{'largest difference':>20}  case")
    for name, (difference, where) in sorted(worst.items()):
        print(f"{name:<34}{difference:>20.2g}  {where}")
    return int(any(value > (1e-5 if name.startswith("instances") else 1e-6) for name, (value, _) in worst.items()))


def devkit(python: str, cases: list[Columns]) -> list[Columns]:
    """What the devkit says of each case, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given, said = Path(folder) / "cases.json", Path(folder) / "figures.json"
        given.write_text(json.dumps(cases))
        run = subprocess.run([python, __file__, "--theirs", given, said], capture_output=True, text=True)
        if run.returncode:  # else it holds nothing but thousands of warnings
            raise RuntimeError(f"the devkit failed: {run.stderr[-2000:]}")
        result: list[Columns] = json.loads(said.read_text())
        return result


def note(worst: dict[str, tuple[float, str]], case: Columns, ours: Columns, theirs: Columns) -> None:
    """Keep the largest difference of each figure; NaN equals NaN, and nothing else."""
    assert ours.keys() == theirs.keys(), f"{sorted(ours)} against {sorted(theirs)}"
    for name, value in ours.items():
        both = np.array([value, theirs[name]], float)
        difference = 0.0 if np.isnan(both).all() else float(np.nan_to_num(abs(both[0] - both[1]), nan=np.inf))
        label = f"{case['kind']} {name.split('/')[0]}"
        where = f"{case['name']}: {name} {value!r} against {theirs[name]!r}"
        worst[label] = max(worst.get(label, (-1.0, "")), (difference, where))


# ---------------------------------------------------------------------------------------------------- cases


def detection_case(seed: int, small: bool = False) -> Columns:
    """Frames of objects and predictions, with one or several adversarial changes."""
    random = np.random.default_rng([1, seed])
    frames, most = (2, 12) if small else (int(random.integers(1, 6)), int(random.integers(1, 60)))
    truth = [_boxes(random, int(random.integers(0, most + 1))) for _ in range(frames)]
    predicted = [_predictions(random, columns) for columns in truth]
    changes = list(CHANGES)
    first = changes[seed % (len(changes) + 1) - 1] if seed % (len(changes) + 1) else None
    chosen = [first] if first else []
    if seed >= len(changes):
        chosen += [name for name in changes if name != first and random.random() < 0.1]
    for name in chosen:
        for t, p in zip(truth, predicted, strict=True):
            CHANGES[name](random, t, p)
    return {
        "kind": "detection",
        "name": f"{seed} {' + '.join(chosen) or 'random'}",
        "truth": [_rounded(t) for t in truth],
        "predicted": [_rounded(p) for p in predicted],
        "origins": np.round(random.normal(0, 5, (frames, 2)), 3).tolist(),
        "ranges": bool(random.random() < 0.3),
    }


def tracking_case(seed: int, small: bool = False) -> Columns:
    """Scenes of tracks with misses, switches, clutter, gaps, ties and duplicates."""
    random = np.random.default_rng([2, seed])
    names = [TRACKED[i] for i in random.permutation(len(TRACKED))[: 1 + seed % 3]]
    scenes = [_track_scene(random, names, small, seed) for _ in range(1 if small else 1 + seed % 2)]
    return {"kind": "tracking", "name": f"{seed}", "scenes": scenes}


def prediction_case(seed: int, small: bool = False) -> Columns:
    """Futures of objects; probabilities without ties, whose order numpy's unstable sort leaves open."""
    random = np.random.default_rng([3, seed])
    n, modes, steps = (
        int(random.integers(1, 4 if small else 20)),
        int(random.integers(1, 12)),
        int(random.integers(1, 9)),
    )
    path = random.normal(0, 2, (n, steps, 2)).cumsum(1)
    probabilities = random.permuted(np.tile(np.arange(1.0, modes + 1), (n, 1)), axis=1)
    probabilities /= probabilities.sum(1, keepdims=True)
    guess = path[:, None] + random.normal(0, random.choice([0.1, 1, 3]), (n, modes, steps, 2))
    return {
        "kind": "prediction",
        "name": f"{seed}",
        "truth": np.round(path, 3).tolist(),
        "modes": np.round(guess, 3).tolist(),
        "probabilities": probabilities.tolist(),
    }


def instance_case(seed: int) -> Columns:
    """Sequences of moving rectangles, with lost, merged, split and renamed ones."""
    random = np.random.default_rng([4, seed])
    moments, side, count = int(random.integers(1, 7)), 40, int(random.integers(0, 9))
    truth, predicted = np.zeros((2, moments, side, side), int)
    place, step = random.uniform(0, side, (count, 2)), random.normal(0, 2, (count, 2))
    size = random.integers(1, 9, (count, 2))
    names = random.permutation(count) + 1
    for moment in range(moments):
        for i in range(count):
            row, column = (place[i] + step[i] * moment).astype(int)
            truth[moment, max(row, 0) : max(row + size[i, 0], 0), max(column, 0) : max(column + size[i, 1], 0)] = i + 1
            if random.random() < 0.2:  # renamed, perhaps to a name in use
                names[i] = random.integers(1, count + 4)
            if random.random() < 0.8:
                row, column = (row, column) + random.integers(-1, 2, 2) * (random.random() < 0.5)
                to = max(row + size[i, 0], 0), max(column + size[i, 1], 0)
                predicted[moment, max(row, 0) : to[0], max(column, 0) : to[1]] = names[i]
    return {"kind": "instances", "name": f"{seed}", "truth": truth.tolist(), "predicted": predicted.tolist()}


def _boxes(random: np.random.Generator, count: int) -> Columns:
    return {
        "centre": np.concatenate([random.uniform(-20, 20, (count, 2)), random.normal(0, 1, (count, 1))], 1),
        "size": random.uniform(0.5, 6, (count, 3)),
        "yaw": random.uniform(-7, 7, count),
        "velocity": random.normal(0, 3, (count, 2)),
        "name": [NAMES[i] for i in random.integers(0, len(NAMES) - 2 * (count % 2), count)],
        "attribute": [ATTRIBUTES[i] for i in random.integers(0, len(ATTRIBUTES), count)],
        "seen": np.ones(count),
    }


def _predictions(random: np.random.Generator, truth: Columns) -> Columns:
    """Around most objects, some twice, with clutter, in any order."""
    n = len(truth["yaw"])
    kept = np.flatnonzero(random.random(n) < 0.8)
    kept = random.permutation(np.concatenate([kept, kept[random.random(len(kept)) < 0.3]]))
    clutter = _boxes(random, int(random.integers(0, n + 1)))
    spread = random.choice([0.2, 1.0, 3.0])
    columns: Columns = {
        "centre": truth["centre"][kept] + random.normal(0, spread, (len(kept), 3)),
        "size": truth["size"][kept] * np.exp(random.normal(0, 0.2, (len(kept), 3))),
        "yaw": truth["yaw"][kept] + random.normal(0, 0.5, len(kept)),
        "velocity": truth["velocity"][kept] + random.normal(0, 1, (len(kept), 2)),
        "name": [truth["name"][i] if random.random() < 0.9 else NAMES[random.integers(10)] for i in kept],
        "attribute": [truth["attribute"][i] if random.random() < 0.7 else ATTRIBUTES[1] for i in kept],
    }
    result = {
        key: values + clutter[key] if isinstance(values, list) else np.concatenate([values, clutter[key]])
        for key, values in columns.items()
    }
    result["score"] = random.random(len(result["yaw"]))
    return result


def _keep(columns: Columns, which: np.ndarray) -> None:
    which = np.asarray(which, int)
    for key, values in columns.items():
        columns[key] = [values[i] for i in which] if isinstance(values, list) else values[which]


def _ties(random: np.random.Generator, t: Columns, p: Columns) -> None:
    """Predictions amid two objects that are equally near, on a slant, of other size."""
    _keep(p, np.arange(min(len(p["yaw"]), len(t["yaw"]) // 2)))
    for i in range(len(p["yaw"])):
        offset = np.round(random.uniform(0.1, 0.9, 2), 3)
        t["centre"][2 * i, :2] = p["centre"][i, :2] = np.round(p["centre"][i, :2], 3)
        t["centre"][2 * i, :2] += offset
        t["centre"][2 * i + 1, :2] = p["centre"][i, :2] + offset[::-1] * (-1, 1)
        t["name"][2 * i] = t["name"][2 * i + 1] = p["name"][i] = NAMES[0]


def _on_threshold(random: np.random.Generator, t: Columns, p: Columns) -> None:
    _keep(p, np.arange(min(len(p["yaw"]), len(t["yaw"]))))
    for i in range(len(p["yaw"])):
        t["centre"][i] = np.round(t["centre"][i])
        p["centre"][i] = t["centre"][i] + random.choice([0.5, 1, 2, 4]) * np.eye(3)[random.integers(2)]
        p["name"][i] = t["name"][i]


def _rename(to: str) -> Callable[[np.random.Generator, Columns, Columns], None]:
    def change(random: np.random.Generator, t: Columns, p: Columns) -> None:
        p["name"] = [to] * len(p["name"])

    return change


def _set(which: str, key: str, value: Callable[..., Any]) -> Callable[[np.random.Generator, Columns, Columns], None]:
    def change(random: np.random.Generator, t: Columns, p: Columns) -> None:
        for columns in (t, p) if which == "both" else (t,) if which == "truth" else (p,):
            columns[key] = value(random, columns[key])

    return change


CHANGES: dict[str, Callable[[np.random.Generator, Columns, Columns], None]] = {
    "no predictions": lambda random, t, p: _keep(p, np.zeros(0)),
    "no objects": lambda random, t, p: _keep(t, np.zeros(0)),
    "duplicates": lambda random, t, p: _keep(p, np.repeat(np.arange(len(p["yaw"])), 3)),
    "one score": _set("predicted", "score", lambda random, s: np.full_like(s, 0.5)),
    "few scores": _set("predicted", "score", lambda random, s: np.round(s, 1)),
    "zero scores": _set("predicted", "score", lambda random, s: s * (random.random(len(s)) < 0.5)),
    "far away": _set("predicted", "centre", lambda random, c: c + 1e5 * (random.random((len(c), 1)) < 0.5)),
    "one class": _rename("car"),
    "cones": _rename("traffic_cone"),
    "barriers": _rename("barrier"),
    "all barriers": _set("both", "name", lambda random, names: ["barrier"] * len(names)),
    "all cones": _set("both", "name", lambda random, names: ["traffic_cone"] * len(names)),
    "all cars": _set("both", "name", lambda random, names: ["car"] * len(names)),
    "ties of distance": _ties,
    "on the threshold": _on_threshold,
    "hidden": _set("truth", "seen", lambda random, s: (random.random(len(s)) < 0.5) * 1.0),
    "unknown velocity": _set(
        "both", "velocity", lambda random, v: np.where(random.random((len(v), 1)) < 0.5, np.nan, v)
    ),
    "no velocity": _set("both", "velocity", lambda random, v: np.full_like(v, np.nan)),
    "no attributes": _set("both", "attribute", lambda random, a: [""] * len(a)),
    "backwards": _set("predicted", "yaw", lambda random, y: y + np.pi * (random.random(len(y)) < 0.5)),
    "one prediction": lambda random, t, p: _keep(p, np.arange(min(len(p["yaw"]), 1))),
    "projected": _set("both", "centre", lambda random, c: c + np.array([5e5, 5.4e6, 0])),
    "one place": _set("both", "centre", lambda random, c: np.zeros_like(c)),
}


def _rounded(columns: Columns) -> Columns:
    return {k: v if isinstance(v, list) else np.round(v, 6 if k == "yaw" else 3).tolist() for k, v in columns.items()}


def _track_scene(random: np.random.Generator, names: list[str], small: bool, seed: int) -> Columns:
    frames, count = (8, 4) if small else (int(random.integers(1, 25)), int(random.integers(0, 12)))
    start, speed = random.uniform(-12, 12, (count, 2)), random.normal(0, 0.6, (count, 2))
    kinds = [names[i] for i in random.integers(0, len(names), count)]
    confidence = np.round(random.random(count), 1 if seed % 4 == 1 else 3)
    track = [f"t{i}" for i in range(count)]
    noise = random.choice([0.1, 0.7, 1.5])
    scene: Columns = {"truth": [], "predicted": []}
    born, dead = random.integers(0, frames, (2, count))
    for frame in range(frames):
        rows, found = [], []
        for i in range(count):
            x, y = start[i] + speed[i] * frame
            there = born[i] <= frame <= dead[i] or seed % 3 == 0
            if there and random.random() < 0.9:  # the others are gaps that are filled
                rows.append([f"o{i}", kinds[i], x, y])
            if seed % 6 != 5 and there and random.random() < 0.8:
                if random.random() < 0.1:
                    track[i] = f"t{i}.{frame}"
                x, y = np.array([x, y]) + random.normal(0, noise, 2)
                found.append(
                    [track[i], kinds[i], x, y, float(np.clip(confidence[i] + random.normal(0, 0.05), 0.01, 1))]
                )
                if seed % 5 == 4:  # a second track on the same spot
                    found.append([track[i] + "'", *found[-1][1:]])
        if random.random() < 0.5:
            found.append([f"c{frame}", names[0], *random.uniform(-12, 12, 2), 0.5])
        scene["truth"].append([[*row[:2], *np.round(row[2:], 3)] for row in rows])
        scene["predicted"].append([[*row[:2], *np.round(row[2:], 3)] for row in found])
    return scene


MAKERS: list[Callable[..., Columns]] = [detection_case, tracking_case, prediction_case]
GOLDEN: dict[Callable[..., Columns], int] = {detection_case: len(CHANGES) + 5, tracking_case: 12, prediction_case: 4}


# ---------------------------------------------------------------------------------------------------- ours


def our_detection(case: Columns) -> Columns:
    from skyweave.core.geometry.boxes import Boxes
    from skyweave.perception.metrics import NDS_DEFINITIONS, NUSCENES_RANGES, DetectionConfig, evaluate_detection
    from skyweave.perception.metrics.detection import TP_METRICS
    from skyweave.perception.results import Detections
    from skyweave.recordings.recording import Annotations

    def boxes(columns: Columns) -> Boxes:
        return Boxes(np.array(columns["centre"]), np.array(columns["size"]), np.array(columns["yaw"]))

    truth = [
        Annotations(
            boxes(c),
            np.array(c["velocity"]),
            tuple(c["name"]),
            tuple(map(str, range(len(c["yaw"])))),
            {"any": np.array(c["seen"])},
        )
        for c in case["truth"]
    ]
    predicted = [
        Detections(
            boxes(c), np.array(c["velocity"]), tuple(c["name"]), np.array(c["score"]), attributes=tuple(c["attribute"])
        )
        for c in case["predicted"]
    ]
    config = DetectionConfig(class_ranges=NUSCENES_RANGES if case["ranges"] else None)
    found = evaluate_detection(
        truth, predicted, NAMES, config, np.array(case["origins"]), attributes=[c["attribute"] for c in case["truth"]]
    )
    figures = {"mAP": found.mean_ap, "NDS": found.nds}
    figures |= {short: found.errors[name] for name, short in TP_METRICS.items()}
    for name, score in found.classes.items():
        figures |= {f"AP/{name}/{threshold}": value for threshold, value in score.ap.items()}
        figures |= {f"{TP_METRICS[error][1:]}/{name}": value for error, value in score.errors.items()}
    assert set(NDS_DEFINITIONS["nuscenes"]) == set(TP_METRICS)
    return figures


def our_tracking(case: Columns) -> Columns:
    from skyweave.core.geometry.boxes import Boxes
    from skyweave.perception.metrics import TrackedSequence, evaluate_tracking
    from skyweave.perception.results import Detections
    from skyweave.recordings.recording import Annotations

    def parts(rows: list[Any]) -> tuple[Boxes, np.ndarray, tuple[str, ...], tuple[str, ...]]:
        centres = np.array([[x, y, 0.0] for _, _, x, y, *_ in rows]).reshape(-1, 3)
        boxes = Boxes(centres, np.ones_like(centres), centres[:, 0] * 0)
        return boxes, centres[:, :2] * 0, tuple(row[1] for row in rows), tuple(row[0] for row in rows)

    scenes = []
    for scene in case["scenes"]:
        truth = [Annotations(*parts(rows)) for rows in scene["truth"]]
        predicted = []
        for rows in scene["predicted"]:
            boxes, velocities, names, tracks = parts(rows)
            scores = np.array([row[4] for row in rows])
            predicted.append(Detections(boxes, velocities, names, scores, instances=tracks))
        scenes.append(TrackedSequence(truth, predicted, np.arange(len(truth)) * 500_000))
    found = evaluate_tracking(scenes, TRACKED)
    figures = {name: found.overall(name) for name in found.classes["car"]}
    return figures | {f"{k}/{c}": v for c, values in found.classes.items() for k, v in values.items()}


def our_prediction(case: Columns) -> Columns:
    from skyweave.perception.metrics import evaluate_trajectories

    ks = (1, 3, 5, 10)
    found = evaluate_trajectories(np.array(case["truth"]), np.array(case["modes"]), np.array(case["probabilities"]), ks)
    named = {"minADE": found.min_ade, "minFDE": found.min_fde, "miss": found.miss_rate}
    return {f"{name}/{k}": value for name, values in named.items() for k, value in values.items()}


def our_instances(case: Columns) -> Columns:
    from skyweave.perception.metrics import panoptic_quality, video_panoptic_quality

    figures: Columns = {}
    for name, measure in (("V", video_panoptic_quality), ("", panoptic_quality)):
        found = measure(np.array(case["truth"]), np.array(case["predicted"]))
        values = {"PQ": found.pq, "SQ": found.sq, "RQ": found.rq}
        figures |= {name + key: float(np.nan_to_num(value)) for key, value in values.items()}  # FIERY's are 0
    return figures


OURS = {"detection": our_detection, "tracking": our_tracking, "prediction": our_prediction}


# ---------------------------------------------------------------------------------------------------- theirs


class Tables:
    """As much of the devkit's ``NuScenes`` as its filters and loaders ask for."""

    def __init__(self, scenes: list[list[Any]]) -> None:
        """``scenes``: for each its frames' ego positions."""
        self.rows: dict[str, dict[str, Any]] = {"sample": {}, "scene": {}, "sample_data": {}, "ego_pose": {}}
        for s, frames in enumerate(scenes):
            names = [f"{s}-{f}" for f in range(len(frames))]
            scene = {"name": VALIDATION[s], "first_sample_token": names[0], "last_sample_token": names[-1]}
            self.rows["scene"][str(s)] = scene
            for f, (name, origin) in enumerate(zip(names, frames, strict=True)):
                self.rows["sample"][name] = {
                    "scene_token": str(s),
                    "timestamp": f * 500_000,
                    "next": names[f + 1] if f + 1 < len(names) else "",
                    "anns": [],
                    "data": {"LIDAR_TOP": name},
                }
                self.rows["sample_data"][name] = {"ego_pose_token": name}
                self.rows["ego_pose"][name] = {"translation": [*origin, 0.0]}

    def get(self, table: str, token: str) -> Any:
        return self.rows[table][token]


def their_detection(case: Columns) -> Columns:
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes
    from nuscenes.eval.detection.data_classes import DetectionBox
    from nuscenes.eval.detection.evaluate import DetectionEval

    def boxes(frames: list[Columns]) -> EvalBoxes:
        result = EvalBoxes()
        for number, c in enumerate(frames):
            result.add_boxes(
                f"0-{number}",
                [
                    DetectionBox(
                        sample_token=f"0-{number}",
                        translation=tuple(c["centre"][i]),
                        size=(c["size"][i][1], c["size"][i][0], c["size"][i][2]),
                        rotation=(np.cos(c["yaw"][i] / 2), 0.0, 0.0, np.sin(c["yaw"][i] / 2)),
                        velocity=tuple(c["velocity"][i]),
                        num_pts=int(c["seen"][i]) if "seen" in c else -1,
                        detection_name=c["name"][i],
                        detection_score=float(c["score"][i]) if "score" in c else -1.0,
                        attribute_name=c["attribute"][i],
                    )
                    for i in range(len(c["yaw"]))
                ],
            )
        return result

    evaluation = DetectionEval.__new__(DetectionEval)
    evaluation.verbose, evaluation.cfg = False, config_factory("detection_cvpr_2019")
    tables = Tables([case["origins"]])
    class_ranges = evaluation.cfg.class_range if case["ranges"] else dict.fromkeys(NAMES, np.inf)
    evaluation.gt_boxes, evaluation.pred_boxes = (boxes(case[side]) for side in ("truth", "predicted"))
    for side in (evaluation.gt_boxes, evaluation.pred_boxes):
        if side.all:
            filter_eval_boxes(tables, add_center_dist(tables, side), class_ranges)
    found = evaluation.evaluate()[0]
    short = {"trans_err": "ATE", "scale_err": "ASE", "orient_err": "AOE", "vel_err": "AVE", "attr_err": "AAE"}
    figures = {"mAP": found.mean_ap, "NDS": found.nd_score}
    figures |= {"m" + name: found.tp_errors[key] for key, name in short.items()}
    for name in NAMES:
        for threshold in evaluation.cfg.dist_ths:
            figures[f"AP/{name}/{threshold}"] = found.get_label_ap(name, threshold)
        figures |= {f"{value}/{name}": found.get_label_tp(name, key) for key, value in short.items()}
    return figures


def their_tracking(case: Columns) -> Columns:
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.tracking.data_classes import TrackingBox
    from nuscenes.eval.tracking.evaluate import TrackingEval
    from nuscenes.eval.tracking.loaders import create_tracks

    evaluation = TrackingEval.__new__(TrackingEval)
    evaluation.verbose, evaluation.cfg = False, config_factory("tracking_nips_2019")
    evaluation.output_dir, evaluation.render_classes = None, []
    tables = Tables([[[0, 0]] * len(scene["truth"]) for scene in case["scenes"]])

    def tracks(side: str) -> Any:
        boxes = EvalBoxes()
        for s, scene in enumerate(case["scenes"]):
            for f, rows in enumerate(scene[side]):
                boxes.add_boxes(
                    f"{s}-{f}",
                    [
                        TrackingBox(
                            sample_token=f"{s}-{f}",
                            translation=(row[2], row[3], 0.0),
                            size=(1.0, 1.0, 1.0),
                            rotation=(1.0, 0.0, 0.0, 0.0),
                            tracking_id=f"{s} {row[0]}",
                            tracking_name=row[1],
                            tracking_score=float(row[4]) if len(row) > 4 else -1.0,
                        )
                        for row in rows
                    ],
                )
        return create_tracks(boxes, tables, "val", gt=side == "truth")

    evaluation.tracks_gt, evaluation.tracks_pred = tracks("truth"), tracks("predicted")
    found = evaluation.evaluate()[0]
    names = ["amota", "amotp", *(n for n in found.metric_names if n not in ("amota", "amotp"))]
    figures = {name: found.compute_metric(name) for name in names}
    return figures | {f"{n}/{c}": found.label_metrics[n][c] for n in names for c in TRACKED}


def their_prediction(case: Columns) -> Columns:
    from nuscenes.eval.prediction.data_classes import Prediction
    from nuscenes.eval.prediction.metrics import MinADEK, MinFDEK, MissRateTopK, RowMean

    ks = [1, 3, 5, 10]
    truth = np.array(case["truth"])
    guesses = [
        Prediction("", "", np.array(m), np.array(p)) for m, p in zip(case["modes"], case["probabilities"], strict=True)
    ]
    figures: Columns = {}
    for name, metric in (("minADE", MinADEK), ("minFDE", MinFDEK), ("miss", MissRateTopK)):
        measure = metric(ks, [RowMean()])
        rows = np.concatenate([measure(t, guess) for t, guess in zip(truth, guesses, strict=True)])
        figures |= {f"{name}/{k}": float(value) for k, value in zip(ks, rows.mean(0), strict=True)}
    return figures


def load_fiery(checkout: Path) -> Callable[[Columns], Columns]:
    """Its ``PanopticMetric``, with as much of the old pytorch_lightning as it needs."""
    import importlib.util
    import types

    import torch

    class Metric:
        def __init__(self, **_: Any) -> None: ...

        def add_state(self, name: str, default: torch.Tensor, **_: Any) -> None:
            setattr(self, name, default)

    stubs: dict[str, dict[str, Any]] = {
        "pytorch_lightning.metrics.metric": {"Metric": Metric},
        "pytorch_lightning.metrics.functional.classification": {"stat_scores_multiple_classes": None},
        "pytorch_lightning.metrics.functional.reduction": {"reduce": None},
    }
    for name, content in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(content)
    spec = importlib.util.spec_from_file_location("fiery_metrics", checkout / "fiery" / "metrics.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def figures(case: Columns) -> Columns:
        result: Columns = {}
        for name, consistent in (("V", True), ("", False)):
            metric = module.PanopticMetric(n_classes=2, temporally_consistent=consistent)
            metric.update(torch.tensor([case["predicted"]]), torch.tensor([case["truth"]]))
            found = metric.compute()
            result |= {name + key.upper(): float(found[key][1]) for key in ("pq", "sq", "rq")}
        return result

    return figures


THEIRS = {"detection": their_detection, "tracking": their_tracking, "prediction": their_prediction}


if __name__ == "__main__":
    sys.exit(main())
