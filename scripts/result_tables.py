"""Tables of measured figures in the documentation, generated from the JSON files in ``results/``.

A page says where a table stands by ``<!-- results: NAME -->`` and ``<!-- end -->``; what lies between is generated from
``results/NAME.json``, a `Result`.

    python scripts/result_tables.py --check    # exits with 1 if a page differs from its results
    python scripts/result_tables.py --write
"""

import argparse
import re
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
MARKED = re.compile(r"<!-- results: ([\w/-]+) -->\n.*?<!-- end -->", re.DOTALL)


class Result(msgspec.Struct, forbid_unknown_fields=True):
    """A table of measured figures and how it was measured.

    Attributes:
        title: what was measured.
        commands: that measure it again, in order; words in capitals stand for what a user has.
        commit: of this repository, with which it was measured.
        date: of the commit, as YYYY-MM-DD.
        machine: on which it was measured.
        columns: names, with units in brackets.
        rows: of cells as they are printed, one a column.
        note: protocol, and rows that differ in commit or command.
    """

    title: str
    commands: list[str]
    commit: str
    date: str
    machine: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


def load_result(name: str, folder: Path = RESULTS) -> Result:
    """Read and check a result.

    Args:
        name: path in the folder, without the suffix.
        folder: that holds the results.

    Raises:
        ValueError: the file is no `Result`, has no command or no row, or a row has not one cell a column.
    """
    path = folder / f"{name}.json"
    result = msgspec.json.decode(path.read_bytes(), type=Result)
    if not (result.commands and result.columns and result.rows):
        raise ValueError(f"{path}: commands, columns and rows must not be empty")
    for cells in result.rows:
        if len(cells) != len(result.columns):
            raise ValueError(f"{path}: {len(cells)} cells for {len(result.columns)} columns: {cells}")
    return result


def render_result(result: Result) -> str:
    """Return the Markdown of a result: the table, and below it a line with its source.

    Args:
        result: to render.
    """
    rows = [result.columns, ["---"] * len(result.columns), *result.rows]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
    commands = ", ".join(f"`{command}`" for command in result.commands)
    note = f"{result.note} " if result.note else ""
    source = f"Measured with {commands}; commit {result.commit}, {result.date}; {result.machine}."
    return f"{table}\n\n<small>{note}{source}</small>\n"


def fill_page(text: str, folder: Path = RESULTS) -> str:
    """Return a page with its tables generated anew.

    Args:
        text: Markdown of the page.
        folder: that holds the results.
    """

    def replace(match: re.Match[str]) -> str:
        return f"<!-- results: {match[1]} -->\n{render_result(load_result(match[1], folder))}<!-- end -->"

    return MARKED.sub(replace, text)


def find_pages() -> list[Path]:
    """Return the pages that may hold tables, sorted."""
    return sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def main() -> int:
    """Check or write the tables of all pages.

    Returns:
        The exit status: 1 if a page differs and was not written.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page differs")
    action.add_argument("--write", action="store_true", help="write the tables into the pages")
    arguments = parser.parse_args()
    status = 0
    for page in find_pages():
        text = page.read_text(encoding="utf-8")
        filled = fill_page(text)
        if filled == text:
            continue
        print(f"{'wrote' if arguments.write else 'differs'}: {page.relative_to(ROOT)}")
        if arguments.write:
            page.write_text(filled, encoding="utf-8")
        else:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
