"""What commands that take a model over a scene have in common: how the scene is read, cut and computed."""

import argparse
from pathlib import Path
from typing import Any, Literal

from skyweave.core.errors import ConfigError

EXIT_PARTIAL = 3
"""A part of the scene could not be read, and the rest is written."""
MAX_OFFSET = 1e9  # more than any sensor's values


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how the file stores values: ``unit``, ``bands``, ``offset``, ``nodata``, ``ignore_scale_tags``, ``gsd``.

    Args:
        parser: of the command.
    """
    parser.add_argument("--unit", required=True, help="how the file stores values (dn, reflectance, db, uint8, ...)")
    parser.add_argument(
        "--bands",
        metavar="B,B,..",
        help="the file's bands in order, if it does not name them (null for one to skip); or the word `sensor`",
    )
    parser.add_argument("--offset", type=float, default=0.0, help="added to stored values first (default: 0)")
    parser.add_argument(
        "--nodata",
        metavar="V[,V..]",
        help="value that means no data, several, or `none`; `file` among them: also what the file declares (default)",
    )
    parser.add_argument(
        "--ignore-scale-tags", action="store_true", help="use the unit although the file's scale tags contradict it"
    )
    parser.add_argument("--gsd", type=float, metavar="METRES", help="pixel size, where the file does not know it")


def add_inference_arguments(parser: argparse.ArgumentParser, tile: str) -> None:
    """Declare how the scene is cut and computed, as `read_inference_config` takes it.

    Args:
        parser: of the command.
        tile: the default size of a window, in words.
    """
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, mps (default: cpu)")
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
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the model's arithmetic (default: bfloat16 where the processor multiplies in it)",
    )
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="windows a step (default: 16)")
    parser.add_argument("--workers", type=int, metavar="N", help="steps at once (default: one a core)")


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
        precision=args.precision,
        batch=args.batch,
        workers=args.workers,
    )


def read_declaration(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `skyweave.data.open_image` that say how the file stores values.

    Args:
        args: as parsed.

    Raises:
        ConfigError: an offset or a value that is no number.
    """
    if not abs(args.offset) <= MAX_OFFSET:
        raise ConfigError(f"--offset {args.offset:g} is no offset of pixels; give at most {MAX_OFFSET:g}")
    reading: dict[str, Any] = {"unit": args.unit, "offset": args.offset, "ground_sample_distance": args.gsd}
    reading["ignore_scale_tags"] = args.ignore_scale_tags
    reading["bands"] = args.bands if args.bands in (None, "sensor") else _parse_bands(args.bands)
    if args.nodata is not None:
        reading["nodata"] = _parse_nodata(args.nodata)
    return reading


def _parse_bands(text: str) -> list[str | None]:
    """Return names separated by commas; nothing, or the word null, for a band to skip."""
    names = [name.strip() for name in text.split(",")]
    return [None if name.casefold() in ("", "null", "none") else name for name in names]


def _parse_nodata(text: str) -> "float | list[float | Literal['file']] | Literal['file'] | None":
    """Return the value, or the values, that mean no data."""
    if text.strip().casefold() == "none":
        return None
    values = [_parse_value(word.strip()) for word in text.split(",")]
    return values[0] if len(values) == 1 else values


def _parse_value(text: str) -> "float | Literal['file']":
    if text.casefold() == "file":
        return "file"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"--nodata: {text!r} is no number; give one, `nan` or `none`, or several such as file,-9999"
        ) from None
