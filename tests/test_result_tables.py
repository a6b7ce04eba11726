"""Every table of measured figures is generated from a file in `results/`, which says how it was measured."""

import json
import re
import shlex
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from result_tables import MARKED, RESULTS, Result, fill_page, find_pages, load_result, render_result  # noqa: E402

PAGES = find_pages()
SHOWN = [name for page in PAGES for name in MARKED.findall(page.read_text(encoding="utf-8"))]
NAMES = sorted(path.relative_to(RESULTS).with_suffix("").as_posix() for path in RESULTS.glob("*/*.json"))
EXAMPLE = Result("Example", ["skyweave demo"], "abcdef0", "2026-01-01", "1 core", ["figure"], [["1.0"]])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_those_of_their_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert fill_page(text) == text, "run: python scripts/result_tables.py --write"


def test_every_result_is_shown_once() -> None:
    assert sorted(SHOWN) == NAMES
    assert len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_a_result_has_its_source(name: str) -> None:
    result = load_result(name)
    assert result.title and result.machine
    assert re.fullmatch(r"[0-9a-f]{7,40}", result.commit)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result.date)
    for command in result.commands:
        check_command(command)


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/results/*.md")), ids=lambda page: page.name)
def test_pages_of_results_have_no_tables_of_their_own(page: Path) -> None:
    assert not re.search(r"^\|", MARKED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)


def check_command(command: str) -> None:
    """Fail if a command's script, configuration or an option of the script is not in the repository.

    Args:
        command: as a user types it.
    """
    words = shlex.split(command)
    for word in words:
        if word.startswith("configs/") and "*" not in word:
            assert (ROOT / word).exists(), f"{command}: no {word}"
    scripts = [word for word in words if word.startswith("benchmarks/")]
    assert scripts or "skyweave" in words, f"{command}: neither a benchmark nor a command of the package"
    for script in scripts:
        source = (ROOT / script).read_text(encoding="utf-8")
        missing = [word for word in words if word.startswith("--") and f'"{word}"' not in source]
        assert not missing, f"{script} has no {missing}"


def test_a_table_that_was_edited_by_hand_is_found(tmp_path: Path) -> None:
    (tmp_path / "example.json").write_bytes(msgspec.json.encode(EXAMPLE))
    page = f"<!-- results: example -->\n{render_result(EXAMPLE)}<!-- end -->\n"
    assert fill_page(page, tmp_path) == page
    assert fill_page(page.replace("1.0", "1.1"), tmp_path) == page


@pytest.mark.parametrize("change", [{"rows": [["1.0", "2.0"]]}, {"commands": []}, {"extra": 1}])
def test_a_wrong_result_is_an_error(tmp_path: Path, change: dict[str, object]) -> None:
    content = msgspec.to_builtins(EXAMPLE) | change
    (tmp_path / "example.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"cells for|must not be empty|extra"):
        load_result("example", tmp_path)
