"""Every table of measured figures is the one of its JSON file, which says how it was made."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from result_tables import MARKED, fill, load_result  # noqa: E402

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
NAMED = {name for page in PAGES for name in MARKED.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_those_of_their_results(page: Path) -> None:
    text = page.read_text()
    assert fill(text) == text, "run: python scripts/result_tables.py --write"


def test_every_result_is_shown() -> None:
    tables = {path.stem for path in (ROOT / "results").glob("*.json") if "columns" in json.loads(path.read_text())}
    assert tables == NAMED and len(tables) > 30


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_result_says_how_it_was_made(name: str) -> None:
    result = load_result(name)
    assert re.fullmatch(r"[0-9a-f]{7,12}", result["commit"]) and re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
    script = re.search(r"benchmarks/\w+\.py", result["command"])
    assert (ROOT / script[0]).exists() if script else result["command"].split()[0] == "skyweave"


def test_a_wrong_table_is_noticed(tmp_path: Path) -> None:
    content = {"title": "t", "command": "skyweave demo", "commit": "abcdef0", "date": "2026-01-01", "machine": "m"}
    (tmp_path / "x.json").write_text(json.dumps({**content, "columns": ["a", "b"], "rows": [["1", "2"]]}))
    page = "<!-- results: x -->\n| a | b |\n| --- | --- |\n| 1 | 3 |\n<!-- end results -->\n"
    assert "| 1 | 2 |" in fill(page, tmp_path) and fill(fill(page, tmp_path), tmp_path) == fill(page, tmp_path)
    (tmp_path / "x.json").write_text(json.dumps({**content, "columns": ["a", "b"], "rows": [["1"]]}))
    with pytest.raises(ValueError, match="1 cells in a row of 2 columns"):
        fill(page, tmp_path)
