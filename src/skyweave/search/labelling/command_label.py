"""``skyweave label``: a map from a few clicks on a page."""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFolder
from skyweave.core.signals import end_signals

FILES = ("labels.geojson", "map.tif", "areas.json")
DEFAULT_PORT = 8471


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "label",
        help="a map from a few clicks",
        description="Serve a page, to this machine only, on which you click examples of classes on a scene and see the "
        "map that follows at once; then assess a random sample of it, which gives areas with confidence intervals.",
        epilog="Example: skyweave label features.tif --scene scene.tif --classes water,forest,fields -o labels/",
    )
    parser.add_argument("embeddings", metavar="EMBEDDINGS", help="a file that `skyweave embed` wrote")
    parser.add_argument("--classes", required=True, metavar="A,B,..", help="names of the classes, 2 to 12")
    parser.add_argument("--scene", metavar="SCENE", help="the embedded raster (default: the embeddings' false colours)")
    parser.add_argument("--scene-bands", metavar="R,G,B", help="its bands to show, from 1, such as 4,3,2")
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFolder(*FILES),
        required=True,
        metavar="FOLDER",
        help="labels, map and areas; labels that are there are taken up",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"of the page (default: {DEFAULT_PORT})")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve the page until interrupted; return 0.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: a port that is taken.
    """
    from skyweave.core.http_server import LOCAL_HOST, serve_app
    from skyweave.search.archive import build_archive
    from skyweave.search.band_numbers import parse_band_numbers
    from skyweave.search.labelling.label_files import load_examples
    from skyweave.search.labelling.page_server import LabelPage
    from skyweave.search.labelling.scene_image import render_false_colours, render_scene
    from skyweave.search.labelling.session import LabelSession
    from skyweave.search.readers import open_patches

    archive, doubts = build_archive([open_patches(args.embeddings)])
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    session = LabelSession(archive, tuple(name.strip() for name in args.classes.split(",")))
    resumed = load_examples(session, args.output)
    if args.scene:
        scene = render_scene(args.scene, session.places, parse_band_numbers(args.scene_bands))
    else:
        scene = render_false_colours(archive, session.places)
    page = LabelPage(session, scene, args.output, Path(args.embeddings).name)

    def announce(address: str) -> None:
        args.output.mkdir(parents=True, exist_ok=True)
        taken_up = f"; {resumed} examples taken up" if resumed else ""
        print(f"{address}  (Ctrl-C ends it{taken_up})", flush=True)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in end_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await serve_app(page.create_app(), LOCAL_HOST, args.port, announce, stop)
        except OSError as error:
            message = f"the page cannot be served on {LOCAL_HOST}:{args.port}: {error.strerror or error}; try --port"
            raise ConfigError(message) from None

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
    print(f"labels are in {args.output}", file=sys.stderr)
    return 0
