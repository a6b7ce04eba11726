"""Which depth generalises? Models that differ only in their bins, trained at one altitude and pitch, tested at others.

The claim of RS-DFM (arXiv 2406.07032), that depth relative to the ground survives a change of altitude where absolute
depth does not, as a controlled experiment: the same backbone, steps, pictures, seeds and supervision by the true
depth; only the parametrisation of the lift differs. A UAV hovers at 30 m and looks down at 45 degrees while training.
Every lift is told each feature's direction in the camera's frame, without which absolute depth can hardly be learned.

    OMP_NUM_THREADS=1 python benchmarks/generalisation.py -o /tmp/generalisation

Finished runs are kept in the output folder and not repeated.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.evaluation import evaluate
from skyweave.perception.train import load_scenes, train
from skyweave.perception.weights import load_perception

ROOT = Path(__file__).resolve().parents[1]
WORLD, MODEL = ROOT / "configs/world/altitude.yaml", ROOT / "configs/perception/altitude.yaml"
TRAINED = (30, 45)  # metres, degrees below the horizon
OTHERS = ((15, 45), (22, 45), (45, 45), (60, 45), (30, 30), (30, 60), (30, 90), (60, 90))
BINS = {
    "height": "{ceiling: 6.0, count: 12}",
    "ratio": "{span: 0.3, count: 24}",
    "offset": "{span: 10.0, count: 11}",
    "depth": "{start: 4.0, stop: 130.0, step: 1.5}",
    "flat": "{}",
}
RELATIVE = ("height", "ratio")
METRICS = ("mAP", "IoU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--bins", nargs="+", default=list(BINS), choices=list(BINS))
    args = parser.parse_args()
    recordings = args.output / "recordings"
    simulate(recordings / "altitude", TRAINED, 120, seed=0)
    for number, view in enumerate((TRAINED, *OTHERS), start=1):
        simulate(recordings / name_of(view), view, 16, seed=1000 * number)
    scores: dict[str, list[dict[str, dict[str, float]]]] = {bins: [] for bins in args.bins}
    for seed in range(args.seeds):  # all parametrisations of a seed first, so that an interrupted study compares
        for bins in args.bins:
            scores[bins].append(scores_of(args.output, bins, seed, args.steps))
    for metric in METRICS:
        print_table(metric, scores)


def name_of(view: tuple[int, int]) -> str:
    return f"at_{view[0]}m_{view[1]}deg"


def simulate(folder: Path, view: tuple[int, int], scenes: int, seed: int) -> None:
    """A recording from an altitude and a pitch; nothing where it is there already."""
    if (folder / "v1.0-trainval" / "scene.json").exists():
        return
    altitude, pitch = view
    distance = max(altitude / math.tan(math.radians(pitch)), 0.1) if pitch < 90 else 0.1
    config = folder.parent / f"{folder.name}.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    text = WORLD.read_text().replace("altitude: [30, 30]", f"altitude: [{altitude}, {altitude}]")
    config.write_text(text.replace("distance: [30, 30]", f"distance: [{distance:.2f}, {distance:.2f}]"))
    command = [sys.executable, "-m", "skyweave", "simulate", str(config), "-o", str(folder), "--json"]
    subprocess.run([*command, "--scenes", str(scenes), "--seed", str(seed), "--set", "validation=0"], check=True)


def scores_of(output: Path, bins: str, seed: int, steps: int) -> dict[str, dict[str, float]]:
    """Train, test everywhere, remember."""
    file = output / f"{bins}_{seed}_{steps}.json"
    if file.exists():
        stored: dict[str, dict[str, float]] = json.loads(file.read_text())
        return stored
    folder = output / f"{bins}_{seed}_{steps}"
    changes = [
        f"model.lift.bins={bins}",
        f"model.lift.options={BINS[bins]}",
        f"seed={seed}",
        f"optimiser.steps={steps}",
    ]
    resume = (folder / "last.ckpt").exists()
    weights = train(MODEL, output / "recordings", folder, changes, resume=resume, progress=False)
    model = load_perception(weights)
    result = {}
    for view in (TRAINED, *OTHERS):
        samples = PerceptionDataset(
            load_scenes([output / "recordings" / name_of(view)], None), model.config, platforms=1
        )
        values = evaluate(model, samples, batch_size=4, every=2).values
        result[name_of(view)] = {metric: values[metric] for metric in METRICS}
    file.write_text(json.dumps(result, indent=1))
    return result


def print_table(metric: str, scores: dict[str, list[dict[str, dict[str, float]]]]) -> None:
    """One row a parametrisation; mean and spread over seeds, then the mean loss away from home."""
    views = (TRAINED, *OTHERS)
    print(f"\n| {metric} | " + " | ".join(f"{a} m, {p}°" for a, p in views) + " | mean loss |")
    print("|" + " --- |" * (len(views) + 2))
    for bins, seeds in scores.items():
        table = np.array([[one[name_of(view)][metric] for view in views] for one in seeds])
        lost = (table[:, :1] - table[:, 1:]).mean(1)
        cells = [spread(column) for column in (*table.T, lost)]
        print(f"| {'**' + bins + '**' if bins in RELATIVE else bins} | " + " | ".join(cells) + " |")


def spread(values: Sequence[float] | np.ndarray) -> str:
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {deviation:.3f}"


if __name__ == "__main__":
    main()
