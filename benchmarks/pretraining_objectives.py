"""What each pretraining objective costs and brings, at equal processor time: every recipe, seed and task of the suite.

    python benchmarks/pretraining_objectives.py --data DATA -o OUT --cpu-seconds 900 --seeds 3

A recipe is `configs/pretrain/tiny.yaml` with other objectives and views. Its steps are what fits into the time: the
processor time of a few steps is measured first. What is finished in the output folder is not repeated, and a run that
was stopped goes on. Scores are the suite's, of linear and nearest-neighbour readouts on the tasks' test parts;
every task chooses its readout inside its training part.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from pretraining_runs import ROOT, images_seen, pretrained

from skyweave.downstream.suite import SuiteConfig, run_suite

ONE_VIEW, TWO_VIEWS = "masking={ratios: [0.5], band_dropout: 0.5}", "masking={ratios: [0.5, 0.5], band_dropout: 0.5}"
RECIPES = {
    "pixels": ["objectives={pixels: {}}", "masking={ratios: [0.75], band_dropout: 0.5}"],
    "patch discrimination": ["objectives={patch_discrimination: {}}", "masking={ratios: [0.75], band_dropout: 0.5}"],
    "contrast": ["objectives={contrast: {}}", TWO_VIEWS],
    "patch discrimination + contrast": ["objectives={patch_discrimination: {}, contrast: {weight: 0.5}}", TWO_VIEWS],
    "distillation": ["objectives={distillation: {}}", ONE_VIEW],
    "distillation + contrast": ["objectives={distillation: {}, contrast: {weight: 0.2}}"],
    "as configured": [],
    "plain tokenizer": ["backbone={size: tiny, ground_sample_distance: ignored}"],
}
TASKS = ["eurosat_rgb", "eurosat_ms", "landsat_cover", "enmap_potsdam", "terramesh_s2", "terramesh_s1", "neon_site"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cpu-seconds", type=float, default=900.0, help="of training, on one thread (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="further changes of every recipe")
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
    file = args.output / f"{recipe.replace(' ', '_')}_{args.cpu_seconds:g}_{seed}.scores.json"
    if file.exists():
        stored: dict[str, float] = json.loads(file.read_text())
        return stored
    weights = pretrained(args.output, recipe, [*RECIPES[recipe], *args.set], seed, args.data, args.cpu_seconds)
    config = SuiteConfig(
        configs=ROOT / "configs" / "suite",
        data=args.data,
        output=args.output / "suite",
        weights=[str(weights)],
        tasks=args.tasks,
        baselines=False,
        half_precision=True,
    )
    result = {"images": float(images_seen(weights))}
    for name, task in run_suite(config).tasks.items():
        for row in task.rows:
            if row.cell.address.role == "weights":
                result[f"{name} {row.cell.address.method}"] = float(np.mean(row.per_seed))
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(recipe, seed, result, flush=True)
    return result


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
