"""What can be counted about the structure of a package: sizes, types, documentation, branching, imports.

    python benchmarks/structure.py                     # src/skyweave
    python benchmarks/structure.py --check             # exit status 1 where a bar is missed, with what misses it
    python benchmarks/structure.py ../kornia/kornia --json kornia.json

A column a package. `structure_code.py` and `structure_imports.py` say how each thing is counted; complexity is radon's,
whose blocks are functions, methods and classes. Percentiles are linear between ranks.
"""

import argparse
import ast
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from structure_code import Code, Function, exceptions_of, read_code
from structure_imports import ImportGraph, import_graph

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "skyweave"
MAX_ARROWS_PER_ROOM = 3.0
MIN_DOCUMENTED_PERCENT = 90.0
MAX_FILE_LINES = 400
MAX_MEDIAN_FILE_LINES = 140
MAX_MEAN_COMPLEXITY = 3.0
MAX_COMPLEXITY = 20  # the end of radon's rank C
LONG_FUNCTION_LINES = 50

Value = float | int | str


@dataclass(frozen=True)
class Package:
    """What was counted in one package.

    Attributes:
        name: of its folder.
        code: files, functions, classes and blocks.
        graph: rooms and imports.
        test_lines: lines of its tests; None where no folder of tests was found.
    """

    name: str
    code: Code
    graph: ImportGraph
    test_lines: int | None


