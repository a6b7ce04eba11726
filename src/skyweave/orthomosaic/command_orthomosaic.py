"""``skyweave orthomosaic``: photographs from the air to a georeferenced mosaic."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from skyweave.core.run_arguments import OutputFile

if TYPE_CHECKING:
    from skyweave.orthomosaic.pipeline import OrthomosaicReport


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "orthomosaic",
        help="photographs from the air to a mosaic",
        description="Place photographs on a UTM grid by the GPS, gimbal and camera data in their EXIF and XMP, blend "
        "them into a GeoTIFF and say how far they disagree where they overlap. No structure from motion: seconds.",
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTOS", help="pictures, or folders of pictures")
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFile(".tif", ".tiff"),
        required=True,
        metavar="MOSAIC.tif",
        help="GeoTIFF to write",
    )
    parser.add_argument("--refine", action="store_true", help="refine the poses until the overlaps agree")
    parser.add_argument("--dem", metavar="DEM.tif", help="ground heights; default: level ground")
    parser.add_argument("--poses", metavar="POSES.json", help="poses that replace what the pictures say")
    parser.add_argument("--height", type=float, metavar="METRES", help="height above ground, where it is unknown")
    parser.add_argument("--resolution", type=float, metavar="METRES", help="cell size (default: two pixels)")
    intrinsics = parser.add_mutually_exclusive_group()
    intrinsics.add_argument("--focal", type=float, metavar="PIXELS", help="focal length of the pictures as they are")
    intrinsics.add_argument("--camera", metavar="CAMERA.json", help="focal, columns, centre, distortion in pixels")
    parser.add_argument("--gps-std", type=float, metavar="METRES", help="error of positions (default: 2, or RTK's)")
    parser.add_argument(
        "--reference",
        metavar="ORTHO.tif",
        help="orthophoto of the place, to which the flight is moved where that is sure",
    )
    parser.add_argument("--preview", type=OutputFile(".png"), metavar="OUT.png", help="the mosaic as a picture")
    parser.add_argument(
        "--save-poses", type=OutputFile(".json"), metavar="OUT.json", help="the poses as mapped, for --poses"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the orthomosaic, print what was written and return 0.

    Args:
        args: parsed options.
    """
    from skyweave.core.progress import show_progress
    from skyweave.orthomosaic.pipeline import make_orthomosaic
    from skyweave.orthomosaic.poses import read_poses
    from skyweave.telemetry.image_metadata.intrinsics import Calibration, read_calibration

    calibration = Calibration(args.focal) if args.focal is not None else None
    if args.camera is not None:
        calibration = read_calibration(args.camera)
    poses = read_poses(args.poses) if args.poses is not None else None
    with show_progress("reading") as show:
        report = make_orthomosaic(
            args.photos,
            args.output,
            refine=args.refine,
            poses=poses,
            calibration=calibration,
            elevation=args.dem,
            height=args.height,
            horizontal_std=args.gps_std,
            resolution=args.resolution,
            preview=args.preview,
            save_poses=args.save_poses,
            reference=args.reference,
            progress=show,
        )
    _print_notes(report)
    print(json.dumps(report.to_json(), indent=2, allow_nan=False) if args.json else _summary(report))
    return 0


def _print_notes(report: "OrthomosaicReport") -> None:
    """Print what was left out and what is unusual, beside the result."""
    for photo in report.photos:
        if photo.skipped:
            print(f"warning: {photo.name} was left out: {photo.skipped}", file=sys.stderr)
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)


def _summary(report: "OrthomosaicReport") -> str:
    used = sum(photo.skipped is None for photo in report.photos)
    lines = [
        f"{report.path}: {used} of {len(report.photos)} pictures, {report.rows} x {report.columns} cells of "
        f"{report.resolution:g} m in {report.crs}, {report.coverage:.0%} known",
        f"height above ground {report.height:.1f} m ({report.height_source})",
    ]
    for what, measured in (("as read", report.before), ("refined", report.after)):
        if measured is not None:
            lines.append(
                f"overlaps disagree, poses {what}: median {measured.median:.2f} m, 90 % within "
                f"{measured.percentile90:.2f} m ({measured.ties} held-out spots)"
            )
    return "\n".join(lines)
