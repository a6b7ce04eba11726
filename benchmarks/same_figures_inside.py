"""What `same_figures.py` does in a process that imports the measured package, whatever its modules are called.

    python benchmarks/same_figures_inside.py fingerprints NAME...
    python benchmarks/same_figures_inside.py logged LOG.json COMMAND ARGUMENT...

That script starts it with the source of the package in ``PYTHONPATH``.
"""

import importlib
import json
import re
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figure_values import hash_of_array, sha256
from same_figures import NAMES


def function(name: str) -> Callable[..., Any]:
    """Import a function of the package, wherever below its folder it is defined; ``name`` is one of ``NAMES``."""
    package = Path(str(importlib.import_module("skyweave").__file__)).parent
    for folder, _, called in (candidate.partition(":") for candidate in NAMES[f"function:{name}"]):
        for path in sorted((package / folder).rglob("*.py")):
            if re.search(rf"^def {called}\(", path.read_text(encoding="utf-8"), re.MULTILINE):
                module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
                result: Callable[..., Any] = getattr(importlib.import_module(module), called)
                return result
    raise LookupError(f"the package defines none of {NAMES[f'function:{name}']}; add {name!r} to NAMES")


def print_fingerprints(names: Sequence[str]) -> None:
    """Print, as JSON, the fingerprint of every backbone and of the models that are stored around it."""

    def load(name: str, weights: str) -> Any:
        loaded = function(name)(weights)
        return loaded[0] if isinstance(loaded, tuple) else loaded

    figures: dict[str, dict[str, Any]] = {}
    for weights in names:
        figures[weights] = {"backbone": function("backbone fingerprint")(load("load backbone", weights))}
        parts = json.loads(next(package_files(f"{weights}.json")).read_text())["parts"]
        if "perception" in parts:
            figures[weights]["perception"] = function("perception fingerprint")(load("load perception", weights))
        if "collaboration" in parts:
            model = load("load collaboration", weights)
            figures[weights]["codec"] = function("codec fingerprint")(model)
            figures[weights]["tables"] = model.tables.model  # fingerprint, codec, quality: as sent
            figures[weights]["frequencies"] = hash_of_array(np.asarray(model.tables.frequencies, np.int64))
    print(json.dumps(figures))


def package_files(pattern: str) -> Iterator[Path]:
    """Find files of the imported package."""
    return Path(str(importlib.import_module("skyweave").__file__)).parent.rglob(pattern)


def log_messages(log: Path, arguments: list[str]) -> None:
    """Run a command of the package in this process and write what messages it encoded: count, bytes and hash."""
    encode, hashes, sizes = function("encode frame"), [], []

    def logged(*args: Any, **options: Any) -> Any:
        chunks = encode(*args, **options)
        sizes.append(sum(map(len, chunks)))
        hashes.append(sha256(b"".join(chunks)))
        return chunks

    for module in list(sys.modules.values()):  # other modules import it after this
        if getattr(module, encode.__name__, None) is encode:
            setattr(module, encode.__name__, logged)
    sys.argv = ["skyweave", *arguments]
    try:
        runpy.run_module("skyweave", run_name="__main__", alter_sys=True)
    finally:
        summary: dict[str, int | str] = {"count": len(sizes), "bytes": sum(sizes)}
        if hashes:  # sorted: the order in which platforms encode is no figure
            summary["sha256"] = sha256("".join(sorted(hashes)).encode())
        log.write_text(json.dumps(summary))


if __name__ == "__main__":
    if sys.argv[1] == "fingerprints":
        print_fingerprints(sys.argv[2:])
    else:
        log_messages(Path(sys.argv[2]), sys.argv[3:])
