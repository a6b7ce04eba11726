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


def surface() -> dict[str, Any]:
    """Of each room with an ``__all__``: names to argument names; of each command: its options."""
    found: dict[str, Any] = {"skyweave": sorted(skyweave.__all__)}
    for room in pkgutil.iter_modules(skyweave.__path__):
        if room.name in ("__main__", "cli"):
            continue
        module = importlib.import_module(f"skyweave.{room.name}")
        if room.ispkg and hasattr(module, "__all__"):
            found[module.__name__] = {name: _arguments(getattr(module, name)) for name in sorted(module.__all__)}
    found["commands"] = {command: _options(command) for command in COMMANDS}
    return found


def _arguments(thing: Any) -> list[str] | str:
    if not callable(thing):
        return type(thing).__name__
    try:
        return list(inspect.signature(thing).parameters)
    except ValueError:
        return "callable"


def _options(command: str) -> list[str]:
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[command][0]).add_parser(parser.add_subparsers())
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    (own,) = actions[0].choices.values()
    return sorted(text for action in own._actions for text in (action.option_strings or [action.dest]))


def test_the_public_surface_is_the_recorded_one() -> None:
    recorded, actual = json.loads(RECORD.read_text()), surface()
    changed = {key for key in recorded.keys() | actual.keys() if recorded.get(key) != actual.get(key)}
    assert not changed, f"changed: {sorted(changed)}; if meant, run: python {RECORD.parent.name}/{Path(__file__).name}"


if __name__ == "__main__":
    RECORD.write_text(json.dumps(surface(), indent=1) + "\n")
