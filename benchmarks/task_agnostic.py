"""Is what platforms send good for a task that nobody trained it for? Each task is held out in turn.

Perception and collaboration are trained for two tasks; then only a head for the third is trained, on the features as
they come over the wire, everything else frozen. Beside it: everything trained for all three.

    simulate="skyweave simulate configs/world/hidden.yaml --set validation=0"
    $simulate -o recordings/hidden --scenes 150 --frames 12 --seed 100
    $simulate -o recordings/fresh --scenes 50 --frames 12 --seed 300
    $simulate -o recordings/test --scenes 20 --frames 16 --seed 900
    OMP_NUM_THREADS=1 python benchmarks/task_agnostic.py --data recordings -o runs/agnostic

    OMP_NUM_THREADS=1 python benchmarks/task_agnostic.py --data recordings -o runs/agnostic_codec --perception WEIGHTS

Perception and collaboration are trained as the shipped ones (configs/perception/small.yaml, then
configs/collaboration/hidden.yaml). With --perception that model, which has all three heads, is given: codec, fusion and
what reads the fused map are trained for two tasks without its third head, which then goes on learning alone. Finished
runs are kept in the output folder and not repeated: each perception takes an hour of one core, whatever follows twenty
minutes, and the caches of each 9 GB.

Land cover is a task of configs/perception/union.yaml, whose recordings have base maps (configs/world/union.yaml):

    OMP_NUM_THREADS=1 python benchmarks/task_agnostic.py --data recordings -o runs/cover --train union --fresh fresh \\
        --model union --tasks land_cover

With --steps 60 40 60, --scenes 4 2 and small recordings it shows that everything runs, and no more.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from skyweave.backbone import read_checkpoint
from skyweave.collaboration.cache import build_feature_cache
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.evaluation import EvaluationConditions, evaluate_collaboration
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.train import CollaborationTrainConfig, train_head, train_model
from skyweave.collaboration.weights import load_collaboration
from skyweave.core.config import load_config_file
from skyweave.perception.config import TASKS
from skyweave.perception.model import PerceptionModel
from skyweave.perception.train import PerceptionTrainConfig, load_scenes, train
from skyweave.perception.weights import load_perception, save_perception
from skyweave.training.run_dir import WEIGHTS_FILE

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SHARING = CONFIGS / "collaboration/hidden.yaml"
METRICS = {
    "detection": ("mAP",), "instances": ("IoU", "VPQ"), "trajectories": ("minADE_3",), "land_cover": ("cover_mIoU",),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", default="hidden", help="recording to train perception on")
    parser.add_argument("--fresh", default="fresh", help="recording to train codec, fusion and the added head on")
    parser.add_argument("--test", default="test")
    parser.add_argument("--perception", type=Path, help="weights for all three tasks, instead of training for two")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs=3, default=(1600, 1000, 2000), help="perception, codec, head")
    parser.add_argument("--budget", type=int, default=10_000)
    parser.add_argument("--scenes", type=int, nargs=2, default=(50, 20), help="to train codecs and to score on at most")
    parser.add_argument("--every", type=int, default=3, help="score every so many-th sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="small", help="of configs/perception")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=list(METRICS), help="that are held out in turn")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for_all = scores(args, None)
    print("| task | metric | for all three | head added | difference |\n| --- | --- | --- | --- | --- |")
    for task in args.tasks:
        added = scores(args, task)
        for metric in METRICS[task]:
            one, other = for_all[metric], added[metric]
            print(f"| {task} | {metric} | {one:.3f} | {other:.3f} | {other - one:+.3f} |", flush=True)


def scores(args: argparse.Namespace, held_out: str | None) -> dict[str, float]:
    """Of the model whose ``held_out`` task came last, or of the one for all."""
    name = f"{held_out or 'together'}_{args.seed}"
    file = args.output / f"{name}.json"
    if file.exists():
        return dict(json.loads(file.read_text()))
    folder = args.output / name
    weights = perception_for_two(args, folder, held_out)
    shared = args.perception and held_out != "detection"  # features and boxes are the given model's: one cache for all
    caches, cached = (args.output, args.perception) if shared else (folder, weights)
    perception = load_perception(weights)
    fingerprint = str(read_checkpoint(cached)[1].parts["perception_fingerprint"])
    trained, test = (
        load_scenes([args.data / which], None)[:limit]
        for which, limit in zip((args.fresh, args.test), args.scenes, strict=True)
    )
    cache = build_feature_cache(caches / "cache_train", perception, fingerprint, trained)
    samples = CachedDataset(trained, perception.config, cache)
    model = load_collaboration(collaboration(args, folder, weights, samples, held_out))
    cache = build_feature_cache(caches / "cache_test", perception, fingerprint, test)
    results, _ = evaluate_collaboration(
        model, CachedDataset(test, model.perception.config, cache), EvaluationConditions(args.budget), args.every
    )
    metrics = [metric for task in model.perception.config.tasks for metric in METRICS[task]]
    values = {metric: results.values[metric] for metric in metrics}
    file.write_text(json.dumps(values))
    return values


def perception_for_two(args: argparse.Namespace, folder: Path, held_out: str | None) -> Path:
    """Weights of a perception model for all tasks but ``held_out``: the given one without a head, or one so trained."""
    weights = folder / "perception" / WEIGHTS_FILE
    if weights.exists():
        return weights
    if args.perception:
        given = load_perception(args.perception)
        card = given.card
        save_perception(weights, without_head(given, held_out), card.name)
        return weights
    path = CONFIGS / f"perception/{args.model}.yaml"
    config = load_config_file(path, PerceptionTrainConfig).model
    heads = config.with_heads(set(config.tasks) - {held_out}).heads
    options = json.dumps({name: asdict(options) for name, options in heads.items()})
    changes = [f"model.heads={options}", f"optimiser.steps={args.steps[0]}", f"seed={args.seed}"]
    changes += [f"recordings=[{args.train}]", "split=null"]
    resume = (weights.parent / "last.ckpt").exists()
    return train(path, args.data, weights.parent, changes, resume=resume, progress=False)


def collaboration(
    args: argparse.Namespace, folder: Path, weights: Path, samples: CachedDataset, held_out: str | None
) -> Path:
    """Codec, fusion and reader for all tasks but ``held_out``, then its head."""
    changes = [f"perception={weights}", f"recordings=[{args.fresh}]", f"seed={args.seed}"]
    config = load_config_file(SHARING, CollaborationTrainConfig, [*changes, f"optimiser.steps={args.steps[1]}"])
    path, headed = folder / "dual_branch" / WEIGHTS_FILE, folder / "head" / WEIGHTS_FILE
    if not path.exists():
        model = CollaborativeModel(load_perception(weights), config.collaboration, config.seed)
        train_model(path.parent, config, model, samples, samples.cache, progress=False)
    if held_out is None:
        return path
    if not headed.exists():
        model = load_collaboration(path)
        start = load_perception(args.perception).heads[held_out] if args.perception else None
        config = replace(config, optimiser=replace(config.optimiser, steps=args.steps[2]))
        train_head(headed.parent, config, model, held_out, samples, start)
    return headed


def without_head(perception: PerceptionModel, task: str | None) -> PerceptionModel:
    """The same model without one of its heads."""
    tasks = tuple(one for one in perception.config.tasks if one != task)
    shorter = PerceptionModel(perception.config.with_heads(tasks), perception.backbone)
    state = {key: value for key, value in perception.state_dict().items() if not key.startswith(f"heads.{task}.")}
    shorter.load_state_dict(state)
    return shorter.eval()


if __name__ == "__main__":
    main()
