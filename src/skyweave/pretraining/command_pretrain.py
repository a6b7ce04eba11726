"""``skyweave pretrain``: masked image modelling over many sensors."""

import argparse

from skyweave.core.run_arguments import add_run_arguments


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "pretrain",
        help="masked image modelling over many sensors",
        description="Pretrain one backbone on imagery of many sensors. Writes checkpoints, logs (CSV and TensorBoard) "
        "and weights that `skyweave.load` reads. A stopped run goes on with --resume as if it had not been stopped.",
    )
    add_run_arguments(
        parser, "configs/pretrain/*.yaml", "folder in which the dataset's globs start", "optimiser.steps=100"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and print the path of the weights.

    Args:
        args: parsed arguments of the command.
    """
    from skyweave.pretraining.train import pretrain

    weights = pretrain(args.config, args.data, args.output, args.changes, args.resume)
    print(weights)
    return 0
