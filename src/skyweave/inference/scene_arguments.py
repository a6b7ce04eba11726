"""What commands that take a model over a scene have in common: how the scene is cut and computed."""

import argparse
import os
from pathlib import Path
from typing import Any

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile

EXIT_PARTIAL = 3
"""A part of the scene could not be read, and the rest is written."""
RASTER_CACHE_MB = 256
"""Of decoded blocks of files that GDAL keeps; by default it takes a twentieth of the machine's memory."""


def add_inference_arguments(parser: argparse.ArgumentParser, tile: str) -> None:
    """Declare how the scene is cut and computed, as `read_inference_config` takes it.

    Args:
        parser: of the command.
        tile: the default size of a window, in words.
    """
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, mps (default: cpu)")
    add_window_arguments(parser, tile)
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the model's arithmetic (default: bfloat16 where the processor multiplies in it)",
    )


def add_window_arguments(parser: argparse.ArgumentParser, tile: str) -> None:
    """Declare how the scene is cut, and how many windows are computed at once.

    Args:
        parser: of the command.
        tile: the default size of a window, in words.
    """
    parser.add_argument("--tile", type=int, metavar="N", help=f"pixels a window side (default: {tile})")
    parser.add_argument(
        "--overlap", type=int, metavar="N", help="pixels that windows share (default: an eighth of a window)"
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--window",
        type=int,
        nargs=4,
        metavar=("ROW", "COLUMN", "ROWS", "COLUMNS"),
        help="only this part of the scene, in pixels",
    )
    part.add_argument(
        "--bounds",
        type=float,
        nargs=4,
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="only this part of the scene, in its reference system",
    )
    parser.add_argument(
        "--area", type=Path, metavar="FILE.geojson", help="only what polygons in longitude and latitude touch"
    )
    parser.add_argument(
        "--resampling",
        choices=("nearest", "bilinear", "cubic", "average"),
        default="bilinear",
        help="of further scenes onto the grid of the first, where they lie on another (default: bilinear)",
    )
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="windows a step (default: 16)")
    parser.add_argument("--workers", type=int, metavar="N", help="steps at once (default: one a core)")


def add_qgis_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the project for QGIS.

    Args:
        parser: of the command.
    """
    parser.add_argument(
        "--qgis",
        type=OutputFile(".qgs", ".qgz"),
        metavar="OUT.qgs",
        help="project for QGIS with output and scene",
    )


def check_qgis_argument(args: argparse.Namespace) -> None:
    """Refuse a project of an output that is no raster file, before it is computed.

    Args:
        args: as parsed.

    Raises:
        ConfigError: the output is of another format.
    """
    if args.qgis is not None and args.output.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"--qgis {args.qgis}: a project shows rasters, and {args.output} is none; name it .tif")


def bound_memory() -> None:
    """Bound the memory that GDAL takes for blocks of files, unless the user has, and what threads keep each.

    Before the first file is read, and before there are threads.
    """
    from skyweave.core.malloc import share_freed_memory

    os.environ.setdefault("GDAL_CACHEMAX", str(RASTER_CACHE_MB))
    share_freed_memory()


def read_inference_config(args: argparse.Namespace) -> Any:
    """Return the `InferenceConfig` of a command's arguments.

    Args:
        args: as parsed.

    Raises:
        ConfigError: numbers that are not possible.
    """
    from skyweave.inference.config import InferenceConfig

    return InferenceConfig(
        tile=args.tile,
        overlap=args.overlap,
        window=args.window and tuple(args.window),
        bounds=args.bounds and tuple(args.bounds),
        area=args.area,
        resampling=args.resampling,
        precision=getattr(args, "precision", "auto"),
        batch=args.batch,
        workers=args.workers,
    )
