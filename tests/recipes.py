"""The recipes of docs/extending.md: tests run the code that the page shows."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
BLOCK = re.compile(r'^```(?:python|toml|yaml) title="([^"]+)"\n(.*?)^```', re.M | re.S)


def recipe(title: str) -> str:
    """Return the content of the code block with this title (a file name)."""
    blocks = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    assert title in blocks, f"{PAGE.name} has no block titled {title!r}; it has {sorted(blocks)}"
    return blocks[title]


def entry_points(module: str) -> str:
    """Return the entry points that the page declares for a module, in the form that pip installs."""
    page = PAGE.read_text(encoding="utf-8")
    groups = re.findall(
        rf'\[project\.entry-points\."(skyweave\.\w+)"\]\n((?:\w+ = "{module}:\w+"\n)+)',
        page,
    )
    assert groups, f"{PAGE.name} declares no entry point of {module}"
    return "".join(f"[{group}]\n" + lines.replace('"', "") for group, lines in groups)
