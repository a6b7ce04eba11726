"""What each pretraining objective costs and brings, at equal processor time: every recipe, seed and task of the suite.

    python benchmarks/pretraining_objectives.py --data DATA -o OUT --cpu-seconds 900 --seeds 3

A recipe is `configs/pretrain/tiny.yaml` with other objectives and views. Its steps are what fits into the time: the
processor time of a few steps is measured first. What is finished in the output folder is not repeated, so the command
can be stopped at any time. Scores are the suite's, of linear and nearest-neighbour readouts on the tasks' test parts;
every task chooses its readout inside its training part.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from skyweave.core.config import load_config_file
from skyweave.data.dataset import load_dataset
from skyweave.downstream.suite import SuiteConfig, run_suite
from skyweave.pretraining.config import PretrainConfig, dataset_path
from skyweave.pretraining.train import build_module, pretrain

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "pretrain" / "tiny.yaml"
ONE_VIEW, TWO_VIEWS = "masking={ratios: [0.5], band_dropout: 0.5}", "masking={ratios: [0.5, 0.5], band_dropout: 0.5}"
RECIPES = {
    "pixels": ["objectives={pixels: {}}", "masking={ratios: [0.75], band_dropout: 0.5}"],
    "patch discrimination": ["objectives={patch_discrimination: {}}", "masking={ratios: [0.75], band_dropout: 0.5}"],
    "contrast": ["objectives={contrast: {}}", TWO_VIEWS],
    "patch discrimination + contrast": ["objectives={patch_discrimination: {}, contrast: {weight: 0.5}}", TWO_VIEWS],
    "distillation": ["objectives={distillation: {}}", ONE_VIEW],
    "distillation + contrast": ["objectives={distillation: {}, contrast: {weight: 0.2}}"],
    "as shipped": [],
}
MEASURED_STEPS = 4
"""Steps whose processor time says how many fit; the first is not counted."""
TASKS = ["eurosat_rgb", "eurosat_ms", "landsat_cover", "enmap_potsdam", "terramesh_s2", "terramesh_s1", "neon_site"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cpu-seconds", type=float, default=900.0, help="of training, on one thread (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    scores: dict[str, list[dict[str, float]]] = {}
    for seed in range(args.seeds):
        for recipe in args.recipes:
            scores.setdefault(recipe, []).append(score(args, recipe, seed))
            print_table(scores, args.tasks)


def score(args: argparse.Namespace, recipe: str, seed: int) -> dict[str, float]:
    """Scores of one run by task and method, from the file of an earlier call where there is one."""
    file = args.output / f"{recipe.replace(' ', '_')}_{args.cpu_seconds:g}_{seed}.json"
    if file.exists():
        stored: dict[str, float] = json.loads(file.read_text())
        return stored
    changes = [*RECIPES[recipe], f"seed={seed}", "optimiser.schedule=cosine", "trainer.checkpoint_every=100000"]
    steps, images = steps_that_fit(args.data, changes, args.cpu_seconds)
    changes += [f"optimiser.steps={steps}", f"optimiser.warmup={max(1, steps // 20)}"]
    with tempfile.TemporaryDirectory() as folder:
        weights = pretrain(CONFIG, args.data, Path(folder) / "run", changes, progress=False)
        config = SuiteConfig(
            configs=ROOT / "configs" / "suite",
            data=args.data,
            output=Path(folder) / "suite",
            weights=[str(weights)],
            tasks=args.tasks,
            baselines=False,
            half_precision=True,
        )
        summary = run_suite(config)
    result = {"steps": float(steps), "images": float(steps * images)}
    for name, task in summary.tasks.items():
        for row in task.rows:
            result[f"{name} {row.cell.address.method}"] = float(np.mean(row.per_seed))
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(recipe, seed, result, flush=True)
    return result


def steps_that_fit(data: Path, changes: list[str], seconds: float) -> tuple[int, int]:
    """Steps of a recipe in so much processor time, and the images of a step."""
    config = load_config_file(CONFIG, PretrainConfig, changes)
    module = build_module(config, load_dataset(dataset_path(config, CONFIG), data))
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    batches = module.batches()
    for number in range(MEASURED_STEPS):
        if number == 1:
            start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            loss = module.step_loss(batches[number]).total
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    per_step = (time.process_time() - start) / (MEASURED_STEPS - 1)
    return max(1, round(seconds / per_step)), sum(map(len, batches[0].batches))


def print_table(scores: dict[str, list[dict[str, float]]], tasks: list[str]) -> None:
    """Means over seeds, and half the range."""
    print("\n| recipe | seeds | images | " + " | ".join(f"{task} linear / kNN" for task in tasks) + " | mean |")
    print("| --- " * (len(tasks) + 4) + "|")
    for recipe, runs in scores.items():
        cells = []
        for task in tasks:
            linear, knn = (np.mean([run[f"{task} {method}"] for run in runs]) for method in ("linear", "knn"))
            cells.append(f"{linear:.3f} / {knn:.3f}")
        means = [np.mean([run[f"{task} {method}"] for task in tasks for method in ("linear", "knn")]) for run in runs]
        images = np.mean([run["images"] for run in runs])
        print(
            f"| {recipe} | {len(runs)} | {images:.0f} | {' | '.join(cells)} | "
            f"{np.mean(means):.3f} ± {np.ptp(means) / 2:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
