"""``skyweave evaluate``: score a perception model on a recording."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import ConfigError

if TYPE_CHECKING:
    from skyweave.perception.evaluation import PerceptionScores


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "evaluate",
        help="score a perception model on a recording",
        description="Detection (mAP, NDS without attributes, errors, AP at 0.5 and 0.7), instances (IoU, VPQ) and "
        "trajectories (minADE, minFDE beside constant velocity). To be found are the objects on the map that some "
        "platform saw; platforms take turns as the one that perceives.",
    )
    parser.add_argument("model", help=".safetensors file of a perception model")
    parser.add_argument("recording", type=Path, help="folder of a recording")
    parser.add_argument("--split", default="val", help="scenes of this split (default: val); `all` for all")
    parser.add_argument("--ego-only", action="store_true", help="every platform by itself; what is to be found stays")
    parser.add_argument(
        "--platforms", type=int, default=4, help="platforms that perceive together at most (default: 4)"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="score every N-th sample")
    parser.add_argument("--true-poses", action="store_true", help="use poses without their noise")
    parser.add_argument("--device", default="cpu", help="where the model runs (default: cpu)")
    parser.add_argument(
        "--strategy",
        help="how platforms share what they see: no_fusion, late_fusion, full_features, or what a collaborative model "
        "was trained for",
    )
    parser.add_argument("--budget", type=int, metavar="BYTES", help="a frame and platform, headers included")
    parser.add_argument("--packet-loss", type=float, default=0.0, metavar="SHARE", help="share of chunks that are lost")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="by which messages are late")
    parser.add_argument("--cache", type=Path, help="folder for the features of the recording, to be used again")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scores and return 0.

    Args:
        args: of the command line.

    Raises:
        ConfigError: options that do not go together.
    """
    _check_options(args)
    return _evaluate_collaboration(args) if _is_collaborative(args) else _evaluate_perception(args)


def _is_collaborative(args: argparse.Namespace) -> bool:
    return args.strategy is not None or args.budget is not None


def _check_options(args: argparse.Namespace) -> None:
    for option in ("platforms", "every"):
        if getattr(args, option) < 1:
            raise ConfigError(f"--{option} is {getattr(args, option)}, must be at least 1")
    if _is_collaborative(args):
        if args.ego_only or args.true_poses:
            raise ConfigError(
                "--ego-only and --true-poses are for evaluation without --strategy; take --strategy no_fusion"
            )
    elif args.packet_loss or args.delay or args.cache:
        raise ConfigError("--packet-loss, --delay and --cache are about messages; add --strategy")


def _evaluate_perception(args: argparse.Namespace) -> int:
    """Score a perception model on the images of all platforms."""
    from rich.console import Console

    from skyweave.perception.dataset import PerceptionDataset
    from skyweave.perception.evaluation import ego_only_dataset, evaluate
    from skyweave.perception.train import load_scenes
    from skyweave.perception.weights import load_perception

    model = load_perception(args.model, args.device)
    scenes = load_scenes([args.recording], None if args.split == "all" else args.split)
    samples = PerceptionDataset(scenes, model.config, None, args.platforms, true_geometry=args.true_poses)
    with Console(stderr=True).status("evaluating") as status:
        scores = evaluate(
            model,
            ego_only_dataset(samples) if args.ego_only else samples,
            every=args.every,
            progress=lambda done, every: status.update(f"{done} of {every} samples"),
        )
    fingerprint = model.card.parts["perception_fingerprint"]
    header = {"model": model.card.name, "fingerprint": fingerprint, "split": args.split, "ego_only": args.ego_only}
    _report(args, header, scores)
    return 0


def _evaluate_collaboration(args: argparse.Namespace) -> int:
    """Score a collaborative model: every message is really encoded, cut to the budget, sent and decoded."""
    import tempfile

    from rich.console import Console

    from skyweave.collaboration.cache import build_feature_cache
    from skyweave.collaboration.dataset import CachedDataset
    from skyweave.collaboration.evaluation import EvaluationConditions, evaluate_collaboration
    from skyweave.collaboration.weights import load_collaborative_model
    from skyweave.perception.train import load_scenes

    model = load_collaborative_model(args.model, args.strategy, args.device)
    card = model.card
    scenes = load_scenes([args.recording], None if args.split == "all" else args.split)
    conditions = EvaluationConditions(args.budget, args.packet_loss, args.delay, args.platforms - 1)
    with Console(stderr=True).status("observing") as status, tempfile.TemporaryDirectory() as folder:
        fingerprint = str(card.parts["perception_fingerprint"])
        cache = build_feature_cache(
            args.cache or Path(folder), model.perception, fingerprint, scenes,
            progress=lambda done, every: status.update(f"observing: {done} of {every} maps"),
        )  # fmt: skip
        samples = CachedDataset(scenes, model.perception.config, cache, args.platforms)
        scores, bandwidth = evaluate_collaboration(
            model, samples, conditions, args.every,
            lambda done, every: status.update(f"evaluating: {done} of {every} samples"),
        )  # fmt: skip
    header = {"model": card.name, "strategy": model.config.strategy, "split": args.split, "budget": args.budget}
    _report(args, {**header, "bytes": bandwidth.mean}, scores)
    return 0


def _report(args: argparse.Namespace, header: dict[str, Any], scores: "PerceptionScores") -> None:
    from rich.console import Console
    from rich.table import Table

    if args.json:
        json.dump({**header, **scores.to_dict()}, sys.stdout, indent=1)
        print()
        return
    table = Table(
        "metric", "value", title=f"{header['model']} on {args.recording} ({args.split}, {scores.samples} samples)"
    )
    if "bytes" in header:
        table.add_row(f"bytes a frame and platform ({header['strategy']})", f"{header['bytes']:.0f}")
    for name, value in scores.values.items():
        table.add_row(name, f"{value:.3f}")
    console = Console()
    console.print(table)
    for note in scores.notes:
        console.print(note, style="dim", highlight=False)
