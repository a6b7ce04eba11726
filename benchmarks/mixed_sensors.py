"""Do colour and thermal cameras see more together than either kind alone, by day and by night?

A model is trained on crossings of which half are dark (configs/world/day_night.yaml), under two platforms with a colour
and two with a thermal camera, with platforms left out at random. It is tested on scenes where each of four platforms
carries both cameras, of which a group uses some: the same scenes, poses and objects for every group.

    OMP_NUM_THREADS=1 python benchmarks/mixed_sensors.py -o /tmp/mixed

Finished runs are kept in the output folder and not repeated.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from skyweave.perception import PerceptionDataset, evaluate, load_perception
from skyweave.perception.train import load_scenes, train
from skyweave.recordings.recording import RecordedScene

ROOT = Path(__file__).resolve().parents[1]
WORLD, MODEL = ROOT / "configs/world/day_night.yaml", ROOT / "configs/perception/small.yaml"
GROUPS = {  # which camera each of the four platforms uses; "": the platform is not there
    "two colour": ("C", "C", "", ""),
    "two thermal": ("", "", "T", "T"),
    "two colour, two thermal": ("C", "C", "T", "T"),
    "four colour": ("C", "C", "C", "C"),
    "four thermal": ("T", "T", "T", "T"),
}
METRICS = ("mAP", "IoU", "VPQ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--every", type=int, default=3, help="score every so many-th frame of the test scenes")
    args = parser.parse_args()
    recordings = args.output / "recordings"
    simulate(recordings / "train", yaml.safe_load(WORLD.read_text()), scenes=150, frames=12, seed=200)
    for night, name in ((0.0, "day"), (1.0, "night")):
        simulate(recordings / name, world_with_both_cameras(night), scenes=12, frames=16, seed=950)
    seeds = [scores(args, seed) for seed in range(args.seeds)]
    for light in ("day", "night"):
        print(f"\n| {light} | " + " | ".join(METRICS) + " |\n|" + " --- |" * (len(METRICS) + 1))
        for group in GROUPS:
            cells = [format_mean_std([one[light][group][metric] for one in seeds]) for metric in METRICS]
            print(f"| {group} | " + " | ".join(cells) + " |")


def world_with_both_cameras(night: float) -> dict[str, object]:
    """The world with four platforms that carry both cameras."""
    world = yaml.safe_load(WORLD.read_text())
    colour, thermal = world["platforms"]
    cameras = [{"name": "C", **colour["cameras"][0]}, {"name": "T", **thermal["cameras"][0]}]
    return {
        **world,
        "light": {"night": night},
        "platforms": [{**colour, "name": "UAV", "count": 4, "cameras": cameras}],
    }


def simulate(folder: Path, world: dict[str, object], scenes: int, frames: int, seed: int) -> None:
    """A recording; nothing where it is there already."""
    if (folder / "v1.0-trainval" / "scene.json").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = folder.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(world))
    command = [sys.executable, "-m", "skyweave", "simulate", str(config), "-o", str(folder), "--json"]
    command += ["--scenes", str(scenes), "--frames", str(frames), "--seed", str(seed), "--set", "validation=0"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def scores(args: argparse.Namespace, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Train, score every group by day and by night, remember."""
    file = args.output / f"{seed}_{args.steps}.json"
    if file.exists():
        seeds: dict[str, dict[str, dict[str, float]]] = json.loads(file.read_text())
        return seeds
    folder = file.with_suffix("")
    changes = ["recordings=[train]", "split=null", f"seed={seed}", f"optimiser.steps={args.steps}"]
    resume = (folder / "last.ckpt").exists()
    weights = train(MODEL, args.output / "recordings", folder, changes, resume=resume, progress=False)
    model = load_perception(weights)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for light in ("day", "night"):
        scenes = load_scenes([args.output / "recordings" / light], None)
        result[light] = {}
        for group, cameras in GROUPS.items():
            samples = PerceptionDataset([select_cameras(scene, cameras) for scene in scenes], model.config)
            values = evaluate(model, samples, batch_size=2, every=args.every).values
            result[light][group] = {metric: values[metric] for metric in METRICS}
            print(seed, light, group, result[light][group], flush=True)
    file.write_text(json.dumps(result, indent=1))
    return result


def select_cameras(scene: RecordedScene, cameras: Sequence[str]) -> RecordedScene:
    """The scene with these cameras only; what others would have seen still counts as there."""
    platforms = sorted({capture.platform for frame in scene.frames for capture in frame.captures.values()})
    used = {platform: camera for platform, camera in zip(platforms, cameras, strict=True) if camera}
    frames = [
        replace(frame, captures={
            channel: capture for channel, capture in frame.captures.items()
            if channel.endswith(f"_{used.get(capture.platform, 'none')}")
        })
        for frame in scene.frames
    ]  # fmt: skip
    return replace(scene, frames=frames)


def format_mean_std(values: Sequence[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}"


if __name__ == "__main__":
    main()
