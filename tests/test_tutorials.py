"""The tutorials run as they are written, in an empty folder, and print what their pages state."""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
PAGES = sorted(page for page in TUTORIALS.glob("*.md") if page.stem != "index")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
PLACEHOLDER = re.compile(r"<[\w ]+>")  # in an output: any text, such as a score or a time
TIMEOUT_S = 300


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: ``python`` and ``bash`` are run, ``text`` is the output of the block before, and what has a title
            is written to that file.
        title: name of a file, or nothing.
        text: without the fences.
        line: of the page where the block begins.
    """

    language: str
    title: str
    text: str
    line: int


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_runs_and_prints_what_it_states(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    output, namespace = "", {"__name__": "tutorial"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            output = run_python(block, namespace, page)
        elif block.language == "bash":
            output = run_shell(block, page)
        elif block.language == "text":
            assert states(block.text, output), (
                f"{page.name}:{block.line} states\n{block.text}but this is printed\n{output}"
            )


def test_every_tutorial_is_listed() -> None:
    index = (TUTORIALS / "index.md").read_text(encoding="utf-8")
    assert len(PAGES) >= 5
    assert not [page.name for page in PAGES if f"({page.name})" not in index]


def test_a_placeholder_stands_for_any_text() -> None:
    assert states("mAP <score>\n", "mAP 0.52\n")
    assert not states("mAP 0.5\n", "mAP 0.52\n")


def blocks(text: str) -> Iterator[Block]:
    for match in BLOCK.finditer(text):
        yield Block(match[1], match[2] or "", match[3], text.count("\n", 0, match.start()) + 1)


def run_python(block: Block, namespace: dict[str, object], page: Path) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)
    return output.getvalue()


def run_shell(block: Block, page: Path) -> str:
    done = subprocess.run(
        ["bash", "-e"], input=block.text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{page.name}:{block.line} fails\n{done.stdout}\n{done.stderr}"
    return done.stdout


def states(expected: str, output: str) -> bool:
    """Return whether a page's output is what was printed, placeholders aside."""
    pattern = "".join(
        ".+" if PLACEHOLDER.fullmatch(part) else re.escape(part)
        for part in re.split(f"({PLACEHOLDER.pattern})", expected.strip())
    )
    return re.fullmatch(pattern, output.strip()) is not None
