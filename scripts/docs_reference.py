"""MkDocs hook that generates the reference: a page per package from its docstrings, and a page of the command line.

Packages and commands are discovered each time the site is built, so modules may move without a change here. Docstrings
are read from the source; nothing heavy is imported.
"""

import argparse
import ast
import importlib
import os
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).resolve().parents[1] / "src"
PACKAGE = "skyweave"
HIDDEN_PACKAGES = {"skyweave.cli"}  # these, and modules named command_*, are described by the page of the command line
HIDDEN_MODULES = ("_", "command_")
API_TITLE = "Python API"  # the entry in the nav of mkdocs.yml that the generated pages are put under
COMMAND_LINE_PAGE = "reference/command-line.md"
HELP_COLUMNS = 100


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation, under the entry named ``Python API``.

    Args:
        config: The configuration of the site, changed in place.

    Returns:
        The same configuration.

    Raises:
        ValueError: The navigation has no such entry.
    """
    if not _fill(config.nav, _nav(PACKAGE)):
        raise ValueError(f"mkdocs.yml: the nav has no empty entry {API_TITLE!r} to put the generated reference under")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the files of the site.

    Args:
        files: The files found in the documentation folder, added to in place.
        config: The configuration of the site.

    Returns:
        The same files.
    """
    for package in _packages(PACKAGE):
        files.append(File.generated(config, _page(package), content=render_package(package)))
    files.append(File.generated(config, COMMAND_LINE_PAGE, content=render_command_line()))
    return files


def render_package(package: str) -> str:
    """Return the Markdown of a package: its own docstring, then each of its public modules.

    Args:
        package: Dotted name, such as ``skyweave.wire``.

    Returns:
        Markdown with one mkdocstrings block per module. The modules of subpackages are on pages of their own; the
        top-level package shows the names it re-exports.
    """
    blocks = [f"# {package}", f"::: {package}\n    options:\n      members: false\n      show_root_heading: false"]
    names = _exported_names(package)
    if names:
        blocks.append("Exported: " + ", ".join(_link(package, name) for name in names) + ".")
    blocks += [f"::: {package}.{module}" for module in _modules(package)]
    return "\n\n".join(blocks) + "\n"


def render_command_line() -> str:
    """Return the Markdown of the command line: the help text of every command and subcommand.

    Returns:
        One section per command, its help in a code block, in the order of the summary.
    """
    commands = importlib.import_module("skyweave.cli.main")
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(HELP_COLUMNS)  # argparse wraps to it
    try:
        parser = commands.build_parser(commands.COMMANDS)
        sections = [_help_section(title, command, level) for title, command, level in _walk(PACKAGE, parser)]
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return "# Command line\n\n" + "\n".join(sections)


def _walk(
    title: str, parser: argparse.ArgumentParser, level: int = 2
) -> Iterator[tuple[str, argparse.ArgumentParser, int]]:
    """Yield a command and, depth first, its subcommands, each with the level of its heading."""
    yield title, parser, level
    for name, subparser in _subparsers(parser).items():
        yield from _walk(f"{title} {name}", subparser, level + (title != PACKAGE))


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: subparser for action in actions for name, subparser in action.choices.items()}


def _help_section(title: str, parser: argparse.ArgumentParser, level: int) -> str:
    return f"{'#' * level} {title}\n\n```text\n{parser.format_help().rstrip()}\n```\n"


def _packages(package: str) -> Iterator[str]:
    """Yield the package and, depth first, the public packages in it."""
    yield package
    for child in _subpackages(package):
        yield from _packages(child)


def _subpackages(package: str) -> list[str]:
    folders = (file.parent for file in _folder(package).glob("*/__init__.py"))
    names = sorted(f"{package}.{folder.name}" for folder in folders if not folder.name.startswith("_"))
    return [name for name in names if name not in HIDDEN_PACKAGES]


def _modules(package: str) -> list[str]:
    names = sorted(file.stem for file in _folder(package).glob("*.py"))
    return [name for name in names if not name.startswith(HIDDEN_MODULES)]


def _exported_names(package: str) -> list[str]:
    """Return the names in a package's ``__all__``, written as a literal in its ``__init__.pyi`` or ``__init__.py``."""
    for file in (_folder(package) / "__init__.pyi", _folder(package) / "__init__.py"):
        for node in ast.parse(file.read_text()).body if file.exists() else []:
            if isinstance(node, ast.Assign) and "__all__" in [ast.unparse(target) for target in node.targets]:
                return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _link(package: str, name: str) -> str:
    """Return a link to where an exported name is documented; plain code where it has no documentation of its own."""
    return f'<autoref identifier="{package}.{name}" optional>`{name}`</autoref>'


def _folder(package: str) -> Path:
    return SOURCE.joinpath(*package.split("."))


def _page(package: str) -> str:
    return f"reference/api/{package}.md"


def _nav(package: str) -> list[object]:
    """Return the navigation of a package: its page, then its subpackages, nested."""
    entries: list[object] = [{package: _page(package)}]
    for child in _subpackages(package):
        entries.append({child: _nav(child) if _subpackages(child) else _page(child)})
    return entries


def _fill(nav: object, pages: list[object]) -> bool:
    """Put the pages under the entry of the API, wherever in the navigation it is; return whether it was there."""
    if isinstance(nav, dict):
        for title, entries in nav.items():
            if title == API_TITLE:
                nav[title] = pages
                return True
            if _fill(entries, pages):
                return True
    return isinstance(nav, list) and any(_fill(entry, pages) for entry in nav)
