"""Rooms of a package, the imports between them, and the circles that those form.

A room is a direct child of the package, a folder or a file, without ``__init__`` and ``__main__``. An arrow is a pair
of rooms of which the first imports the second, counted once. Every import counts: at the top of a file, inside a
function, under ``TYPE_CHECKING``, by ``import_module`` with a literal name, and by attributes of a plain ``import
package``. A name taken from the package itself counts for the room that it comes from. Stubs (``.pyi``) do not count.

A room that is only named, by a string that is a module of it (``"package.room.module"``, with or without
``:attribute``), as tables of commands and plug-ins do, is no arrow, but counted beside them: such a name is followed at
run time as an import is, and no tool sees it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import networkx

ENTRIES = {"__init__", "__main__"}  # of the package: they point inwards only, and are no rooms


@dataclass(frozen=True)
class ImportGraph:
    """Who imports whom in one package.

    Attributes:
        rooms: names of the rooms, sorted.
        arrows: (importing room, imported room) to the places ``file:line`` where that happens.
        named: the same for rooms that are named in strings and not imported.
        room_circles: rooms that import each other, directly or through others.
        named_circles: rooms that import or name each other.
        file_circles: files of one room that import each other, relative to the package.
    """

    rooms: list[str]
    arrows: dict[tuple[str, str], list[str]]
    named: dict[tuple[str, str], list[str]]
    room_circles: list[list[str]]
    named_circles: list[list[str]]
    file_circles: list[list[str]]

    @property
    def arrows_per_room(self) -> float:
        return len(self.arrows) / max(1, len(self.rooms))

    @property
    def arrows_per_room_with_names(self) -> float:
        return (len(self.arrows) + len(self.named)) / max(1, len(self.rooms))


def import_graph(package: Path, trees: dict[Path, ast.Module]) -> ImportGraph:
    """Build the graph of a package.

    Args:
        package: folder of the package; its name is the package's.
        trees: the parsed files, by path.
    """
    resolver = _Resolver(package, trees)
    arrows: dict[tuple[str, str], list[str]] = {}
    named: dict[tuple[str, str], list[str]] = {}
    edges: list[tuple[str, str]] = []
    for path, tree in trees.items():
        room, source = _room_of(package, path), str(path.relative_to(package))
        if room in ENTRIES:
            continue
        for target, line in resolver.imports(path, tree):
            target_room = _room_of(package, target)
            if target_room == room:
                edges.append((source, str(target.relative_to(package))))
            elif target_room not in ENTRIES:
                arrows.setdefault((room, target_room), []).append(f"{source}:{line}")
        for target, line in resolver.names(tree):
            pair = room, _room_of(package, target)
            if pair[1] not in {room, *ENTRIES}:
                named.setdefault(pair, []).append(f"{source}:{line}")
    named = {pair: places for pair, places in named.items() if pair not in arrows}
    rooms = sorted({_room_of(package, path) for path in trees} - ENTRIES)
    return ImportGraph(rooms, arrows, named, circles(arrows), circles([*arrows, *named]), circles(edges))


def circles(edges: "dict[tuple[str, str], list[str]] | list[tuple[str, str]]") -> list[list[str]]:
    """Find the strongly connected components of more than one node.

    Args:
        edges: pairs (from, to).
    """
    components = networkx.strongly_connected_components(networkx.DiGraph(list(edges)))
    return sorted(sorted(component) for component in components if len(component) > 1)


def _room_of(package: Path, path: Path) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


class _Resolver:
    """Finds the file that an import means."""

    def __init__(self, package: Path, trees: dict[Path, ast.Module]) -> None:
        self.package = package
        self.files = {self._module_name(path): path for path in trees}
        self.exports: dict[str, Path] = {}
        root = package / "__init__.py"
        if root in trees:
            self.exports = self._exports(root, trees[root])

    def imports(self, path: Path, tree: ast.Module) -> Iterator[tuple[Path, int]]:
        """Yield (imported file, line) for every import of the package's own modules.

        Args:
            path: of the importing file.
            tree: its syntax tree.
        """
        plain = {local for node in ast.walk(tree) for local in self._root_bindings(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names if alias.name != self.package.name]
            elif isinstance(node, ast.ImportFrom):
                modules = [f"{self._base(path, node)}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Call):
                modules = _literal_import(node)
            elif isinstance(node, ast.Attribute):
                modules = self._attribute_of_root(node, plain)
            else:
                continue
            for module in modules:
                target = self.resolve(module)
                if target is not None and target != path:
                    yield target, getattr(node, "lineno", 0)

    def names(self, tree: ast.Module) -> Iterator[tuple[Path, int]]:
        """Yield (file, line) for every string that is a module of the package.

        Args:
            tree: a file's syntax tree.
        """
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                module = node.value.split(":")[0]
                if module in self.files and module != self.package.name:
                    yield self.files[module], node.lineno

    def resolve(self, name: str) -> Path | None:
        """Return the file of the longest prefix of a dotted name that is a module, or None for other packages.

        Args:
            name: dotted, a module's or of something in it.
        """
        parts = name.split(".")
        if parts[0] != self.package.name:
            return None
        for stop in range(len(parts), 1, -1):
            module = ".".join(parts[:stop])
            if module in self.files:
                return self.files[module]
        return self.exports.get(parts[1], self.files.get(parts[0])) if len(parts) > 1 else self.files.get(parts[0])

    def _module_name(self, path: Path) -> str:
        parts = path.relative_to(self.package.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _base(self, path: Path, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        folder = path.relative_to(self.package.parent).parts[: -node.level]
        return ".".join([*folder, *([node.module] if node.module else [])])

    def _root_bindings(self, node: ast.AST) -> Iterator[str]:
        for alias in node.names if isinstance(node, ast.Import) else ():
            if alias.name == self.package.name or (not alias.asname and alias.name.split(".")[0] == self.package.name):
                yield alias.asname or self.package.name

    def _attribute_of_root(self, node: ast.Attribute, plain: set[str]) -> list[str]:
        """Return the dotted name of ``package.room.x``, where the package was imported by a plain ``import``."""
        parts: list[str] = []
        value: ast.expr = node
        while isinstance(value, ast.Attribute):
            parts.append(value.attr)
            value = value.value
        if isinstance(value, ast.Name) and value.id in plain:
            return [".".join([self.package.name, *reversed(parts)])]
        return []

    def _exports(self, root: Path, tree: ast.Module) -> dict[str, Path]:
        """Return where the names of the package itself come from: by its imports, or by a table of names to modules."""
        origins: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                base = self._base(root, node)
                origins |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Dict):
                origins |= dict(_names_to_modules(node, self.package.name))
        files = {name: self.resolve(origin) for name, origin in origins.items()}
        return {name: file for name, file in files.items() if file is not None and file != root}


def _literal_import(node: ast.Call) -> list[str]:
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if function in {"import_module", "__import__"} and node.args and isinstance(node.args[0], ast.Constant):
        return [str(node.args[0].value)]
    return []


def _names_to_modules(node: ast.Dict, package: str) -> Iterator[tuple[str, str]]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            module = value.value.replace(":", ".")
            yield str(key.value), f"{package}{module}" if module.startswith(".") else module
