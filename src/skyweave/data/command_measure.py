"""``skyweave measure``: mean and standard deviation of a sensor's bands on imagery."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from skyweave.data.reading_options import add_reading_arguments, read_declaration

if TYPE_CHECKING:
    from skyweave.data.statistics import MeasuredBand


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the ``skyweave`` command.
    """
    parser = subparsers.add_parser(
        "measure",
        help="mean and standard deviation of a sensor's bands",
        description="Measure mean and standard deviation of every band of a sensor on your images, in the bands' "
        "units, and print them as lines for the sensor's YAML. Invalid pixels do not count; of large scenes some "
        "windows are read.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="rasters of the sensor")
    parser.add_argument("--sensor", required=True, help="your .yaml file, which may lack mean and std, or a known name")
    add_reading_arguments(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; return 0.

    Args:
        args: as parsed.

    Raises:
        DataError: an image that cannot be read as declared, or that says nothing of a band.
    """
    from skyweave.core.progress import show_progress
    from skyweave.core.sensors import get_sensor, load_sensor
    from skyweave.data.statistics import measure_statistics

    is_file = args.sensor.endswith((".yaml", ".yml"))
    sensor = load_sensor(args.sensor, with_statistics=False) if is_file else get_sensor(args.sensor)
    notes: dict[str, None] = {}
    with show_progress("measuring") as show:
        measured = measure_statistics(
            args.images,
            sensor,
            progress=lambda done, total: show("measuring, images", done, total),
            note=lambda text: notes.update({text: None}),
            **read_declaration(args),
        )
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    if args.json:
        print(json.dumps({name: vars(statistics) for name, statistics in measured.items()}, indent=1))
        return 0
    for name, statistics in measured.items():
        print(_yaml_line(name, statistics))
    return 0


def _yaml_line(name: str, statistics: "MeasuredBand") -> str:
    numbers = f"mean: {statistics.mean:.5g}, std: {statistics.std:.4g}"
    return f"  - {{name: {name}, {numbers}}}  # of {statistics.pixels} pixels"
