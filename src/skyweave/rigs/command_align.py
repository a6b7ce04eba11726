"""``skyweave align``: raw files of multispectral and thermal drone cameras to stacks of reflectance and temperature."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile, OutputFolder

if TYPE_CHECKING:
    from skyweave.rigs.align import BandAlignment
    from skyweave.rigs.pipeline import AlignOptions, AlignReport
    from skyweave.rigs.thermal.registry import ThermalOptions

ZERO_CELSIUS = 273.15


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "align",
        help="bands of a drone's rig to one stack",
        description="Calibrate the raw files of a multispectral or thermal drone camera (MicaSense RedEdge and Altum, "
        "Parrot Sequoia, FLIR and DJI radiometric JPEG, thermal TIFF) and lay the bands over each other: by the rig's "
        "calibration, and by what the images themselves show. Writes a GeoTIFF of reflectance or kelvin a capture, "
        "and the sensor as YAML.",
    )
    parser.add_argument("files", nargs="+", metavar="RIG_FILES", help="files of the bands, or folders of them")
    output = parser.add_mutually_exclusive_group(required=True)
    output.add_argument(
        "-o", "--output", type=OutputFile(".tif", ".tiff"), metavar="STACK.tif", help="GeoTIFF of one capture"
    )
    output.add_argument("--into", type=OutputFolder(), metavar="FOLDER", help="folder for those of several captures")
    parser.add_argument("--panel", nargs="+", default=[], metavar="FILES", help="images of a panel, one a band")
    parser.add_argument(
        "--panel-reflectance",
        action="append",
        default=[],
        metavar="BAND=SHARE",
        help="what the panel reflects, such as red=0.49, all=0.5; repeatable (default: as the camera read it)",
    )
    parser.add_argument("--panel-area", metavar="X,Y,..", help="corners of the panel, pixels (default: as recognised)")
    parser.add_argument("--radiance", action="store_true", help="radiance instead of reflectance")
    parser.add_argument(
        "--reference", metavar="BAND", help="band whose image the others are brought to (default: green)"
    )
    parser.add_argument("--gsd", type=float, metavar="METRES", help="metres a pixel, for the sensor (default: 0.1)")
    thermal = parser.add_argument_group("thermal images")
    thermal.add_argument("--dji-sdk", type=Path, metavar="libdirp.so", help="DJI's Thermal SDK, for DJI's R-JPEG")
    thermal.add_argument(
        "--thermal-unit",
        choices=("kelvin", "celsius", "dn_centikelvin"),
        help="unit of the values of thermal TIFF files",
    )
    thermal.add_argument("--emissivity", type=float, help="of the ground, 0 to 1 (default: as the camera was set)")
    thermal.add_argument("--distance", type=float, metavar="METRES", help="to the ground")
    thermal.add_argument("--humidity", type=float, metavar="SHARE", help="of the air, 0 to 1")
    thermal.add_argument("--reflected", type=float, metavar="CELSIUS", help="temperature that the ground reflects")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the stacks, print how well the bands agree, and return 0.

    Args:
        args: parsed options.
    """
    from skyweave.core.progress import show_progress
    from skyweave.rigs.pipeline import align_files

    options = _options(args)
    with show_progress("reading") as show:
        report = align_files(args.files, args.into or args.output, args.into is not None, options, show)
    notes = dict.fromkeys(
        f"{band.name}: {note}" for stack in report.alignments for band in stack for note in band.notes
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(json.dumps(dataclasses.asdict(report), indent=2, default=str) if args.json else _summary(report))
    return 0


def _options(args: argparse.Namespace) -> "AlignOptions":
    from skyweave.core.errors import normalise_name
    from skyweave.rigs.pipeline import AlignOptions

    return AlignOptions(
        panel=args.panel,
        panel_reflectances={
            normalise_name(band): share for band, share in map(_parse_reflectance, args.panel_reflectance)
        },
        panel_area=_parse_area(args.panel_area),
        as_radiance=args.radiance,
        reference=None if args.reference is None else normalise_name(args.reference),
        ground_sample_distance=args.gsd,
        thermal=_thermal_options(args),
    )


def _thermal_options(args: argparse.Namespace) -> "ThermalOptions":
    from skyweave.rigs.thermal.registry import ThermalOptions

    for name in ("emissivity", "humidity"):
        share = getattr(args, name)
        if share is not None and not 0 < share <= 1:
            raise ConfigError(f"--{name} {share:g} must be above 0 and at most 1")
    reflected = None if args.reflected is None else args.reflected + ZERO_CELSIUS
    return ThermalOptions(args.emissivity, args.distance, args.humidity, reflected, args.thermal_unit, args.dji_sdk)


def _parse_reflectance(text: str) -> tuple[str, float]:
    band, _, share = text.partition("=")
    try:
        return band, float(share)
    except ValueError:
        raise ConfigError(f"--panel-reflectance {text}: write it as BAND=SHARE, such as red=0.49") from None


def _parse_area(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        corners = tuple(float(part) for part in text.split(","))
    except ValueError:
        corners = ()
    if len(corners) < 6 or len(corners) % 2:
        raise ConfigError(f"--panel-area {text}: write the corners in pixels as X,Y,X,Y,X,Y,..")
    return corners


def _summary(report: "AlignReport") -> str:
    lines = [_line(band) for stack in report.alignments[:1] for band in stack]
    several = len(report.paths) > 1
    lines.append(f"{len(report.paths)} stacks in {report.paths[0].parent}" if several else str(report.paths[0]))
    lines.append(f"every command reads it with --sensor {report.sensor} --unit {report.unit}")
    return "\n".join(lines)


def _line(band: "BandAlignment") -> str:
    by = "calibration" if band.calibrated else "assumption"
    if not band.patches:
        return f"{band.name}: laid by {by}; no patch of it could be compared"
    after = f"{band.after:.2f} after correction ({band.patches} patches)"
    return f"{band.name}: {band.before:.2f} pixels off by {by}, {after}"
