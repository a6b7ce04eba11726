"""``skyweave train``: three tasks from one map, on recordings of several platforms; and how they share it."""

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "train",
        help="detection, segmentation and trajectories on recordings",
        description="Train a perception model on recordings of several platforms or, with a configuration that names "
        "a `perception` model, the codec and the fusion by which platforms share what they see. Writes checkpoints, "
        "logs (CSV and TensorBoard) and weights that `skyweave evaluate` reads. A stopped run goes on with --resume.",
    )
    parser.add_argument(
        "config", type=Path, help="configuration (configs/perception/*.yaml, configs/collaboration/*.yaml)"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the output folder")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the configuration, such as optimiser.steps=100; repeatable",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and name the weights."""
    from skyweave.perception.train import train

    if _collaborates(args.config):
        from skyweave.collaboration.train import train
    weights = train(args.config, args.data, args.output, args.changes, args.resume, progress=sys.stderr.isatty())
    print(weights)
    return 0


def _collaborates(config: Path) -> bool:
    import yaml

    content = yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else None
    return isinstance(content, dict) and "perception" in content
