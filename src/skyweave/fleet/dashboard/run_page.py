"""Serves the page as the command line asks for it: of a fleet that runs, or of a recording."""

import argparse
import json
import threading

from skyweave.core.progress import show_progress
from skyweave.fleet.dashboard.base_map import BackgroundMap
from skyweave.fleet.dashboard.open_base_map import open_base_map
from skyweave.fleet.dashboard.page_server import PageOptions, create_app, serve_page
from skyweave.fleet.dashboard.replay_player import ReplayPlayer
from skyweave.fleet.dashboard.state import watch_fleet
from skyweave.fleet.link.transport import Transport


def check_page(args: argparse.Namespace) -> None:
    """Raise an error for a page that others could reach, unless they may.

    Args:
        args: of the command line.

    Raises:
        FleetError: an address that others could reach, without ``--allow-open``.
    """
    _options(args).check()


def show_fleet(args: argparse.Namespace, fleet: str, transport: Transport, keys: str | None) -> None:
    """Serve the page of a fleet until interrupted.

    Args:
        args: of the command line.
        fleet: name of the fleet.
        transport: to the fleet; closed at the end.
        keys: folder of ``skyweave fleet keys``; None: the fleet runs in the clear.

    Raises:
        FleetError: a base map that cannot be read, keys that do not fit, or an address that is taken.
    """
    try:
        base_map = _open_base_map(args)
        state, _ = watch_fleet(fleet, transport, keys, args.name)
        serve_page(create_app(state, base_map, origins=args.allow_origin), _options(args), _print_address)
    finally:
        transport.close()


def show_recording(args: argparse.Namespace) -> None:
    """Serve a page on which a recording is played, until interrupted.

    Args:
        args: of the command line.

    Raises:
        FleetError: no recording of a fleet, a base map that cannot be read, or an address that is taken.
        FileNotFoundError: no such file.
    """
    check_page(args)
    base_map = _open_base_map(args)
    with show_progress("reading") as report:
        player = ReplayPlayer(args.recording, lambda share: report(args.recording, round(100 * share), 100))
    player.control(json.dumps({"speed": args.speed}))
    stop = threading.Event()
    playing = threading.Thread(target=player.run, args=(stop,), name="replay")
    playing.start()
    try:
        serve_page(
            create_app(player.state, base_map, player.control, args.allow_origin), _options(args), _print_address
        )
    finally:
        stop.set()
        playing.join()


def _options(args: argparse.Namespace) -> PageOptions:
    return PageOptions(args.host, args.port, args.allow_open, args.allow_host)


def _open_base_map(args: argparse.Namespace) -> BackgroundMap | None:
    """Return what lies beneath the objects; None: the fleet's own mosaic."""
    return None if args.base_map is None else open_base_map(args.base_map, args.credit)


def _print_address(address: str) -> None:
    print(address, flush=True)
