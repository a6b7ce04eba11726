"""The options of commands that serve the live page; imports nothing heavy."""

import argparse


def add_page_options(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that serve the live page.

    Args:
        command: to add to.
    """
    command.add_argument("--port", type=int, default=8470, help="of the page (default: 8470)")
    command.add_argument("--host", default="127.0.0.1", help="address to serve on (default: this machine only)")
    command.add_argument("--allow-open", action="store_true", help="serve to other machines, to anybody")
    command.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="host name under which it is asked for"
    )
    command.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="https://map.example.org: a site whose pages may read the features under /ogc/",
    )
    command.add_argument(
        "--base-map",
        metavar="MAP",
        help="beneath the objects: a GeoTIFF, a folder of XYZ tiles, or an address with {z}/{x}/{y} that this program, "
        "not the browser, asks; none (default: what the fleet's cameras saw)",
    )
    command.add_argument("--credit", default="", metavar="TEXT", help="whom the base map is owed to, shown on it")
