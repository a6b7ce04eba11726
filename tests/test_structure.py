"""The measures of `benchmarks/structure.py`, on packages small enough to count by hand."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

from structure import documentable, measures, missed_bars, read_package  # noqa: E402
from structure_code import Function, documented_arguments, exceptions_of  # noqa: E402
from structure_imports import ImportGraph, circles, import_graph  # noqa: E402


def write_package(folder: Path, **files: str) -> Path:
    """Write a package ``pack``; the names are paths without their ending."""
    package = folder / "pack"
    for name, text in {"__init__": "", **files}.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return package


def graph_of(folder: Path, **files: str) -> ImportGraph:
    package = write_package(folder, **files)
    return import_graph(package, {path: ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))})


@pytest.mark.parametrize(
    "text",
    [
        "from pack.b import x",
        "from pack.b.c import x",
        "from pack import b",
        "import pack.b.c",
        "import pack.b.c as short",
        "import pack\npack.b.c.x()",
        "import pack as p\ndef f():\n    return p.b.c",
        "def f():\n    from pack.b import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.b import x",
        "from .b import x",
        "from . import b",
        "import importlib\nimportlib.import_module('pack.b.c')",
        "from pack import exported",
        "import pack\npack.exported()",
    ],
)
def test_every_kind_of_import_is_an_arrow(tmp_path: Path, text: str) -> None:
    graph = graph_of(
        tmp_path, **{"__init__": "from pack.b.c import x as exported", "a": text, "b/c": "x = 1", "b/__init__": ""}
    )
    assert graph.rooms == ["a", "b"]
    assert list(graph.arrows) == [("a", "b")]


@pytest.mark.parametrize("table", ['{"late": "pack.b.c"}', '{"late": ".b.c"}', '{"late": "pack.b.c:late"}'])
def test_a_lazy_export_leads_to_its_room(tmp_path: Path, table: str) -> None:
    graph = graph_of(tmp_path, **{"__init__": f"LAZY = {table}", "a": "from pack import late", "b/c": ""})
    assert list(graph.arrows) == [("a", "b")]


@pytest.mark.parametrize("text", ["import json", "from other.b import x", "import package.b", "from pack.a import f"])
def test_other_packages_and_the_room_itself_are_no_arrows(tmp_path: Path, text: str) -> None:
    assert not graph_of(tmp_path, a=text, b="").arrows


def test_a_stub_is_no_arrow(tmp_path: Path) -> None:
    package = write_package(tmp_path, a="", b="")
    (package / "a.pyi").write_text("from pack.b import x")
    assert read_package(package).graph.arrows == {}


def test_rooms_named_in_strings_are_counted_beside_the_arrows(tmp_path: Path) -> None:
    text = (
        'import pack.b\nTABLE = {"x": "pack.c.d:run", "y": ("pack.b", "pack.c"), "z": "pack.e is prose", "w": "pack"}\n'
    )
    graph = graph_of(tmp_path, **{"a": text, "b": "", "c/d": "import pack.a", "e": ""})
    assert list(graph.arrows) == [("a", "b"), ("c", "a")]
    assert graph.named == {("a", "c"): ["a.py:2"]}
    assert (graph.arrows_per_room, graph.arrows_per_room_with_names) == (0.5, 0.75)
    assert (graph.room_circles, graph.named_circles) == ([], [["a", "c"]])


def test_an_arrow_counts_once(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, **{"a/x": "import pack.b", "a/y": "import pack.b\nfrom pack.b import x", "b": ""})
    assert graph.arrows == {("a", "b"): ["a/x.py:1", "a/y.py:1", "a/y.py:2"]}
    assert graph.arrows_per_room == 0.5


def test_circles_between_rooms_and_inside_one(tmp_path: Path) -> None:
    lazy = "def f():\n    from pack.b import x"
    inside = {"d/x": "import pack.d.y", "d/y": "import pack.d.x"}
    graph = graph_of(tmp_path, a=lazy, b="import pack.c", c="import pack.a", **inside)
    assert graph.room_circles == [["a", "b", "c"]]
    assert graph.file_circles == [["d/x.py", "d/y.py"]]
    assert circles([("a", "b"), ("b", "c"), ("a", "a")]) == []


GOOGLE = """Fuse.

Args:
    features: (rows, columns), as in
        when: this is no entry
    grid, pose: where it is.
    *extra (tuple of (int, int)): more.

Returns:
    other: no argument.
