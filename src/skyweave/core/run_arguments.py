"""What the commands that train have in common: a configuration, data, the folder of a run, and changes."""

import argparse
from pathlib import Path


def add_run_arguments(parser: argparse.ArgumentParser, configs: str, data: str, change: str) -> None:
    """Declare them as ``config``, ``data``, ``output``, ``resume`` and ``changes``.

    Args:
        parser: of the command.
        configs: where its configurations lie.
        data: what ``--data`` is.
        change: an example of a ``--set``.
    """
    parser.add_argument("config", type=Path, help=f"configuration ({configs})")
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change the configuration, such as {change}; repeatable",
    )
