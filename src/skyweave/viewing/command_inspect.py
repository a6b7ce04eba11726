"""``skyweave inspect``: what a raster holds and which sensors fit, or what a recording holds."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from skyweave.data.inspection import BandReport, RasterReport
    from skyweave.data.sensor_matching import SensorMatch

_MARKS = {
    "all": ("yes", "green"),
    "subset": ("yes", "green"),
    "more": ("part", "yellow"),
    "count": ("maybe", "yellow"),
    "no": ("no", "dim"),
}
MAX_BANDS = 16  # in the table without --all


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the ``skyweave`` command.
    """
    parser = subparsers.add_parser(
        "inspect",
        help="what a raster or a recording holds",
        description="Show bands, values, nodata, CRS and resolution of a raster, and which sensors fit and why not. "
        "Values are shown as stored. Hints are hints: the unit and the bands are yours to declare. "
        "Of a folder with a recording, show cameras, scenes, objects and splits.",
    )
    parser.add_argument(
        "file",
        help="any raster that GDAL opens (a file, a subdataset's name, a URL), a path with {band} where bands are "
        "separate files, a product (the folder, zip or tar of Sentinel or Landsat), or the folder of a recording",
    )
    parser.add_argument("--sensor", action="append", default=[], metavar="NAME", help="compare with this sensor only")
    parser.add_argument("--all", action="store_true", help=f"show every band, not the first {MAX_BANDS}; every scene")
    parser.add_argument("--quick", action="store_true", help="read at most 1024 rows and columns (estimates), 5 scenes")
    parser.add_argument("--version", metavar="V", help="tables of a recording, where it has several (v1.0-mini)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what a raster or a recording holds.

    Args:
        args: as parsed.

    Returns:
        0.
    """
    from skyweave.data.products.product import find_product

    if Path(args.file).is_dir() and find_product(args.file) is None:
        from skyweave.viewing.recording_summary import print_recording_summary

        return print_recording_summary(args.file, args.version, args.quick, args.all, args.json)

    from skyweave.core.sensors import catalogue, get_sensor
    from skyweave.data.hints import command_that_works, find_hints
    from skyweave.data.sensor_matching import match_sensors

    given = {get_sensor(name).name: name for name in args.sensor}
    sensors = [get_sensor(name) for name in args.sensor] or list(catalogue().values())
    report = _read(args.file, 1024 if args.quick else None)
    matches = match_sensors(report, sensors)
    advice = find_hints(report, matches)
    command = command_that_works(report, matches, given)
    if args.json:
        print(json.dumps(_as_json(report, matches, advice, command), indent=2, allow_nan=False))
    else:
        _print(report, matches, advice, command, everything=args.all)
    return 0


def _read(path: str, sample: int | None) -> "RasterReport":
    """The report, with a progress bar on standard error while a large file is read."""
    from rich.console import Console
    from rich.progress import Progress

    from skyweave.data.inspection import inspect_raster

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("reading", total=1.0)
        return inspect_raster(path, sample, lambda share: progress.update(task, completed=share))


def _as_json(
    report: "RasterReport", matches: "list[SensorMatch]", advice: list[str], command: str | None
) -> dict[str, Any]:
    from dataclasses import asdict

    content = asdict(report)
    for band in content["bands"]:
        band["empty"] = band["minimum"] is None
        if band["nodata"] is not None and not math.isfinite(band["nodata"]):
            band["nodata"] = str(band["nodata"])  # JSON has no NaN
    content["sensors"] = [_match_as_json(report, match) for match in matches]
    content["hints"] = advice
    content["command"] = command
    return content


def _match_as_json(report: "RasterReport", match: "SensorMatch") -> dict[str, Any]:
    return {
        "sensor": match.sensor.name,
        "fits": match.fits,
        "verdict": match.verdict,
        "reason": match.reason,
        "bands": {name: report.measured[channel].number for name, channel in match.match.matched.items()},
        "missing": match.match.missing,
        "units": list(match.units),
    }


def _print(
    report: "RasterReport", matches: "list[SensorMatch]", advice: list[str], command: str | None, everything: bool
) -> None:
    from rich.text import Text

    from skyweave.core.console import table_console

    console = table_console()
    _print_head(console, report)
    shown = report.bands if everything else report.bands[:MAX_BANDS]
    console.print(_band_table(shown))
    if len(shown) < len(report.bands):
        console.print(f"... {len(report.bands) - len(shown)} more bands (--all shows them)")
    console.print("\nSensors", style="bold")
    console.print(_sensor_table(matches))
    if advice:
        console.print("\nHints", style="bold")
        for hint in advice:
            console.print(Text(f"- {hint}"))
    if command:
        units = " (UNIT is one of its units)" if "--unit UNIT" in command else ""
        console.print(f"\nTo embed it as the first of these{units}", style="bold")
        console.print(Text(command), soft_wrap=True)


def _sensor_table(matches: "list[SensorMatch]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for match in matches:
        mark, style = _MARKS[match.verdict]
        units = f"unit: {' or '.join(match.units)}" if match.units else ""
        table.add_row(Text(mark, style=style), Text(match.sensor.name, style=style), Text(match.reason), Text(units))
    return table


def _print_head(console: "Console", report: "RasterReport") -> None:
    from rich.text import Text

    metres = report.ground_sample_distance
    resolution = f"{metres:.4g} m" if metres else "resolution unknown"
    bands = f"{len(report.bands)} band{'s' if len(report.bands) > 1 else ''}"
    size = f"{bands}, {report.columns} x {report.rows} pixels (width x height)"
    console.print(Text(report.path, style="bold"))
    console.print(Text(f"{report.driver}, {size}, {resolution}, {report.crs_name or 'no CRS'}"))
    if report.located_by:
        console.print(Text(f"located by {report.located_by}"))
    if report.time:
        console.print(Text(f"taken {report.time}"))
    if report.sampled:
        console.print("values estimated from a coarser version (--quick)")


def _band_table(bands: "list[BandReport]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("#", "name", "nm", "type", "nodata", "share", "min", "mean", "max"):
        table.add_column(heading, justify="left" if heading in ("name", "type") else "right")
    for band in bands:
        table.add_row(
            str(band.number),
            Text(_band_name(band)),
            _number(band.wavelength),
            band.dtype,
            _number(band.nodata),
            f"{band.nodata_share:.1%}",
            *_statistics(band),
        )
    return table


def _band_name(band: "BandReport") -> str:
    """Return the name, and where it comes from if the file does not say it itself."""
    source = f" ({band.name_from})" if band.name_from in ("file name", "colour") else ""
    return (band.name or "-") + source


def _statistics(band: "BandReport") -> list[str]:
    """Return minimum, mean and maximum as text."""
    return ["all nodata", "", ""] if band.empty else [_number(v) for v in (band.minimum, band.mean, band.maximum)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
