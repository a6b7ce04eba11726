"""``skyweave locate``: where on the map is what a drone sees, and how sure is that."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyweave.core.run_arguments import OutputFolder

if TYPE_CHECKING:
    from skyweave.locating.run import LocateReport, LocateRequest

FORMATS = (  # that are built in; other packages add theirs
    "geojson", "geoparquet", "csv", "kml", "cot", "klv", "mcap", "ros2", "rerun", "nuscenes", "mot", "report", "video",
)  # fmt: skip
MAX_OPTION = 1e5  # of any number that is an option: metres, degrees, pixels or seconds
ERROR_OPTIONS = (  # name, unit, help
    ("horizontal-std", "METRES", "error of the drone's position"),
    ("height-std", "METRES", "error of its height"),
    ("heading-std", "DEGREES", "error of the camera's heading"),
    ("pitch-std", "DEGREES", "error of its pitch"),
    ("roll-std", "DEGREES", "error of its roll"),
    ("focal-std", "SHARE", "error of the focal length, such as 0.01"),
    ("clock-std", "SECONDS", "error of the time of images against the log"),
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "locate",
        help="what a drone sees, as tracks on the map",
        description="Locate the detections of any detector on the map, with ellipses that hold the truth nine times of "
        "ten, and track them there. Poses come from the flight's log; what stands still calibrates them.",
    )
    parser.add_argument(
        "images", nargs="+", type=Path, metavar="VIDEO", help="video, folder of images, or list of frames"
    )
    parser.add_argument(
        "--telemetry",
        nargs="+",
        type=Path,
        required=True,
        metavar="LOG",
        help="one log for each video, or the calibration of a fixed camera",
    )
    parser.add_argument(
        "--detector",
        nargs="+",
        type=Path,
        required=True,
        metavar="MODEL.onnx|BOXES",
        help="ONNX model, or boxes as COCO, MOT or JSON lines; one for all videos, or one for each",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFolder("tracks.geojson"),
        required=True,
        metavar="DIR",
        help="folder to write tracks.geojson and others into",
    )
    parser.add_argument("--telemetry-format", metavar="NAME", help="of the logs (default: what each looks like)")
    parser.add_argument("--rate", type=float, metavar="HZ", help="images a second that are looked at (default: all)")
    parser.add_argument(
        "--formats",
        nargs="+",
        default=["geojson", "csv", "kml", "mot", "report"],
        metavar="FORMAT",
        help=f"kinds of files: {', '.join(FORMATS)} (default: geojson csv kml mot report)",
    )
    parser.add_argument(
        "--count-lines", type=Path, metavar="LINES.geojson", help="count over these lines and areas, into counts.csv"
    )
    _add_detector(parser)
    _add_log(parser)
    _add_errors(parser)
    parser.add_argument("--no-calibration", action="store_true", help="believe the poses; nothing calibrates them")
    parser.add_argument("--max-gap", type=float, metavar="SECONDS", help="for which a track lives unseen (default: 4)")
    parser.add_argument("--resume", action="store_true", help="go on with the boxes that an earlier run has written")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def _add_detector(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("detector")
    group.add_argument("--family", metavar="NAME", help="yolox, nanodet, rtdetr, ... (default: by the model's outputs)")
    group.add_argument(
        "--min-score", type=float, metavar="SCORE", help="lowest score of a box (default: a model's 0.25)"
    )
    group.add_argument("--slice", type=int, metavar="PIXELS", help="cut images into windows, for small objects")
    group.add_argument("--classes", nargs="+", metavar="NAME", help="classes that are kept (default: all)")
    group.add_argument("--names", type=Path, metavar="FILE", help="names of the model's classes, one a line")
    group.add_argument(
        "--boxes-format", metavar="NAME", help="coco, mot, visdrone, json-lines (default: by the suffix)"
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the log does not say")
    group.add_argument("--height", type=float, metavar="METRES", help="above the ground")
    group.add_argument("--pitch", type=float, metavar="DEGREES", help="of the camera, below the horizon")
    group.add_argument("--heading", type=float, metavar="DEGREES", help="of the camera, clockwise from north")
    lens = group.add_mutually_exclusive_group()
    lens.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal field of view")
    lens.add_argument("--camera", type=Path, metavar="CAMERA.yaml", help="rows, columns, intrinsics, distortion")
    group.add_argument("--start", metavar="TIME", help="UTC time of the first image, such as 2026-11-30T14:02:00.5")
    group.add_argument(
        "--origin",
        type=float,
        nargs=3,
        metavar=("LATITUDE", "LONGITUDE", "HEIGHT"),
        help="where the local frame of a log without a fix, or of a calibration, begins",
    )
    group.add_argument("--dem", type=Path, metavar="DEM.tif", help="heights of the ground (default: level ground)")


def _add_errors(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("errors (standard deviations; default: what the log states, or usual ones)")
    for name, unit, text in ERROR_OPTIONS:
        group.add_argument(f"--{name}", type=float, metavar=unit, help=text)
    group.add_argument("--elevation-std", type=float, metavar="METRES", help="error of the ground's elevation")
    group.add_argument("--box-std", type=float, metavar="PIXELS", help="error of boxes, beside 4 %% of their extent")


def run(args: argparse.Namespace) -> int:
    """Locate, print what was written and return 0.

    Args:
        args: parsed options.
    """
    from skyweave.core.progress import show_progress
    from skyweave.locating.run import locate

    _check_numbers(args)
    with show_progress("reading") as show:
        report = locate(_request(args), args.output, show)
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    print(json.dumps(report.to_json(), indent=2, allow_nan=False) if args.json else _summary(report))
    return 0


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse rates that are not above 0, standard deviations that are negative, and what nothing measured has."""
    from skyweave.core.errors import ConfigError

    if args.min_score is not None and not 0 <= args.min_score <= 1:
        raise ConfigError(f"--min-score {args.min_score:g} must be between 0 and 1")
    stds = [name for name, _, _ in ERROR_OPTIONS] + ["elevation-std", "box-std"]
    for name in ("rate", "height", "fov", "slice", "max-gap", *stds):
        value = getattr(args, name.replace("-", "_"))
        if value is None or 0 < value <= MAX_OPTION or (value == 0 and name in stds):
            continue
        if value > MAX_OPTION:
            raise ConfigError(f"--{name} {value:g} must be at most {MAX_OPTION:g}")
        raise ConfigError(f"--{name} {value:g} must {'not be negative' if name in stds else 'be above 0'}")


