"""The files that the documentation names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FILE = re.compile(r"`((?:src/skyweave/|configs/|benchmarks/|tests/|scripts/|docs/)?[\w-]+(?:/[\w.-]+)*/?)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    missing = [name for name in FILE.findall(page.read_text()) if is_path(name) and not exists(name)]
    assert not missing, f"{page.name} names files that do not exist: {sorted(set(missing))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_tests_exist(page: Path) -> None:
    missing = [
        f"{file}::{test}"
        for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
        if f"def {test}(" not in (ROOT / file).read_text()
    ]
    assert not missing, f"{page.name} names tests that do not exist: {missing}"


def is_path(name: str) -> bool:
    """Whether a name in backticks is a file of the repository, and not a dotted name, a value or a user's path."""
    rooms = {folder.name for folder in (ROOT / "src" / "skyweave").iterdir() if folder.is_dir()}
    first = name.split("/")[0]
    return "/" in name and (
        first in rooms - {"weights", "demo"} or first in {"src", "configs", "benchmarks", "tests", "scripts"}
    )


def exists(name: str) -> bool:
    return any((base / name).exists() for base in (ROOT, ROOT / "src" / "skyweave"))


def test_the_rule_sees_what_is_missing() -> None:
    assert is_path("collaboration/codec.py") and exists("collaboration/codec.py")
    assert is_path("collaboration/told.py") and not exists("collaboration/told.py")
    assert not is_path("text/html") and not is_path("features.tif")


ON_THE_PATH = {  # where a reader of the papers looks first
    "codec": "collaboration/codec.py",
    "lift": "mapping/lift.py",
    "fusion strategy": "collaboration/strategies/",
    "tokenizer": "backbone/tokenizers.py",
    "pose alignment": "collaboration/pose_alignment.py",
    "rate control": "fleet/node/rate_control.py",
    "replay protection": "fleet/link/replay_protection.py",
}


@pytest.mark.parametrize(("term", "file"), ON_THE_PATH.items(), ids=ON_THE_PATH)
def test_the_architecture_page_names_the_file_of_each_term(term: str, file: str) -> None:
    rows = [line for line in (ROOT / "docs" / "architecture.md").read_text().splitlines() if line.startswith("|")]
    assert any(f"**{term}**" in row and f"`{file}`" in row for row in rows)
