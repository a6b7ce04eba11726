"""``skyweave embed``: a scene to a georeferenced map of features."""

import argparse
import json
import sys
from typing import Any, Literal

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFile

MAX_OFFSET = 1e9  # more than any sensor's values


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "embed",
        help="a scene to a georeferenced map of features",
        description="Embed a raster of any size: a GeoTIFF, or a file of another format, whose pixels are the features "
        "of the scene's patches.",
        epilog="`skyweave inspect SCENE` tells which sensors fit; `skyweave sensors show NAME` lists its units.",
    )
    parser.add_argument(
        "scene",
        metavar="SCENE",
        help="any raster that GDAL reads (a file, a subdataset's name, a URL), or a path with {band} where bands are "
        "separate files",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFile(),
        required=True,
        metavar="OUT.tif",
        help="file to write, a GeoTIFF or of another format",
    )
    parser.add_argument("--sensor", required=True, help="a name from `skyweave sensors`, or a .yaml file of yours")
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
    parser.add_argument("--weights", default="tiny", help="shipped name or .safetensors file (default: tiny)")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, mps (default: cpu)")
    parser.add_argument("--patch-size", type=int, metavar="N", help="pixels a patch side (default: the model's)")
    parser.add_argument("--tile", type=int, default=256, metavar="N", help="pixels a tile side (default: 256)")
    parser.add_argument("--overlap", type=int, default=64, metavar="N", help="pixels tiles share (default: 64)")
    parser.add_argument(
        "--dtype", metavar="TYPE", default="float16", help="storage: int8, float16 (default), float32 or the format's"
    )
    parser.add_argument("--format", metavar="NAME", help="output format (default: by the suffix of the output)")
    parser.add_argument(
        "--preview", type=OutputFile(".png"), metavar="OUT.png", help="first three principal components as an image"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Embed and print what was written; return 0.

    Args:
        args: parsed arguments of the command.
    """
    from skyweave.data.raster_files import check_raster_exists

    if "{band}" not in args.scene:
        check_raster_exists(args.scene)

    from skyweave.backbone import load_encoder
    from skyweave.core.progress import show_progress
    from skyweave.core.sensors import get_sensor
    from skyweave.embedding import EmbeddingConfig, embed_scene

    if not abs(args.offset) <= MAX_OFFSET:
        raise ConfigError(f"--offset {args.offset:g} is no offset of pixels; give at most {MAX_OFFSET:g}")
    sensor = get_sensor(args.sensor)
    reading: dict[str, Any] = {"offset": args.offset, "ground_sample_distance": args.gsd}
    reading["ignore_scale_tags"] = args.ignore_scale_tags
    if args.nodata is not None:
        reading["nodata"] = _parse_nodata(args.nodata)
    bands = args.bands if args.bands in (None, "sensor") else _parse_bands(args.bands)
    backbone = load_encoder(args.weights, args.device)
    with show_progress("embedding") as report:
        result = embed_scene(
            args.scene,
            args.output,
            backbone,
            sensor,
            unit=args.unit,
            bands=bands,
            config=EmbeddingConfig(args.patch_size, args.tile, args.overlap, args.dtype, args.format),
            preview=args.preview,
            model_name=str(args.weights),
            progress=lambda done, total: report("embedding, tiles", done, total),
            **reading,
        )
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    if args.json:
        print(json.dumps({**vars(result), "path": str(result.path), "preview": args.preview and str(args.preview)}))
    else:
        print(
            f"{result.path}: {result.columns} x {result.rows} pixels (width x height) of "
            f"{result.ground_sample_distance:g} m, "
            f"{result.channels} channels, {result.valid_fraction:.0%} valid"
        )
        if args.preview:
            print(f"{args.preview}: its first three principal components")
    return 0


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
