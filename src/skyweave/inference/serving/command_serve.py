"""``skyweave serve``: embeddings and predictions as map tiles, and a page that shows them beside the scene."""

import argparse
import asyncio
import contextlib
from pathlib import Path

from skyweave.core.errors import ConfigError
from skyweave.core.signals import end_signals

DEFAULT_PORT = 8472


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "serve",
        help="maps as tiles, and a page",
        description="Serve what `skyweave embed` and `skyweave predict` wrote, and scenes, as tiles for web maps and "
        "GIS programs, and a page that shows two of them side by side. Features are coloured by the first three "
        "principal components of the whole file.",
        epilog="Tiles are at /tiles/LAYER/{z}/{x}/{y}.png, with 512 pixels at {y}@2x.png; /layers names the layers.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="GeoTIFFs: features, predictions, scenes")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"to serve on (default: {DEFAULT_PORT})")
    parser.add_argument("--open", action="store_true", help="let anybody who reaches --host see the files")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="further name of this machine; repeatable"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; return 0.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: a port that is taken.
        FleetError: an address that others could reach, unless they may.
    """
    from skyweave.core.http_server import check_open, serve_app
    from skyweave.inference.serving.layers import open_layers
    from skyweave.inference.serving.map_server import MapServer

    check_open(args.host, args.open, "see the files", "--open")
    layers = open_layers(args.files)

    def announce(address: str) -> None:
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        for layer in layers:
            print(f"{address}tiles/{layer.name}/{{z}}/{{x}}/{{y}}.png  {layer.title}", flush=True)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in end_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await serve_app(MapServer(layers).create_app(), args.host, args.port, announce, stop, args.allow_host)
        except OSError as error:
            message = f"the map cannot be served on {args.host}:{args.port}: {error.strerror or error}; try --port"
            raise ConfigError(message) from None

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
    return 0
