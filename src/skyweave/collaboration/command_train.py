"""``skyweave train``: three tasks from one map, on recordings of several platforms; and how they share it."""

import argparse
import sys
from pathlib import Path

from skyweave.core.run_arguments import add_run_arguments


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "train",
        help="detection, segmentation and trajectories on recordings",
        description="Train a perception model on recordings of several platforms or, with a configuration that names "
        "a `perception` model, the codec and the fusion by which platforms share what they see. Writes checkpoints, "
        "logs (CSV and TensorBoard) and weights that `skyweave evaluate` reads. A stopped run goes on with --resume.",
    )
    configs = "configs/perception/*.yaml, configs/collaboration/*.yaml"
    add_run_arguments(parser, configs, "folder of the recordings", "optimiser.steps=100")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, print the path of the weights and return 0.

    Args:
        args: of the command line.
    """
    from skyweave.perception.train import train

    if _collaborates(args.config):
        from skyweave.collaboration.train import train
    weights = train(args.config, args.data, args.output, args.changes, args.resume, log=_print_line)
    print(weights)
    return 0


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _collaborates(config: Path) -> bool:
    """Return whether a YAML is one of collaboration: it names a perception model."""
    import yaml

    from skyweave.core.yaml_text import parse_yaml

    if not config.exists():
        return False
    try:
        content = parse_yaml(config.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False  # the reader of the configuration says what is wrong with it
    return isinstance(content, dict) and "perception" in content
