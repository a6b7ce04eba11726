"""``skyweave node``: one platform of a fleet."""

import argparse
import json


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "node",
        help="one platform of a fleet, on a network",
        description="Run one platform: it observes, publishes, receives, fuses, and publishes its scene, until it is "
        "interrupted. Messages in the clear are refused beyond this machine unless the YAML says allow_clear: true.",
        epilog="`skyweave fleet up` runs many on one machine. docs/fleet.md describes the YAML.",
    )
    parser.add_argument("config", help="YAML, see docs/fleet.md")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change it: options.max_wait=0.1"
    )
    parser.add_argument("--log", choices=("text", "json"), default="text", help="form of the log (default: text)")
    parser.add_argument("--json", action="store_true", help="print the status at the end as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until interrupted; return 0.

    Args:
        args: of the command line.
    """
    from skyweave.core.config import load_config_file
    from skyweave.fleet.config import NodeConfig
    from skyweave.fleet.supervisor.process import run_process

    status = run_process(load_config_file(args.config, NodeConfig, args.set), args.log == "json")
    if args.json:
        print(json.dumps(status))
    return 0
