"""A room imports only from the rooms above it; what is light stays light."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import skyweave

SOURCE = Path(__file__).resolve().parents[1] / "src" / "skyweave"

# Top to bottom. A name is a folder, or a file directly in src/skyweave. Rooms of one line do not know each other.
ROOMS: list[set[str]] = [
    {"core"},
    {"training", "wire", "detection"},
    {"data", "recordings"},
    {"simulator", "viewing", "telemetry"},
    {"backbone", "inference", "mapping"},
    {"exported"},
    {"pretraining", "downstream"},
    {"orthomosaic"},
    {"perception", "locating", "rigs"},
    {"collaboration"},
    {"fleet"},
    {"embedding"},
    {"search"},
    {"interop"},
    {"demo"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
FRONT_DOOR_USERS = {"demo", "cli"}  # and commands: they use the package as its users do
LIGHT_MODULES = {  # what commands may import at module level
    "skyweave.core.errors",
    "skyweave.core.run_arguments",
    "skyweave.core.signals",
    "skyweave.data.reading_options",
    "skyweave.fleet.page_arguments",
    "skyweave.inference.archive.arguments",
    "skyweave.inference.scene_arguments",
}
ENTRIES = {"__init__.py", "__main__.py"}  # of the package: they only point inwards, lazily
# importable without torch
LIGHT = {"core", "wire", "recordings", "telemetry", "detection", "locating", "rigs", "exported"}
FILES = sorted(p.relative_to(SOURCE) for p in SOURCE.rglob("*.py"))


def test_every_room_has_its_place() -> None:
    rooms = {room_of(file) for file in FILES if str(file) not in ENTRIES}
    assert rooms, f"no rooms found under {SOURCE}"
    assert rooms <= set(LEVEL), f"give these rooms a place in ROOMS: {sorted(rooms - set(LEVEL))}"


@pytest.mark.parametrize("file", [f for f in FILES if str(f) not in ENTRIES], ids=str)
def test_a_room_imports_only_from_above(file: Path) -> None:
    room = room_of(file)
    for module, line in imports(SOURCE / file):
        parts = module.split(".")
        if parts[0] != "skyweave" or len(parts) == 1:
            continue
        other = parts[1]
        if (room in FRONT_DOOR_USERS or file.name.startswith("command_")) and other in skyweave.__all__:
            continue
        assert other == room or (other in LEVEL and LEVEL[other] < LEVEL[room]), (
            f"{file}:{line}: {room} imports {module}, which is not above it; see ROOMS in {Path(__file__).name}"
        )


@pytest.mark.parametrize("file", [f for f in FILES if f.parts[0].removesuffix(".py") in LIGHT], ids=str)
def test_light_rooms_do_without_torch(file: Path) -> None:
    heavy = {"torch", "lightning", "torchvision", "sklearn"}
    for module, line in imports(SOURCE / file):
        assert module.split(".")[0] not in heavy, f"{file}:{line}: imports {module}; this room stays light"


@pytest.mark.parametrize("file", [f for f in FILES if f.parts[0] == "cli" or f.name.startswith("command_")], ids=str)
def test_commands_import_heavily_only_when_run(file: Path) -> None:
    tree = ast.parse((SOURCE / file).read_text())
    allowed = {"skyweave"}  # the package itself is lazy
    for module, line in imports_of(tree.body):
        name = module.split(".")[0]
        light = name in sys.stdlib_module_names or module in allowed or module in LIGHT_MODULES
        assert light, f"{file}:{line}: imports {module} at module level; import it inside run()"


def test_the_rules_catch_a_breach(tmp_path: Path) -> None:
    file = tmp_path / "breach.py"
    file.write_text("def f():\n    from skyweave.cli.main import a\n    import torch.nn as nn\n    from .. import b\n")
    assert [module for module, _ in imports(file)] == ["skyweave.cli.main", "torch.nn", "<relative>"]


def room_of(file: Path) -> str:
    return file.parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every import in the file, also those inside functions. Relative ones are refused: they hide the room."""
    yield from imports_of(ast.walk(ast.parse(path.read_text())))


def imports_of(nodes: "Iterator[ast.AST] | list[ast.stmt]") -> Iterator[tuple[str, int]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "<relative>", node.lineno
            elif node.module == "skyweave":
                yield from ((f"skyweave.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield str(node.module), node.lineno


def test_no_relative_imports() -> None:
    found = [f"{f}:{line}" for f in FILES for module, line in imports(SOURCE / f) if module == "<relative>"]
    assert not found, f"write them in full, they hide the room: {found}"
