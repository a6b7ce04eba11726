"""What a user meets: a light package, whole names in every room, and documentation that imports only what is public."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import skyweave
from test_api_surface import packages, surface

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src" / "skyweave"
PACKAGES = packages()
ROOMS = [package for package in PACKAGES if package.count(".") == 1]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
PYTHON_BLOCK = re.compile(r"^( *)```(?:python|py)\b[^\n]*\n(.*?)^\1```", re.M | re.S)


def test_dir_is_what_the_stub_lists() -> None:
    assert dir(skyweave) == sorted(exported_by(SOURCE / "__init__.pyi"))


def test_importing_the_package_is_light() -> None:
    code = "import sys, skyweave; print({'torch', 'numpy', 'rasterio', 'pyproj', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("package", ["skyweave", *PACKAGES])
def test_every_exported_name_resolves(package: str) -> None:
    module = importlib.import_module(package)
    missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
    assert not missing


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_offers(room: str) -> None:
    module = importlib.import_module(room)
    assert hasattr(module, "__all__"), f"list the public names of {room} in its __init__.pyi"
    assert sorted(set(module.__all__)) == sorted(module.__all__), "a name is listed twice"


@pytest.mark.parametrize("package", ["skyweave", *PACKAGES])
def test_no_exported_name_is_that_of_a_submodule(package: str) -> None:
    # importing the submodule would put it in the place of what is exported
    module = importlib.import_module(package)
    submodules = {found.name for found in pkgutil.iter_modules(module.__path__)}
    assert not submodules & set(getattr(module, "__all__", ()))


@pytest.mark.parametrize("stub", sorted(SOURCE.rglob("__init__.pyi")), ids=lambda path: path.parent.name)
def test_a_stub_lists_what_it_imports(stub: Path) -> None:
    imported = [
        alias.asname or alias.name
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(imported) == sorted(exported_by(stub))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_documents_import_what_is_public(document: Path) -> None:
    public = surface()
    private = [
        f"line {line}: from {module} import {name}"
        for module, name, line in documented_imports(document.read_text(encoding="utf-8"))
        if name not in public.get(module, ())
    ]
    assert not private, "export these from their room, or import what is exported:\n" + "\n".join(private)


def test_documents_import_something() -> None:
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    assert sum(len(list(documented_imports(text))) for text in texts) > 20


def test_imports_in_blocks_are_seen() -> None:
    text = textwrap.dedent(
        """\
        ```python
        from skyweave.room import (
            first,
            second as other,
        )
        def f():
            from skyweave import third
        ```

        - a list:
          ```python
          from skyweave.room import fourth
          from numpy import array
          ```
        ```
        from skyweave.room import no_python
        ```
        """
    )
    assert list(documented_imports(text)) == [
        ("skyweave.room", "first", 2),
        ("skyweave.room", "second", 2),
        ("skyweave", "third", 7),
        ("skyweave.room", "fourth", 12),
    ]


def documented_imports(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield (module, name, line) of every import from skyweave in the Python blocks of a document."""
    for block in PYTHON_BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(2)) + 1
        for node in ast.walk(ast.parse(textwrap.dedent(block.group(2)))):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "skyweave":
                yield from ((str(node.module), alias.name, first + node.lineno - 1) for alias in node.names)


def exported_by(stub: Path) -> list[str]:
    """Return the names in ``__all__`` of a stub."""
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise AssertionError(f"{stub} has no __all__")
