"""``skyweave demo``: a report on imagery of every sensor, on shared perception, and a fleet that runs."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from skyweave.core.run_arguments import OutputFolder

if TYPE_CHECKING:
    from skyweave.demo import DemoReport

FLEET_SECONDS = 16.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "demo",
        help="a report on imagery of every sensor",
        description="Embed and reconstruct imagery of every sensor, perceive a crossing together, run a fleet of "
        "processes over it, and write a self-contained page, OUT/report.html.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFolder(),
        default="demo",
        metavar="OUT",
        help="folder to write to (default: demo)",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder of real imagery (default: $SKYWEAVE_DATA, else ../shared/data, else procedural scenes)",
    )
    parser.add_argument("--weights", default="tiny", help="shipped name or .safetensors file (default: tiny)")
    parser.add_argument(
        "--perception", default="crossing", help="shipped name or .safetensors file of a perception model"
    )
    parser.add_argument(
        "--fleet",
        type=float,
        default=FLEET_SECONDS,
        metavar="SECONDS",
        help=f"for which a fleet of four processes runs at least; 0: none (default: {FLEET_SECONDS:.0f})",
    )
    parser.add_argument("--port", type=int, help="of the fleet's live page (default: 8470, or any that is free)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report, say where it is and return 0.

    Args:
        args: parsed options.
    """
    from rich.console import Console

    from skyweave.demo import write_report

    console = Console(stderr=True)
    with console.status("loading") as status:
        report = write_report(
            args.output,
            args.weights,
            args.data,
            progress=lambda title, done, total: status.update(f"{title} ({done + 1} of {total})"),
            perception=args.perception,
            fleet_seconds=args.fleet,
            port=args.port,
            report_status=lambda text: console.print(text, highlight=False),
        )
    if args.json:
        print(json.dumps({**vars(report), "path": str(report.path)}))
    else:
        _print(report)
    return 0


def _print(report: "DemoReport") -> None:
    """Print the figures of the report for people."""
    if not report.real:
        print("No real imagery found ($SKYWEAVE_DATA, --data): every image is a procedural scene.", file=sys.stderr)
    print("sensor                 source      error  (painting the mean)")
    _print_scores(report)
    if report.fleet is not None:
        _print_fleet(report.fleet)
    print(f"\n{report.path}: open it in a browser")


def _print_scores(report: "DemoReport") -> None:
    """Print the errors of reconstruction and the scores of perception."""
    for title, (error, guess) in report.errors.items():
        print(f"{title:22} {'real' if title in report.real else 'procedural':10} {error:6.2f}  {guess:6.2f}")
    print("\nan unseen crossing     alone  together")
    for name, (ego_only, collaborative) in report.scores.items():
        print(f"{name:20} {ego_only:7.2f}  {collaborative:8.2f}")


def _print_fleet(figures: dict[str, float]) -> None:
    """Print what the fleet did, by name."""
    print("\na fleet of processes")
    for name, value in figures.items():
        print(f"{name:24} {value:8.2f}" if value < 100 else f"{name:24} {value:8.0f}")
