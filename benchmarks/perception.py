"""What several platforms see beyond one; whether three tasks share one model without loss; what pretraining is worth.

Models are trained on simulated crossings where one platform alone sees little (configs/world/hidden.yaml) and scored on
scenes of seeds that no training used.

    OMP_NUM_THREADS=1 python benchmarks/perception.py platforms -o /tmp/perception --steps 1600
    OMP_NUM_THREADS=1 python benchmarks/perception.py tasks -o /tmp/perception --steps 1600
    OMP_NUM_THREADS=1 python benchmarks/perception.py pretraining -o /tmp/perception --steps 250

``platforms``: all together and each alone, with the same weights. ``tasks``: the same models beside one model for each
task alone, beside one to whose trunk every task's gradient goes in full, and beside a backbone that begins random, at
equal steps. ``pretraining``: the last comparison alone, all together and each alone. Finished runs are kept in the
output folder and not repeated; at 1600 steps each takes 25 to 65 minutes of one core. Where there is a GPU, it is used;
``--only joint --seeds 1 --workers 2`` does one of several runs that share one, each its own process.
"""

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from skyweave.perception import PerceptionDataset, ego_only_dataset, evaluate, load_perception, predict
from skyweave.perception.config import TASKS
from skyweave.perception.train import load_scenes, train

