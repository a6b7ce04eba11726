"""What is said in several files of the repository is the same in all of them."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import skyweave


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    """The content of ``pyproject.toml``."""
    return tomllib.loads((repository / "pyproject.toml").read_text())


def test_the_version_has_one_source(project: dict[str, Any], repository: Path) -> None:
    assert "version" in project["project"]["dynamic"]
    source = (repository / project["tool"]["hatch"]["version"]["path"]).read_text()
    assert re.findall(r'^__version__ = "(.*)"$', source, re.MULTILINE) == [skyweave.__version__]


def test_the_changelog_has_a_section_of_the_version(repository: Path) -> None:
    headings = re.findall(r"^## \[(.+?)\]", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert skyweave.__version__ in headings


def test_the_citation_is_of_the_version(project: dict[str, Any], repository: Path) -> None:
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert citation["version"] == skyweave.__version__
    assert citation["license"] == project["project"]["license"]


def test_pre_commit_runs_the_tools_that_are_pinned(repository: Path) -> None:
    pins = set((repository / "constraints.txt").read_text().split())
    config = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())
    used = {
        pin for repo in config["repos"] for hook in repo["hooks"] for pin in hook.get("additional_dependencies", [])
    }
    assert used, "no hook names the version of its tool"
    assert used <= pins


def test_every_extra_that_the_documentation_installs_exists(project: dict[str, Any], repository: Path) -> None:
    extras = project["project"]["optional-dependencies"]
    files = [repository / "README.md", repository / "Makefile", *(repository / "docs").rglob("*.md")]
    for file in [*files, *(repository / ".github").rglob("*.yml"), repository / "Dockerfile"]:
        for names in re.findall(r"(?:skyweave|\.)\[([a-z,]+)\]", file.read_text()):
            assert set(names.split(",")) <= extras.keys(), f"{file}: [{names}]"
