"""Tables of measured figures in the documentation, generated from the JSON files in ``results/``.

A page says where a table stands by ``<!-- results: NAME -->`` and ``<!-- end results -->``; what lies between is made
from
``results/NAME.json``: columns, rows, and the command, commit and machine that gave them.

    python scripts/result_tables.py --check    # fails if a page differs from its JSON
    python scripts/result_tables.py --write
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"<!-- results: ([\w-]+) -->\n.*?<!-- end results -->", re.S)
REQUIRED = ("title", "command", "commit", "date", "machine", "columns", "rows")


def render(result: dict[str, Any]) -> str:
    """Return a result as a Markdown table with the line of its source.

    Args:
        result: content of a JSON file in ``results/``.
    """
    columns = result["columns"]
    lines = [row(columns), row(["---"] * len(columns)), *(row(cells) for cells in result["rows"])]
    source = f"`{result['command']}`, commit {result['commit']} of {result['date']}, {result['machine']}."
    return "\n".join([*lines, "", f"*{source}*"])


def row(cells: list[str]) -> str:
    """Return one line of a table.

    Args:
        cells: of the line, as they are to be shown.
    """
    return "| " + " | ".join(cells) + " |"


def load_result(name: str, folder: Path = ROOT / "results") -> dict[str, Any]:
    """Read and check a result.

    Args:
        name: of the file, without its suffix.
        folder: that holds it.

    Raises:
        ValueError: a field is missing, or a row has another number of cells than there are columns.
    """
    path = folder / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if missing := [field for field in REQUIRED if not result.get(field)]:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    for cells in result["rows"]:
        if len(cells) != len(result["columns"]):
            raise ValueError(f"{path}: {len(cells)} cells in a row of {len(result['columns'])} columns: {cells}")
    return result


def fill(text: str, folder: Path = ROOT / "results") -> str:
    """Return a page with its tables made anew.

    Args:
        text: of the page.
        folder: that holds the results.
    """

    def table(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- results: {name} -->\n{render(load_result(name, folder))}\n<!-- end results -->"

    return MARKED.sub(table, text)


def main() -> int:
    """Check or write the tables of all pages; returns 1 where a page differs or a result is in no page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="change nothing; exit 1 where a page differs")
    action.add_argument("--write", action="store_true", help="write the tables into the pages")
    args = parser.parse_args()
    different = []
    for page in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]):
        text = page.read_text(encoding="utf-8")
        filled = fill(text)
        if filled != text:
            different.append(str(page.relative_to(ROOT)))
            if args.write:
                page.write_text(filled, encoding="utf-8")
    for name in different:
        print(f"{'wrote' if args.write else 'differs'}: {name}")
    return 1 if different and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
