"""``skyweave evaluate``: score a perception model on a recording."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import ConfigError

if TYPE_CHECKING:
    from skyweave.collaboration.evaluation import BandwidthLog
    from skyweave.collaboration.model import CollaborativeModel
    from skyweave.collaboration.on_recordings import EvaluationOptions
    from skyweave.perception.evaluation import PerceptionScores
    from skyweave.perception.model import PerceptionModel


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
    from skyweave.collaboration.on_recordings import evaluate
    from skyweave.core.progress import show_progress
    from skyweave.perception.train import load_scenes

    options = _options(args)
    model = _model(args)
    scenes = load_scenes([args.recording], None if args.split == "all" else args.split)
    with show_progress("loading") as show:
        result = evaluate(model, scenes, options, show)
    _report(args, _header(args, model, result.bandwidth), result.scores)
    return 0


def _is_collaborative(args: argparse.Namespace) -> bool:
    return args.strategy is not None or args.budget is not None


def _options(args: argparse.Namespace) -> "EvaluationOptions":
    from skyweave.collaboration.evaluation import EvaluationConditions
    from skyweave.collaboration.on_recordings import EvaluationOptions

    conditions = None
    if _is_collaborative(args):
        conditions = EvaluationConditions(args.budget, args.packet_loss, args.delay, args.platforms - 1)
    elif args.packet_loss or args.delay or args.cache:
        raise ConfigError("--packet-loss, --delay and --cache are about messages; add --strategy")
    return EvaluationOptions(args.platforms, args.every, args.ego_only, args.true_poses, conditions, args.cache)


def _model(args: argparse.Namespace) -> "PerceptionModel | CollaborativeModel":
    if _is_collaborative(args):
        from skyweave.collaboration.weights import load_collaborative_model

        return load_collaborative_model(args.model, args.strategy, args.device)
    from skyweave.perception.weights import load_perception

    return load_perception(args.model, args.device)


def _header(args: argparse.Namespace, model: Any, bandwidth: "BandwidthLog") -> dict[str, Any]:
    header = {"model": model.card.name, "split": args.split}
    if _is_collaborative(args):
        return {**header, "strategy": model.config.strategy, "budget": args.budget, "bytes": bandwidth.mean}
    return {**header, "fingerprint": model.card.parts["perception_fingerprint"], "ego_only": args.ego_only}


def _report(args: argparse.Namespace, header: dict[str, Any], scores: "PerceptionScores") -> None:
    from rich.table import Table

    from skyweave.core.console import table_console

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
    console = table_console()
    console.print(table)
    for note in scores.notes:
        console.print(note, style="dim", highlight=False)
