"""``skyweave evaluate``: score a perception model on a recording."""

import argparse
import json
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
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
    parser.add_argument("--alone", action="store_true", help="every platform by itself; what is to be found stays")
    parser.add_argument(
        "--platforms", type=int, default=4, help="platforms that perceive together at most (default: 4)"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="score every N-th sample")
    parser.add_argument("--true-poses", action="store_true", help="use poses without their noise")
    parser.add_argument("--device", default="cpu", help="where the model runs (default: cpu)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scores; returns 0."""
    from rich.console import Console
    from rich.table import Table

    from skyweave.perception.evaluate import alone, evaluate
    from skyweave.perception.samples import Samples
    from skyweave.perception.train import load_scenes
    from skyweave.perception.weights import load_perception

    for option in ("platforms", "every"):
        if getattr(args, option) < 1:
            raise ValueError(f"--{option} is {getattr(args, option)}, must be at least 1")
    model, card = load_perception(args.model, args.device)
    scenes = load_scenes([args.recording], None if args.split == "all" else args.split)
    samples = Samples(scenes, model.config, None, args.platforms, true_geometry=args.true_poses)
    with Console(stderr=True).status("evaluating") as status:
        scores = evaluate(
            model,
            alone(samples) if args.alone else samples,
            every=args.every,
            progress=lambda done, every: status.update(f"{done} of {every} samples"),
        )
    if args.json:
        content = {"model": card.name, "fingerprint": card.parts["perception_fingerprint"], "split": args.split}
        json.dump({**content, "alone": args.alone, **scores.to_dict()}, sys.stdout, indent=1)
        print()
        return 0
    table = Table("metric", "value", title=f"{card.name} on {args.recording} ({args.split}, {scores.samples} samples)")
    for name, value in scores.values.items():
        table.add_row(name, f"{value:.3f}")
    console = Console()
    console.print(table)
    for note in scores.notes:
        console.print(note, style="dim", highlight=False)
    return 0
