"""The public names and their arguments are what `api_surface.json` says: a change is meant, or it is a mistake.

After a change that is meant, run `python tests/test_api_surface.py` and say so in CHANGELOG.md.
"""

import argparse
import importlib
import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any

import skyweave
from skyweave.cli.main import COMMANDS

RECORD = Path(__file__).with_name("api_surface.json")


def packages() -> list[str]:
    """Return the rooms, and the rooms in them."""
    modules = pkgutil.walk_packages(skyweave.__path__, "skyweave.")
    return sorted(module.name for module in modules if module.ispkg)


def surface() -> dict[str, Any]:
    """Return the names and arguments of each room with an ``__all__``, and the options of each command."""
    recorded: dict[str, Any] = {"skyweave": sorted(skyweave.__all__)}
    for package in packages():
        module = importlib.import_module(package)
        if names := sorted(getattr(module, "__all__", ())):
            recorded[package] = {name: _arguments(getattr(module, name)) for name in names}
    recorded["commands"] = {command: _options(command) for command in COMMANDS}
    return recorded


def _arguments(exported: Any) -> list[str] | str:
    if not callable(exported):
        return type(exported).__name__
    try:
        return list(inspect.signature(exported).parameters)
    except ValueError:
        return "callable"


def _options(command: str) -> list[str]:
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[command][0]).add_parser(parser.add_subparsers())
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    (only,) = actions[0].choices.values()
    return sorted(text for action in only._actions for text in (action.option_strings or [action.dest]))


def test_the_public_surface_is_the_recorded_one() -> None:
    recorded, actual = json.loads(RECORD.read_text()), surface()
    changed = {key for key in recorded.keys() | actual.keys() if recorded.get(key) != actual.get(key)}
    assert not changed, f"changed: {sorted(changed)}; if meant, run: python {RECORD.parent.name}/{Path(__file__).name}"


if __name__ == "__main__":
    RECORD.write_text(json.dumps(surface(), indent=1) + "\n")
