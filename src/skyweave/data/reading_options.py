"""Options of commands that read rasters: what a file does not say, or says wrongly; the same for every command."""

import argparse
from typing import Any, Literal

from skyweave.core.errors import ConfigError

Word = Literal["file", "clouds"]
WORDS: tuple[Word, ...] = ("file", "clouds")  # for what is no data
MAX_OFFSET = 1e9  # more than any sensor's values


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that messages on rasters name.

    Args:
        parser: of a command.
    """
    parser.add_argument(
        "--unit",
        required=True,
        help="how the file stores values (dn, reflectance, db, uint8, ...), or `file`: as its scale and unit say",
    )
    parser.add_argument(
        "--bands",
        metavar="B,B,..",
        help="the file's bands in order, if it does not name them (null for one to skip); or the word `sensor`; of "
        "several scenes one each, such as /sensor for the second alone",
    )
    parser.add_argument("--offset", type=float, default=0.0, help="added to stored values first (default: 0)")
    parser.add_argument(
        "--nodata",
        metavar="V[,V..]",
        help="value that means no data, several, or `none`; `file` among them: also what the file declares (default); "
        "`clouds`: that, and where a product says that the ground is not seen clearly; of several scenes one each, V/V",
    )
    parser.add_argument(
        "--ignore-scale-tags", action="store_true", help="use the unit although the file's scale tags contradict it"
    )
    parser.add_argument("--gsd", type=float, metavar="METRES", help="pixel size, where the file does not know it")


def read_declarations(args: argparse.Namespace, scenes: int) -> list[dict[str, Any]]:
    """Return the options as arguments of `skyweave.data.raster.open_image`, of each of several scenes.

    Args:
        args: as parsed; unit (by commas), bands and nodata (by slashes) may be one for all scenes, or one each.
        scenes: how many there are.

    Raises:
        ConfigError: another number of them; an offset or a nodata value that is none.
    """
    shared = vars(args)
    units = _one_each(args.unit, ",", scenes, "--unit")
    bands = _one_each(args.bands, "/", scenes, "--bands")
    nodata = _one_each(args.nodata, "/", scenes, "--nodata")
    each = [{"unit": u, "bands": b or None, "nodata": n or None} for u, b, n in zip(units, bands, nodata, strict=True)]
    return [read_declaration(argparse.Namespace(**{**shared, **declared})) for declared in each]


def _one_each(text: str | None, separator: str, scenes: int, option: str) -> list[str | None]:
    """Return what an option says of each scene."""
    words = [] if text is None else text.split(separator)
    if len(words) < 2:
        return [text] * scenes
    if len(words) != scenes:
        raise ConfigError(f"{option} says {len(words)} things of {scenes} scenes; give one for all, or one for each")
    return list(words)


def read_declaration(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options as arguments of `skyweave.data.raster.open_image`.

    Args:
        args: as parsed.

    Raises:
        ConfigError: an offset or a nodata value that is none.
    """
    if not abs(args.offset) <= MAX_OFFSET:
        raise ConfigError(f"--offset {args.offset:g} is no offset of pixels; give at most {MAX_OFFSET:g}")
    return {
        "unit": args.unit,
        "bands": args.bands if args.bands in (None, "sensor") else _parse_bands(args.bands),
        "offset": args.offset,
        "nodata": "file" if args.nodata is None else _parse_nodata(args.nodata),
        "ignore_scale_tags": args.ignore_scale_tags,
        "ground_sample_distance": args.gsd,
    }


def _parse_bands(text: str) -> list[str | None]:
    """Return names separated by commas; nothing, or the word null, for a band to skip."""
    names = [name.strip() for name in text.split(",")]
    return [None if name.casefold() in ("", "null", "none") else name for name in names]


def _parse_nodata(text: str) -> "float | list[float | Word] | Word | None":
    """Return the value, or the values, that mean no data."""
    if text.strip().casefold() == "none":
        return None
    values = [_parse_value(word.strip()) for word in text.split(",")]
    return values[0] if len(values) == 1 else values


def _parse_value(text: str) -> "float | Word":
    for word in WORDS:
        if text.casefold() == word:
            return word
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"--nodata: {text!r} is no number; give one, `nan` or `none`, or several such as file,-9999"
        ) from None
