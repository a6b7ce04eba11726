"""``skyweave sensors``: the catalogue, or one sensor's bands."""

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from skyweave.core.sensors import Band, Sensor


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the ``skyweave`` command.
    """
    parser = subparsers.add_parser(
        "sensors",
        help="list the sensors, or show one",
        description="List the built-in sensors, or show the bands of one (of the catalogue, or a YAML file of yours).",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("show", help="bands and units of one sensor")
    show.add_argument("name", help="catalogue name, or path of a .yaml file")
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the catalogue, or the bands of one sensor.

    Args:
        args: as parsed.

    Returns:
        0.
    """
    from skyweave.core.sensors import catalogue

    if args.action == "show":
        _show(args.name, args.json)
        return 0
    if args.json:
        print(json.dumps([_summary(sensor) for sensor in catalogue().values()], indent=2))
    else:
        _print_catalogue(list(catalogue().values()))
    return 0


def _summary(sensor: "Sensor") -> dict[str, object]:
    return {
        "name": sensor.name,
        "title": sensor.title,
        "bands": [band.name for band in sensor.bands],
        "ground_sample_distance": sensor.ground_sample_distance,
        "units": [encoding.name for encoding in sensor.encodings],
    }


def _print_catalogue(sensors: "list[Sensor]") -> None:
    from rich.table import Table

    from skyweave.core.console import table_console

    table = Table(box=None, pad_edge=False)
    table.add_column("sensor", style="bold", no_wrap=True)
    table.add_column("bands", justify="right")
    table.add_column("metres", justify="right")
    table.add_column("declare unit")
    table.add_column("")
    for sensor in sensors:
        units = ", ".join(encoding.name for encoding in sensor.encodings)
        table.add_row(sensor.name, str(len(sensor)), f"{sensor.ground_sample_distance:g}", units, sensor.title)
    console = table_console()
    console.print(table)
    console.print("\n`skyweave sensors show NAME` lists the bands; a .yaml file of yours works as NAME, too.")


def _show(name: str, as_json: bool) -> None:
    """Print one sensor."""
    from skyweave.core.sensors import get_sensor, sensor_to_dict

    sensor = get_sensor(name)
    if as_json:
        print(json.dumps(sensor_to_dict(sensor), indent=2))
    else:
        _print_sensor(sensor)


def _band_cells(band: "Band", sensor: "Sensor") -> "tuple[RenderableType, ...]":
    """Return a band's row of the table."""
    from rich.text import Text

    from skyweave.core.sensors import get_band_kind

    metres = band.ground_sample_distance or sensor.ground_sample_distance
    return (
        Text(band.name, style="bold"),
        get_band_kind(band.kind).describe(band),
        band.unit,
        f"{metres:g}",
        f"{band.mean:.4g}",
        f"{band.std:.3g}",
        Text(", ".join(band.aliases)),
    )


def _print_sensor(sensor: "Sensor") -> None:
    from rich.table import Table
    from rich.text import Text

    from skyweave.core.console import table_console

    console = table_console()
    console.print(Text.assemble((sensor.name, "bold"), f": {sensor.title}"))
    console.print(f"{len(sensor)} bands, {sensor.ground_sample_distance:g} m")
    console.print("Declare how a file stores the values (unit: WORD):")
    for encoding in sensor.encodings:
        console.print(Text(f"  {encoding.name}: {encoding.formula()}"))
    table = Table(box=None, pad_edge=False)
    for heading in ("band", "measures", "unit", "metres", "mean", "std", "also called"):
        table.add_column(heading, justify="right" if heading in ("metres", "mean", "std") else "left")
    for band in sensor.bands:
        table.add_row(*_band_cells(band, sensor))
    console.print(table)
