"""What a base map is worth: {1, 2, 4 drones} x {none, 10 m satellite, 1 m orthophoto, both}, for all four tasks.

Everything is from another time: the imagery shows another season, other traffic, a tenth of the buildings not yet there
or gone since, and is a little off (configs/world/union.yaml). One model a seed, trained with drones and base maps left
out, is scored on held-out crossings. Then base maps that should not help and must not harm: moved by 3 and 10 m, and
those of another place. ``0`` drones reads the base map alone. Without base maps it is held against the model that it
started from.

    OMP_NUM_THREADS=1 python benchmarks/base_map.py -o /tmp/base_map                                   # hours
    OMP_NUM_THREADS=1 python benchmarks/base_map.py -o /tmp/few --steps 60 --train 8 4 --test 3 4 --seeds 0

Finished recordings, runs and scores are kept in the output folder and not repeated.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from skyweave.core.observation import GeoTransform, Observation
from skyweave.perception import PerceptionDataset, PerceptionModel, PerceptionSample, evaluate, load_perception
from skyweave.perception.train import load_scenes, train
from skyweave.recordings.recording import BaseMap, RecordedScene
from skyweave.training.run_dir import WEIGHTS_FILE

ROOT = Path(__file__).resolve().parents[1]
WORLD, MODEL = ROOT / "configs/world/union.yaml", ROOT / "configs/perception/union.yaml"
DRONES = (1, 2, 4)
BASE_MAPS = {"none": (), "10 m": ("satellite",), "1 m": ("ortho",), "both": ("satellite", "ortho")}
METRICS = ("mAP", "IoU", "minADE_3", "cover_mIoU")
START = "crossing"


class Chosen(PerceptionDataset):
    """Samples of some drones and base maps.

    Args:
        scenes: of the recording.
        model: for its configuration.
        drones: at most; 0 for none.
        base_maps: names.
    """

    def __init__(
        self, scenes: Sequence[RecordedScene], model: PerceptionModel, drones: int, base_maps: Sequence[str]
    ) -> None:
        super().__init__(scenes, model.config, None, max(drones, 1), base_maps=base_maps)
        self.drones = drones

    def __getitem__(self, number: int) -> PerceptionSample:
        sample = super().__getitem__(number)
        return sample if self.drones else replace(sample, frames=[[] for _ in sample.frames])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--train", type=int, nargs=2, default=(150, 12), metavar=("SCENES", "FRAMES"))
    parser.add_argument("--test", type=int, nargs=2, default=(20, 16), metavar=("SCENES", "FRAMES"))
    parser.add_argument("--every", type=int, default=3, help="score every so many-th frame of the test scenes")
    parser.add_argument("--set", nargs="+", default=(), metavar="KEY=VALUE", help="over configs/perception/union.yaml")
    args = parser.parse_args()
    torch.set_num_threads(1)
    simulate(args.output / "recordings" / "union", args.train, 100)
    simulate(args.output / "recordings" / "test", args.test, 900)
    scores = [scores_of(args, seed) for seed in args.seeds]
    print_table(
        "drones and base maps",
        scores,
        [f"{n}, {name}" for n in (0, *DRONES) for name in BASE_MAPS if n or name != "none"],
    )
    print_table("base maps that are wrong, 1 drone", scores, ["1, none", "1, both", *(f"1, {name}" for name in WRONG)])
    print_table("without base maps", scores, [f"{n}, {who}" for n in DRONES for who in ("before", "none")])


def simulate(folder: Path, size: Sequence[int], seed: int) -> None:
    """A recording; nothing where it is there already."""
    if (folder / "v1.0-trainval" / "scene.json").exists():
        return
    command = [sys.executable, "-m", "skyweave", "simulate", str(WORLD), "-o", str(folder), "--json"]
    command += ["--scenes", str(size[0]), "--frames", str(size[1]), "--seed", str(seed), "--set", "validation=0"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def scores_of(args: argparse.Namespace, seed: int) -> dict[str, dict[str, float]]:
    """Metrics of one seed by row."""
    run = args.output / f"union_{seed}"
    file, weights, trained = run / "scores.json", run / WEIGHTS_FILE, run / "trained"
    rows: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}
    if not trained.exists():  # weights are there from the first checkpoint on
        changes = [f"optimiser.steps={args.steps}", f"optimiser.warmup={min(50, args.steps // 4)}", f"seed={seed}"]
        changes += args.set
        resume = (run / "last.ckpt").exists()
        train(MODEL, args.output / "recordings", run, changes, resume=resume, progress=False)
        trained.touch()
    scenes, models = load_scenes([args.output / "recordings" / "test"], None), {}
    models["after"], models["before"] = load_perception(weights), load_perception(START)
    for row, (who, dataset) in datasets(scenes, models).items():
        if row not in rows:
            values = evaluate(models[who], dataset, every=args.every, tracks=False).values
            rows[row] = {metric: values.get(metric, float("nan")) for metric in METRICS}
            file.write_text(json.dumps(rows))
            print(f"seed {seed}: {row}: {rows[row]}", file=sys.stderr, flush=True)
    return rows


def datasets(
    scenes: Sequence[RecordedScene], models: dict[str, PerceptionModel]
) -> dict[str, tuple[str, PerceptionDataset]]:
    """By row which model is scored on what."""
    model = models["after"]
    rows: dict[str, tuple[str, PerceptionDataset]] = {}
    for drones in (*DRONES, 0):
        for name, chosen in BASE_MAPS.items():
            if drones or chosen:
                rows[f"{drones}, {name}"] = "after", Chosen(scenes, model, drones, chosen)
    for name, change in WRONG.items():
        rows[f"1, {name}"] = "after", Chosen(change(scenes), model, 1, BASE_MAPS["both"])
    for drones in DRONES:
        rows[f"{drones}, before"] = "before", Chosen(scenes, models["before"], drones, ())
    return rows


def moved(metres: float) -> Callable[[Sequence[RecordedScene]], list[RecordedScene]]:
    """Base maps that lie so far to the east of where they are said to lie."""

    def change(scenes: Sequence[RecordedScene]) -> list[RecordedScene]:
        return [replace(scene, base_maps=[_moved(base, metres) for base in scene.base_maps]) for scene in scenes]

    return change


def _moved(base: BaseMap, metres: float) -> BaseMap:
    def load() -> Observation:
        observation = base.load()
        assert observation.geotransform is not None
        a, b, c, d, e, f = observation.geotransform.affine
        return replace(observation, geometry=GeoTransform(observation.geotransform.crs, (a, b, c + metres, d, e, f)))

    return replace(base, load=load)


def exchanged(scenes: Sequence[RecordedScene]) -> list[RecordedScene]:
    """Each scene with the base maps of the next; all are said to lie at one place."""
    return [replace(scene, base_maps=scenes[(k + 1) % len(scenes)].base_maps) for k, scene in enumerate(scenes)]


WRONG = {"moved 3 m": moved(3.0), "moved 10 m": moved(10.0), "another place": exchanged}


def print_table(title: str, scores: Sequence[dict[str, dict[str, float]]], rows: Sequence[str]) -> None:
    """Means over seeds, with their spread where there are several."""
    print(f"\n| {title} | {' | '.join(METRICS)} |\n|{' --- |' * (len(METRICS) + 1)}")
    for row in rows:
        cells = []
        for metric in METRICS:
            values = np.array([seed[row][metric] for seed in scores])
            spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
            cells.append("" if np.isnan(values).any() else f"{values.mean():.3f}{spread}")
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
