"""What other cameras and other light cost a perception model: scores of one recording under many conditions.

    simulate="skyweave simulate configs/world/hidden.yaml --scenes 5 --frames 8 --seed 424242 --set validation=0"
    $simulate -o recordings/robust
    $simulate -o recordings/robust_night --set light.night=1
    OMP_NUM_THREADS=1 python benchmarks/robustness.py crossing --data recordings -o runs/robustness

Every condition changes the 8-bit values of all images: factors (1.1 on red and 0.9 on blue is 10 % warm), blur,
noise, coding. At night the same scenes are simulated anew. ``--balance`` reads the model with another balance of
exposure and colour than it was trained with. Scores that are there already are used again; ``result.json`` is a
result for ``scripts/result_tables.py`` but for commit, date and machine.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from skyweave.core.atomic_write import write_aside
from skyweave.core.observation import Observation
from skyweave.perception import PerceptionDataset, PerceptionModel, evaluate, load_perception
from skyweave.perception.balance import BalanceConfig
from skyweave.perception.photometric import CameraEffects
from skyweave.perception.train import load_scenes
from skyweave.recordings.recording import Capture, Frame, RecordedScene

METRICS = ("mAP", "NDS", "IoU", "VPQ")
Change = Callable[[Observation], Observation]
NIGHT = "night"
USUAL_RGB = [130.0, 125.0, 116.0]  # mean of the images of configs/world/hidden.yaml


def gains(*factors: float) -> Change:
    """Return a change that multiplies the bands red, green and blue."""

    def change(observation: Observation) -> Observation:
        scaled = observation.pixels * np.array(factors, np.float32)[:, None, None]
        return replace(observation, pixels=np.rint(np.clip(scaled, 0, 255)))

    return change


def camera(**effects: float) -> Change:
    """Return a change of `CameraEffects`, its noise drawn from the image's source."""

    def change(observation: Observation) -> Observation:
        generator = np.random.default_rng(list(observation.source.encode()))
        return CameraEffects(**effects).apply(observation, generator)

    return change


CONDITIONS: dict[str, Change | None] = {"clean": None}
for _percent in (3, 5, 10, 25):
    CONDITIONS[f"white balance {_percent} % warm"] = gains(1 + _percent / 100, 1, 1 - _percent / 100)
    CONDITIONS[f"white balance {_percent} % cool"] = gains(1 - _percent / 100, 1, 1 + _percent / 100)
CONDITIONS |= {f"exposure x {factor}": gains(factor, factor, factor) for factor in (0.35, 0.6, 0.8, 1.5, 2.0)}
CONDITIONS |= {
    NIGHT: None,
    "grey": camera(grey=1.0),
    "blur, 1 pixel": camera(blur=1.0),
    "motion blur, 4 pixels": camera(motion=4.0),
    "noise, 10 steps": camera(noise=10.0),
    "JPEG, quality 75": camera(jpeg=75.0),
    "inverted, as a thermal camera": camera(inversion=1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--day", default="robust", help="recording by day")
    parser.add_argument("--night", default="robust_night", help="the same scenes by night")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--conditions", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS))
    parser.add_argument("--every", type=int, default=2, help="score every so many-th frame")
    parser.add_argument("--balance", help="read the model with this balance")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_perception(args.model)
    if args.balance is not None:
        model.config = replace(model.config, balance=BalanceConfig(args.balance, {"rgb": USUAL_RGB}))
    scores = {}
    for name in args.conditions:
        recording = args.data / (args.night if name == NIGHT else args.day)
        scores[name] = scores_of(model, recording, name, args.every, args.output)
        print(name, {metric: round(scores[name][metric], 3) for metric in METRICS}, flush=True)
    clean = scores.get("clean", {}).get("mAP", float("nan"))
    rows = [[name, *(f"{s[m]:.3f}" for m in METRICS), f"{100 * s['mAP'] / clean:.0f}"] for name, s in scores.items()]
    result = {"columns": ["condition", *METRICS, "mAP of clean (%)"], "rows": rows}
    with write_aside(args.output / "result.json") as aside:
        aside.write_text(json.dumps(result, indent=1))


def scores_of(model: PerceptionModel, recording: Path, name: str, every: int, output: Path) -> dict[str, float]:
    """Score one condition, and remember."""
    kept = output / f"{name.replace(' ', '_').replace(',', '').replace('%', 'percent')}_{every}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    scenes = [changed_scene(scene, CONDITIONS[name]) for scene in load_scenes([recording], None)]
    values = dict(evaluate(model, PerceptionDataset(scenes, model.config), every=every, tracks=False).values)
    output.mkdir(parents=True, exist_ok=True)
    with write_aside(kept) as aside:
        aside.write_text(json.dumps(values))
    return values


def changed_scene(scene: RecordedScene, change: Change | None) -> RecordedScene:
    """The scene as cameras under a condition record it."""
    return scene if change is None else replace(scene, frames=[_changed_frame(f, change) for f in scene.frames])


def _changed_frame(frame: Frame, change: Change) -> Frame:
    captures = {name: replace(c, load=partial(_load, c, change)) for name, c in frame.captures.items()}
    return replace(frame, captures=captures)


def _load(capture: Capture, change: Change) -> Observation:
    return change(capture.load())


if __name__ == "__main__":
    main()
