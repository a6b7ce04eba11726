"""``skyweave import``: videos and photographs with their logs to a recording that everything else opens."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Literal

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFolder

if TYPE_CHECKING:
    from skyweave.telemetry.importing.config import ImportConfig
    from skyweave.telemetry.importing.scene import ImportReport

DESCRIPTION = """Import a video, or a folder of images, with the log of its flight as a recording (docs/recordings.md).
Keyframes are taken so often, each with the pose that the log has at its time; the delay of the log and how the camera
is mounted are estimated from how the images move. Several drones and fixed cameras are imported together with a YAML
file that lists them."""
CAMERA_OPTIONS = {  # option: what it sets of the camera
    "platform": "platform",
    "telemetry": "telemetry",
    "telemetry_format": "telemetry_format",
    "channel": "channel",
    "system": "system",
    "height": "height",
    "pitch": "pitch",
    "heading": "heading",
    "fov": "field_of_view",
    "camera": "camera",
    "start": "start",
    "offset": "offset",
    "origin": "origin",
    "rate": "rate",
    "labels": "labels",
    "labels_format": "labels_format",
}
SCENE_OPTIONS = {
    "scene": "scene",
    "interval": "interval",
    "split": "split",
    "dem": "elevation",
    "max_columns": "max_columns",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "import",
        help="a flight's video and log to a recording",
        description=DESCRIPTION,
        epilog="`skyweave inspect DIR` summarises the recording, `skyweave view DIR` shows it.",
    )
    parser.add_argument(
        "images",
        help="video, folder of images, YAML that lists several cameras, or folder of OPV2V or Griffin",
    )
    parser.add_argument(
        "-o", "--output", type=OutputFolder(), required=True, metavar="DIR", help="folder of the recording"
    )
    parser.add_argument("--telemetry", metavar="FILE", help="log of the flight (default: in the video or photographs)")
    parser.add_argument("--telemetry-format", metavar="NAME", help="of the log (default: what it looks like)")
    parser.add_argument("--platform", metavar="NAME", help="of the drone (default: UAV_1)")
    parser.add_argument("--system", metavar="NUMBER", help="vehicle in the log, where that has several")
    parser.add_argument("--channel", metavar="NAME", help="camera in the log, where that has several")
    _add_missing_options(parser)
    _add_scene_options(parser)
    labels = parser.add_argument_group("labels")
    labels.add_argument("--labels", metavar="FILE", help="of the images: COCO, CVAT, MOT or KITTI")
    labels.add_argument("--labels-format", metavar="NAME", help="coco, cvat, mot or kitti (default: by its look)")
    parser.add_argument("--resume", action="store_true", help="keep the images that an earlier run has written")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def _add_missing_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the log does not say")
    group.add_argument("--height", type=float, metavar="METRES", help="above the ground")
    group.add_argument("--pitch", type=float, metavar="DEGREES", help="of the camera, below the horizon")
    group.add_argument("--heading", type=float, metavar="DEGREES", help="of the camera, clockwise from north")
    group.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal field of view")
    group.add_argument("--camera", metavar="FILE", help="calibration: rows, columns, intrinsics, distortion")
    group.add_argument("--start", metavar="TIME", help="UTC of the first image, such as 2026-11-30T14:02:00.5")
    group.add_argument("--offset", type=float, metavar="SECONDS", help="of the log to the images (default: estimated)")
    group.add_argument(
        "--origin",
        type=float,
        nargs=3,
        metavar=("LATITUDE", "LONGITUDE", "HEIGHT"),
        help="where the local frame of a log without a fix begins",
    )
    group.add_argument("--rate", type=float, metavar="HZ", help="images a second of a folder (default: 10)")
    group.add_argument("--no-alignment", action="store_true", help="believe the log; estimate nothing")


def _add_scene_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the recording")
    group.add_argument("--interval", type=float, metavar="SECONDS", help="between keyframes (default: 0.5)")
    group.add_argument("--scene", metavar="NAME", help="of the scene (default: scene-1)")
    group.add_argument("--split", choices=("train", "val", "test"), help="of the scene (default: train)")
    group.add_argument("--dem", metavar="FILE", help="heights of the ground (default: level ground)")
    group.add_argument("--max-columns", type=int, metavar="PIXELS", help="width of wider images (default: 1920)")
    group.add_argument("--png", action="store_true", help="exact images, five times the size of JPEG")


def run(args: argparse.Namespace) -> int:
    """Import the images and return 0.

    Args:
        args: parsed options.
    """
    from pathlib import Path

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from skyweave.telemetry.importing.published import find_layout, import_published
    from skyweave.telemetry.importing.scene import import_scene

    folder, image_format = Path(args.output), _image_format(args)
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task("")

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        layout = find_layout(Path(args.images))
        if layout is not None:
            _refuse_options(args, layout)
            report = import_published(
                Path(args.images),
                layout,
                folder,
                args.split or "train",
                image_format,
                show,
            )
        else:
            report = import_scene(_config(args), folder, image_format, show, args.resume)
    print(json.dumps(_summary(report, folder)) if args.json else _lines(report, folder))
    return 0


def _image_format(args: argparse.Namespace) -> "Literal['png', 'jpg']":
    return "png" if args.png else "jpg"


def _refuse_options(args: argparse.Namespace, layout: str) -> None:
    """Refuse options of flights for a recording that says all of itself."""
    options = [option for option in (*CAMERA_OPTIONS, *SCENE_OPTIONS) if option != "split"]
    given = next((option for option in options if getattr(args, option) is not None), "resume" if args.resume else None)
    if given is not None:
        raise ConfigError(
            f"{args.images} is laid out as {layout}, which says it: take --{given.replace('_', '-')} away"
        )


def _config(args: argparse.Namespace) -> "ImportConfig":
    """The configuration of the options, or that of a YAML file with the scene's options over it."""
    from dataclasses import replace

    from skyweave.core.config import load_config_file
    from skyweave.telemetry.importing.config import CameraImportConfig, ImportConfig

    scene = _given(args, SCENE_OPTIONS) | ({"align": False} if args.no_alignment else {})
    camera = _given(args, CAMERA_OPTIONS)
    if "origin" in camera:
        camera["origin"] = tuple(camera["origin"])
    if str(args.images).lower().endswith((".yaml", ".yml")):
        if camera:
            option = next(option for option, key in CAMERA_OPTIONS.items() if key in camera)
            raise ConfigError(f"{args.images} says it for each camera: take --{option.replace('_', '-')} away")
        return replace(load_config_file(args.images, ImportConfig), **scene)
    return ImportConfig(cameras=[CameraImportConfig(images=str(args.images), **camera)], **scene)


def _given(args: argparse.Namespace, names: dict[str, str]) -> dict[str, Any]:
    return {key: value for option, key in names.items() if (value := getattr(args, option)) is not None}


def _summary(report: "ImportReport", folder: Any) -> dict[str, Any]:
    return {
        "path": str(folder),
        "tables": str(report.tables),
        "frames": report.frames,
        "captures": report.captures,
        "objects": report.objects,
        "notes": report.notes,
    }


def _lines(report: "ImportReport", folder: Any) -> str:
    """The summary in words."""
    captures = ", ".join(f"{count} of {platform}" for platform, count in report.captures.items())
    lines = [f"{report.frames} frames ({captures}) and {report.objects} objects in {folder}"]
    for platform, notes in report.notes.items():
        lines += [f"  {platform}: {note}" for note in notes]
    return "\n".join([*lines, f"look at it with: skyweave view {folder}"])
