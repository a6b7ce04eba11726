"""Completion of commands, options, files and folders in a shell, by shtab."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

FOLDER_METAVARS = ("DIR", "ROOT", "FOLDER")
NO_PATHS = ("unit", "bands", "nodata")  # whose help mentions the file that they are about
NAMES_A_FILE = re.compile(r"\b(file|yaml|raster|recording|geotiff|picture|photo)s?\b|\.\w+\b", re.I)


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script that makes a shell complete a command line.

    Args:
        parser: with all its commands.
        shell: ``bash``, ``zsh`` or ``tcsh``.
    """
    import shtab

    for action in _all_actions(parser):
        if _takes_a_folder(action):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # where shtab looks for it
        elif _takes_a_file(action):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of a parser and of all its commands that take a free value."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_actions(command)
        elif action.nargs != 0 and action.choices is None and action.type not in (int, float):
            yield action


def _takes_a_folder(action: argparse.Action) -> bool:
    return action.metavar in FOLDER_METAVARS or (action.help or "").startswith(("folder", "directory"))


def _takes_a_file(action: argparse.Action) -> bool:
    if action.dest in NO_PATHS:
        return False
    return action.type is Path or bool(NAMES_A_FILE.search(f"{action.metavar} {action.dest} {action.help}"))