def _request(args: argparse.Namespace) -> "LocateRequest":
    """Return what to locate from the options."""
    from dataclasses import replace

    import numpy as np

    from skyweave.detection.onnx_detector import DetectorConfig
    from skyweave.locating.config import LocatingConfig
    from skyweave.locating.run import LocateRequest
    from skyweave.telemetry.log_completion import LogCompletion

    config = LocatingConfig(calibration_rounds=0) if args.no_calibration else LocatingConfig()
    if args.elevation_std is not None:
        config = replace(config, errors=replace(config.errors, elevation=args.elevation_std))
    if args.box_std is not None:
        config = replace(config, boxes=replace(config.boxes, pixels=args.box_std))
    if args.max_gap is not None:
        config = replace(config, tracker=replace(config.tracker, max_gap=args.max_gap))
    given = [args.horizontal_std, args.horizontal_std, args.height_std]
    given += [
        None if value is None else math.radians(value) for value in (args.heading_std, args.pitch_std, args.roll_std)
    ]
    stated = np.array([np.nan if value is None else value for value in [*given, args.focal_std, args.clock_std]])
    detector = DetectorConfig(
        family=args.family,
        min_score=args.min_score,
        slice=args.slice,
        classes=None if args.classes is None else tuple(args.classes),
        names=args.names,
    )
    completion = LogCompletion(args.height, args.pitch, args.heading, args.fov, args.camera, args.start)
    return LocateRequest(
        args.images, args.telemetry, args.detector, detector, args.boxes_format, args.rate, completion, args.dem,
        stated, config, args.formats, args.count_lines, args.resume, args.telemetry_format,
        None if args.origin is None else tuple(args.origin),
    )  # fmt: skip


def _summary(report: "LocateReport") -> str:
    content = report.to_json()
    kinds = ", ".join(f"{count} {name}" for name, count in content["categories"].items()) or "none"
    lines = [f"{content['tracks']} tracks ({kinds}), {content['points']} points"]
    if content["median_ellipse_m"] is not None:
        lines.append(f"nine of ten within {content['median_ellipse_m']:.1f} m in the median")
    if content["static_objects"]:
        lines.append(f"poses calibrated by {content['static_objects']} objects that stand still")
    return "\n".join([*lines, *content["files"]])