ROOT = Path(__file__).resolve().parents[1]
WORLD, MODEL = ROOT / "configs/world/hidden.yaml", ROOT / "configs/perception/small.yaml"
METRICS = {"detection": ("mAP",), "instances": ("IoU", "VPQ"), "trajectories": ("minADE_3", "minFDE_3")}
TABLE_METRICS = ("mAP", "NDS", "AP@0.5", "IoU", "VPQ", "minADE_3", "minADE_1", "constant_velocity_ADE", "minFDE_3")
VARIANTS: dict[str, list[str]] = {
    "joint": [],
    **{task: [f"model.heads={{{task}: {{}}}}", "losses.gradient_scale={}"] for task in TASKS},
    "unshared": ["losses.gradient_scale={}"],
    "random": ["weights=null"],
}
STUDIES = {"platforms": ("joint",), "tasks": tuple(VARIANTS), "pretraining": ("joint", "random")}
RUNS_OF_TABLE = STUDIES | {"tasks": ("joint", *TASKS)}  # for a table
Values = dict[str, dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--every", type=int, default=3, help="score every so many-th frame of the test scenes")
    parser.add_argument(
        "--only", nargs="+", choices=list(VARIANTS), help="these variants alone; a table if it can be made of them"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare samples; for a GPU")
    args = parser.parse_args()
    simulate(args.output / "recordings" / "hidden", scenes=150, frames=12, seed=100)
    simulate(args.output / "recordings" / "test", scenes=20, frames=16, seed=900)
    results: dict[str, list[Values]] = {run: [] for run in args.only or STUDIES[args.study]}
    for seed in args.seeds:
        for run in results:
            results[run].append(scores_of(args, run, seed))
    if not set(RUNS_OF_TABLE[args.study]) <= set(results):
        return
    if args.study == "platforms":
        alone_share = ego_visible_share(args.output / "recordings" / "test")
        print(f"One platform alone sees {100 * alone_share:.0f} % of what all see.\n")
        print_platforms(results["joint"])
    elif args.study == "pretraining":
        print_pretraining(results)
    else:
        print_tasks(results)


def simulate(folder: Path, scenes: int, frames: int, seed: int) -> None:
    """A recording; nothing where it is there already."""
    if (folder / "v1.0-trainval" / "scene.json").exists():
        return
    command = [sys.executable, "-m", "skyweave", "simulate", str(WORLD), "-o", str(folder), "--json"]
    command += ["--scenes", str(scenes), "--frames", str(frames), "--seed", str(seed), "--set", "validation=0"]
    subprocess.run(command, check=True)


def scores_of(args: argparse.Namespace, run: str, seed: int) -> Values:
    """Train, score, remember."""
    kept = args.output / f"{run}_{seed}_{args.steps}.json"
    if kept.exists():
        results: Values = json.loads(kept.read_text())
        return results
    folder = kept.with_suffix("")
    changes = [*VARIANTS[run], f"seed={seed}", f"optimiser.steps={args.steps}", "split=null"]
    changes.append(f"trainer.workers={args.workers}")
    resume = (folder / "last.ckpt").exists()
    weights = train(MODEL, args.output / "recordings", folder, changes, resume=resume, progress=False)
    model = load_perception(weights)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    dataset = PerceptionDataset(load_scenes([args.output / "recordings" / "test"], None), model.config)
    score = partial(evaluate, model, batch_size=2, every=args.every)
    result = {"all": dict(score(dataset).values)}
    if run in ("joint", "random"):
        result["ego"] = dict(score(ego_only_dataset(dataset)).values)
    if "trajectories" in model.config.tasks:
        result["true boxes"] = dict(score(dataset, predictor=partial(predict, true_boxes=True)).values)
    kept.write_text(json.dumps(result, indent=1))
    return result


def ego_visible_share(recording: Path) -> float:
    """Of the objects on the map that some platform sees, the share that the one whose map it is sees itself."""
    from skyweave.core.config import load_config_file
    from skyweave.perception.train import PerceptionTrainConfig

    dataset = PerceptionDataset(load_scenes([recording], None), load_config_file(MODEL, PerceptionTrainConfig).model)
    shares = []
    for number in range(0, len(dataset), 4):
        objects = dataset[number].objects.trainable()
        shares.append((objects.seen_by[:, 0].sum(), len(objects.boxes)))
    by_ego, by_any = np.sum(shares, 0)
    return float(by_ego / by_any)


def print_platforms(seeds: list[Values]) -> None:
    """Together beside alone."""
    print("| platforms | " + " | ".join(TABLE_METRICS) + " |\n|" + " --- |" * (len(TABLE_METRICS) + 1))
    rows = {"all": "all", "ego": "ego only"}
    for key, title in rows.items():
        print(f"| {title} | " + " | ".join(spread([one[key][m] for one in seeds]) for m in TABLE_METRICS) + " |")
    print(
        "| gap | " + " | ".join(spread([one["all"][m] - one["ego"][m] for one in seeds]) for m in TABLE_METRICS) + " |"
    )


def print_pretraining(results: dict[str, list[Values]]) -> None:
    """A pretrained backbone beside a random one, at equal steps; the last column is of the true boxes' paths."""
    print("| | " + " | ".join((*TABLE_METRICS, "minADE_3")) + " |\n|" + " --- |" * (len(TABLE_METRICS) + 2))
    for key, title in {"all": "all together", "ego": "each alone"}.items():
        columns = [*((key, metric) for metric in TABLE_METRICS), ("true boxes", "minADE_3")]
        pretrained, random = ([[one[k][m] for one in results[run]] for k, m in columns] for run in ("joint", "random"))
        print(f"| {title}, pretrained | " + " | ".join(map(spread, pretrained)) + " |")
        print(f"| {title}, random | " + " | ".join(map(spread, random)) + " |")
        leads = [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(pretrained, random, strict=True)]
        print(f"| {title}, lead | " + " | ".join(map(spread, leads)) + " |")


def print_tasks(results: dict[str, list[Values]]) -> None:
    """One model for three tasks beside three models and beside a random backbone; trajectories of the true boxes."""
    beside = {"in full": "unshared", "random": "random"}
    beside = {title: run for title, run in beside.items() if run in results}
    titles = ["task", "metric", "one model", "its own model", "difference"]
    titles += [cell for title in beside for cell in (title, "difference")]
    print("| " + " | ".join(titles) + " |\n|" + " --- |" * len(titles))
    for task, metrics in METRICS.items():
        key = "true boxes" if task == "trajectories" else "all"
        for metric in metrics:
            joint = [one[key][metric] for one in results["joint"]]
            cells = [spread(joint)]
            for run in (task, *beside.values()):
                other = [one[key][metric] for one in results[run]]
                cells += [spread(other), spread([a - b for a, b in zip(joint, other, strict=True)])]
            print(f"| {task} | {metric} | " + " | ".join(cells) + " |")


def spread(values: list[float]) -> str:
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {deviation:.3f}"


if __name__ == "__main__":
    main()