"""
NUMPY = (
    "Fuse.\n\nParameters\n----------\nfeatures : array\n    Values.\ngrid, pose : Grid\n\nReturns\n-------\nother : x\n"
)
BULLETS = "Fuse.\n\n**Arguments:**\n\n- `features`: values.\n- `grid`: where.\n\n**Returns:**\n\n- `other`: x.\n"


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (GOOGLE, {"features", "grid", "pose", "extra"}),
        (NUMPY, {"features", "grid", "pose"}),
        (BULLETS, {"features", "grid"}),
        ("Fuse.\n\n:param features: values\n:param int grid: where\n", {"features", "grid"}),
        ("Fuse.\n\nArgs:\n    features:\n", set()),  # nothing said of it
        ("Fuse features: and grid: here.", None),
        (None, None),
    ],
)
def test_arguments_of_a_docstring(docstring: str | None, expected: set[str] | None) -> None:
    assert documented_arguments(docstring) == expected


CODE = '''
from typing import overload, override
class Base(ValueError):
    """An error that says where it happened."""
    def __init__(self, where: int) -> None:
        """Keep it.

        Args:
            where: line.
        """
class Derived(Base): ...
class Plain:
    @property
    def size(self) -> int:
        return 1
    @staticmethod
    def make(size: int) -> None: ...
    @override
    def fuse(self, features: Tensor) -> Tensor: ...
    @overload
    def read(self, path: str) -> str: ...
def named(features: Tensor, _, *rest) -> Tensor:  # type: ignore
    """Fuse what came.

    Args:
        features: (rows, columns).
        rest: more.
    """
    def inner(x): raise ValueError("no")
def half(features, grid):
    """Fuse what came.

    Args:
        features: (rows, columns).
    """
    raise ValueError
def _private(x): ...
class _Hidden:
    def method(self, x): ...
'''


def test_functions_are_counted(tmp_path: Path) -> None:
    package = read_package(write_package(tmp_path, a=CODE))
    names = {function.name: function for function in package.code.functions}
    assert [function.name for function in documentable(package.code)] == ["Plain.make", "named", "half"]
    assert {name for name, function in names.items() if function.documents_arguments and function.parameters} == {
        "Base.__init__",
        "named",
    }
    assert (names["named"].lines, names["half"].lines, names["Plain.make"].lines) == (2, 2, 1)
    assert names["Plain.make"].parameters == ["size"] and names["Plain.fuse"].parameters == ["features"]
    assert names["named"].has_tensors and names["named"].gives_shape and not names["half"].has_tensors
    assert [each.name for each in exceptions_of(package.code.classes)] == ["Base", "Derived"]
    values = measures(package)
    assert (values["type: ignore"], values["raise ValueError"]) == (1, 2)
    assert values["every argument documented, % of those with parameters"] == 33.33
    assert values["with an argument section, % of those with parameters"] == 66.67


@pytest.mark.parametrize(
    ("docstring", "annotations", "expected"),
    [
        ("Values (batch, 4 * channels, rows / 2).", "Tensor", True),
        ("One (n,) of them.", "Tensor", True),
        ("Values (of the map).", "Tensor", False),
        ("Values.", 'Float[Tensor, "rows columns"]', True),
    ],
)
def test_shapes_are_found(docstring: str, annotations: str, expected: bool) -> None:
    function = Function("f", "a.py:1", 1, True, True, [], 0, True, docstring, None, annotations)
    assert function.gives_shape == expected


def test_bars_are_missed_with_names(tmp_path: Path) -> None:
    branches = "".join(f"    if x == {value}:\n        x += 1\n" for value in range(20))
    rooms = {name: "\n".join(f"import pack.{other}" for other in "abcdef" if other != name) for name in "abcdef"}
    package = write_package(tmp_path, **rooms | {"f": f"def f(x):\n{branches}" + "x = 1\n" * 400})
    missed = missed_bars(read_package(package))
    assert missed["no circle between rooms, or between the files of a room"] == ["a <-> b <-> c <-> d <-> e"]
    assert missed["arrows a room <= 3"][0] == "4.17"
    assert missed["arguments documented in >= 90 % of public functions"] == ["0.0 %", "f.py:1 f"]
    assert missed["no file over 400 lines"] == ["f.py: 441"]
    assert missed["mean complexity <= 3"][1:] == ["21 f.py:1 f"]
    assert missed["no block worse than C (complexity <= 20)"] == ["D (21) f.py:1 f"]
    assert "median file lines <= 140" not in missed


@pytest.mark.parametrize(("text", "status"), [("x = 1\n", 0), ("x = 1\n" * 401, 1)])
def test_the_command_checks(tmp_path: Path, text: str, status: int) -> None:
    package, result = write_package(tmp_path, a=text), tmp_path / "result.json"
    command = [sys.executable, str(BENCHMARKS / "structure.py"), str(package), "--check", "--json", str(result)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == status, run.stderr
    assert "| files | 2 |" in run.stdout
    assert json.loads(result.read_text())["pack"]["measures"]["rooms"] == 1