@dataclass(frozen=True)
class Bar:
    """What a measure must not exceed or fall below. ``offenders`` names what misses it; empty if it is kept."""

    text: str
    offenders: Callable[[Package], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", type=Path, default=[PACKAGE], help="folders of packages")
    parser.add_argument("--tests", type=Path, help="folder of the tests; default: tests/ or test/ above the package")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measures and the offenders there, too")
    parser.add_argument("--check", action="store_true", help="exit with status 1 where a bar is missed")
    arguments = parser.parse_args()
    packages = [read_package(folder.resolve(), arguments.tests) for folder in arguments.packages]
    measured = {package.name: measures(package) for package in packages}
    missed = {package.name: missed_bars(package) for package in packages}
    print_table(measured)
    if arguments.json:
        result = {name: {"measures": measured[name], "missed": missed[name]} for name in measured}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.check:
        print_missed(missed)
        sys.exit(any(missed.values()))


def read_package(folder: Path, tests: Path | None = None) -> Package:
    """Count everything in a package.

    Args:
        folder: of the package.
        tests: folder of its tests; default: the nearest ``tests`` or ``test`` beside or above it.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    if not texts:
        raise SystemExit(f"{folder} holds no Python files")
    trees = {path: ast.parse(text, str(path)) for path, text in texts.items()}
    beside = [parent / name for parent in folder.parents[:3] for name in ("tests", "test")]
    tests = tests or next((path for path in beside if path.is_dir()), None)
    test_lines = sum(len(path.read_bytes().splitlines()) for path in tests.rglob("*.py")) if tests else None
    return Package(folder.name, read_code(folder, texts, trees), import_graph(folder, trees), test_lines)


def measures(package: Package) -> dict[str, Value]:
    """Return every measure by its name, in the order of the table.

    Args:
        package: as counted.
    """
    code = package.code
    total = sum(code.file_lines.values())
    return {
        **_size_measures(code),
        **_documentation_measures(code),
        **_complexity_measures(code),
        "comments per 100 lines": _round(100 * code.comments / total),
        **_import_measures(package.graph),
        "tests : source lines": "-" if package.test_lines is None else _round(package.test_lines / total),
        "type: ignore": code.type_ignores,
        "own exception classes": len(exceptions_of(code.classes)),
        "raise ValueError": code.raised_value_errors,
    }


def _size_measures(code: Code) -> dict[str, Value]:
    files = list(code.file_lines.values())
    lengths = [function.lines for function in code.functions]
    parameters = sum(len(function.parameters) for function in code.functions)
    return {
        "files": len(files),
        "lines": sum(files),
        **_distribution("file lines", files),
        **_distribution("function lines", lengths),
        f"functions > {LONG_FUNCTION_LINES} lines, %": _percent([length > LONG_FUNCTION_LINES for length in lengths]),
        "typed returns, %": _percent([function.returns_typed for function in code.functions]),
        "typed arguments, %": _round(100 * sum(function.annotated for function in code.functions) / max(1, parameters)),
        **_distribution("parameters", [len(function.parameters) for function in code.functions]),
    }


def _documentation_measures(code: Code) -> dict[str, Value]:
    public = [function for function in code.functions if function.public and function.documentation_counts]
    with_parameters = documentable(code)
    constructors = [function for function in code.functions if _is_public_constructor(function)]
    tensors = [function for function in public if function.has_tensors]
    return {
        "public functions": len(public),
        "with a docstring, %": _percent([function.docstring is not None for function in public]),
        "public classes with a docstring, %": _percent([c.docstring is not None for c in code.classes if c.public]),
        "with an argument section, % of all public": _percent([f.has_argument_section for f in public]),
        "with an argument section, % of those with parameters": _percent(
            [function.has_argument_section for function in with_parameters]
        ),
        "every argument documented, % of those with parameters": _percent(
            [function.documents_arguments for function in with_parameters]
        ),
        "constructors with every argument documented, %": _percent([f.documents_arguments for f in constructors]),
        "tensor functions with a shape, %": _percent([function.gives_shape for function in tensors]),
    }


def _complexity_measures(code: Code) -> dict[str, Value]:
    values = [block.complexity for block in code.blocks]
    worst = max(code.blocks, key=lambda block: block.complexity, default=None)
    return {
        "complexity, mean": _round(float(np.mean(values))) if values else 0,
        "blocks of rank C or worse, %": _percent([block.rank >= "C" for block in code.blocks]),
        "worst block": f"{worst.rank} ({worst.complexity}) {worst.where} {worst.name}" if worst else "-",
    }


def _import_measures(graph: ImportGraph) -> dict[str, Value]:
    return {
        "rooms": len(graph.rooms),
        "arrows between rooms": len(graph.arrows),
        "arrows a room": _round(graph.arrows_per_room),
        "rooms named in strings only": len(graph.named),
        "arrows a room, with those": _round(graph.arrows_per_room_with_names),
        "circles between rooms": len(graph.room_circles),
        "rooms in circles": sum(map(len, graph.room_circles)),
        "circles between rooms, with names in strings": len(graph.named_circles),
        "circles between files of a room": len(graph.file_circles),
    }


def documentable(code: Code) -> list[Function]:
    """Return the public functions whose arguments are to be documented: those that have any.

    Args:
        code: of a package.
    """
    return [
        function
        for function in code.functions
        if function.public and function.documentation_counts and any(not p.startswith("_") for p in function.parameters)
    ]


def _is_public_constructor(function: Function) -> bool:
    *classes, name = function.name.split(".")
    return name == "__init__" and not any(part.startswith("_") for part in classes) and bool(function.parameters)


def bars() -> list[Bar]:
    """Return what the package must keep."""
    return [
        Bar(f"arrows a room <= {MAX_ARROWS_PER_ROOM:g}", _too_many_arrows),
        Bar("no circle between rooms, or between the files of a room", _circles),
        Bar(f"arguments documented in >= {MIN_DOCUMENTED_PERCENT:g} % of public functions", _undocumented),
        Bar(f"no file over {MAX_FILE_LINES} lines", _long_files),
        Bar(f"median file lines <= {MAX_MEDIAN_FILE_LINES}", _long_median),
        Bar(f"mean complexity <= {MAX_MEAN_COMPLEXITY:g}", _complex_mean),
        Bar(f"no block worse than C (complexity <= {MAX_COMPLEXITY})", _complex_blocks),
    ]


def missed_bars(package: Package) -> dict[str, list[str]]:
    """Return the bars that a package misses, each with what misses it.

    Args:
        package: as counted.
    """
    offenders = {bar.text: bar.offenders(package) for bar in bars()}
    return {text: names for text, names in offenders.items() if names}


def _too_many_arrows(package: Package) -> list[str]:
    graph = package.graph
    if graph.arrows_per_room <= MAX_ARROWS_PER_ROOM:
        return []
    targets = {room: sorted(to for start, to in graph.arrows if start == room) for room in graph.rooms}
    by_count = sorted(targets.items(), key=lambda item: -len(item[1]))
    return [f"{graph.arrows_per_room:.2f}"] + [f"{room} -> {', '.join(to)} ({len(to)})" for room, to in by_count if to]


def _circles(package: Package) -> list[str]:
    return [" <-> ".join(circle) for circle in package.graph.room_circles + package.graph.file_circles]


def _undocumented(package: Package) -> list[str]:
    functions = documentable(package.code)
    missing = [f"{function.where} {function.name}" for function in functions if not function.documents_arguments]
    share = 100 * (1 - len(missing) / max(1, len(functions)))
    return [f"{share:.1f} %", *missing] if share < MIN_DOCUMENTED_PERCENT else []


def _long_files(package: Package) -> list[str]:
    return [f"{file}: {lines}" for file, lines in package.code.file_lines.items() if lines > MAX_FILE_LINES]


def _long_median(package: Package) -> list[str]:
    files = package.code.file_lines
    median = float(np.median(list(files.values())))
    longest = sorted(files, key=lambda file: -files[file])
    return [f"{median:g}", *longest[: len(files) // 4]] if median > MAX_MEDIAN_FILE_LINES else []


def _complex_mean(package: Package) -> list[str]:
    blocks = sorted(package.code.blocks, key=lambda block: -block.complexity)
    mean = float(np.mean([block.complexity for block in blocks])) if blocks else 0.0
    listed = [f"{block.complexity} {block.where} {block.name}" for block in blocks if block.rank >= "C"]
    return [f"{mean:.2f}", *listed] if mean > MAX_MEAN_COMPLEXITY else []


def _complex_blocks(package: Package) -> list[str]:
    blocks = [block for block in package.code.blocks if block.complexity > MAX_COMPLEXITY]
    return [f"{block.rank} ({block.complexity}) {block.where} {block.name}" for block in blocks]


def print_table(measured: dict[str, dict[str, Value]]) -> None:
    """Print a row a measure and a column a package, as Markdown.

    Args:
        measured: package to measures.
    """
    print("| measure | " + " | ".join(measured) + " |\n| --- |" + " --- |" * len(measured))
    for name in next(iter(measured.values())):
        print(f"| {name} | " + " | ".join(str(values[name]) for values in measured.values()) + " |")


def print_missed(missed: dict[str, dict[str, list[str]]]) -> None:
    """Print the bars that are missed, and what misses them.

    Args:
        missed: package to bar to offenders.
    """
    for package, missed_here in missed.items():
        print(f"\n{package}: {len(bars()) - len(missed_here)} of {len(bars())} bars kept")
        for text, offenders in missed_here.items():
            print(f"\nmissed: {text}")
            print("\n".join(f"  {offender}" for offender in offenders))


def _distribution(name: str, values: Sequence[int]) -> dict[str, Value]:
    median, high = np.percentile(values, [50, 95]) if len(values) else (0.0, 0.0)
    return {f"{name}, median / p95 / max": f"{median:.4g} / {high:.4g} / {max(values, default=0)}"}


def _percent(flags: Sequence[bool]) -> Value:
    return _round(100 * sum(flags) / len(flags)) if flags else "-"


def _round(value: float) -> float:
    return round(value, 2)


if __name__ == "__main__":
    main()
