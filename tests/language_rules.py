"""Finds names that are not the field's, docstrings that do not say what an object does, and names with two meanings."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from banned_terms import (
    ALLOWED,
    BANNED,
    BOUND,
    CLASS,
    CONSTANT,
    EXCEPTIONS,
    FIRST,
    FUNCTION,
    MODULE,
    NAME,
    WORD,
    BannedTerm,
)

MIN_DOCSTRING_WORDS = 5
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
ELLIPSIS = re.compile(r"(Of|For|As|Likewise)\b")


@dataclass(frozen=True)
class Identifier:
    """A name that a file gives to something.

    Attributes:
        name: as written.
        kind: module, class, function, argument, variable, attribute, alias, option, key or choice.
        line: where, from 1.
    """

    name: str
    kind: str
    line: int


@dataclass(frozen=True)
class Finding:
    """Something to change.

    Attributes:
        room: the package's child that it is in, or ``configs``.
        place: ``file:line``.
        text: what is wrong.
        count: how often it occurs in the file.
    """

    room: str
    place: str
    text: str
    count: int = 1


def package_identifiers(package: Path) -> dict[Path, list[Identifier]]:
    """Return every name given in a package, by file relative to it; the file's own name first.

    Args:
        package: folder of the package.
    """
    by_file = {}
    for path in files_of(package, "*.py"):
        module = path.parent.name if path.stem == "__init__" else path.stem
        tree = ast.parse(path.read_text(encoding="utf-8"))
        by_file[path.relative_to(package)] = [Identifier(module, "module", 1), *identifiers(tree)]
    return by_file


def configuration_keys(configurations: Path) -> dict[Path, list[Identifier]]:
    """Return the keys of YAML files, by file relative to the folder above.

    Args:
        configurations: folder of them, searched to any depth.
    """
    keys = {}
    for path in files_of(configurations, "*.y*ml"):
        documents = yaml.compose_all(path.read_text(encoding="utf-8"))
        keys[path.relative_to(configurations.parent)] = [key for document in documents for key in yaml_keys(document)]
    return keys


def banned_identifiers(by_file: dict[Path, list[Identifier]]) -> list[Finding]:
    """Find the names that are banned: each once a file, with how often it is given there.

    Args:
        by_file: as `package_identifiers` and `configuration_keys` return them.
    """
    findings = []
    for file, names in by_file.items():
        lines: dict[str, list[int]] = defaultdict(list)
        instead: dict[str, dict[str, None]] = defaultdict(dict)
        for identifier in names:
            if (identifier.kind, identifier.name) not in ALLOWED and (terms := banned_terms(identifier)):
                lines[identifier.name].append(identifier.line)
                instead[identifier.name] |= dict.fromkeys(term for banned in terms for term in banned.terms)
        for name, at in lines.items():
            times = f" ({len(at)} times)" if len(at) > 1 else ""
            text = f"{name}{times} -> {', '.join(instead[name])}"
            findings.append(Finding(room_of(file), f"{file}:{at[0]}", text, len(at)))
    return findings


def banned_terms(identifier: Identifier) -> list[BannedTerm]:
    """Return the banned terms that an identifier is or contains.

    Args:
        identifier: any name.
    """
    words = [word.lower() for word in WORDS.findall(identifier.name)]
    text = f"_{'_'.join(words)}_"
    for exception in EXCEPTIONS:
        text = text.replace(f"_{exception}_", "_")
    return [term for term in BANNED if _matches(term, identifier, text)]


def _matches(term: BannedTerm, identifier: Identifier, text: str) -> bool:
    """Compare; ``text`` holds the lower-case words between underscores, without exceptions."""
    bare = identifier.name.strip("_")
    is_constant = bare.isupper() and identifier.kind in {"variable", "alias"}
    return {
        WORD: f"_{term.word}_" in text,
        FIRST: text.startswith(f"_{term.word}_"),
        NAME: text == f"_{term.word}_",
        CLASS: identifier.kind == "class" and bare == term.word,
        FUNCTION: identifier.kind == "function" and bare == term.word,
        CONSTANT: is_constant and bare == term.word,
        BOUND: is_constant and f"{bare}_".startswith(f"{term.word}_"),
        MODULE: identifier.kind == "module" and bare == term.word,
    }[term.kind]


def identifiers(tree: ast.Module) -> Iterator[Identifier]:
    """Yield every name that a file gives.

    Those are classes, functions, arguments, variables (of loops, too), attributes that are set, aliases of imports,
    options of commands, and, where they are identifiers, the string keys of dictionaries and choices of ``Literal``.

    Args:
        tree: the parsed file.
    """
    for node in ast.walk(tree):
        for name, kind in _given(node):
            yield Identifier(name, kind, getattr(node, "lineno", 1))


def _given(node: ast.AST) -> Iterator[tuple[str, str]]:
    match node:
        case ast.ClassDef(name=name):
            yield name, "class"
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name, "function"
        case ast.arg(arg=name):
            yield name, "argument"
        case ast.Name(id=name, ctx=ast.Store()):
            yield name, "variable"
        case ast.Attribute(attr=name, ctx=ast.Store()):
            yield name, "attribute"
        case ast.alias(asname=str(name)):
            yield name, "alias"
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, "variable"
        case ast.Call(func=ast.Attribute(attr="add_argument"), args=arguments):
            for name in _identifier_strings(arguments, strip="-"):
                yield name, "option"
        case ast.Dict(keys=keys):
            for name in _identifier_strings(keys):
                yield name, "key"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            for name in _identifier_strings(choices.elts if isinstance(choices, ast.Tuple) else [choices]):
                yield name, "choice"


def _identifier_strings(nodes: Iterable[ast.expr | None], strip: str = "") -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.lstrip(strip).replace("-", "_")
            if name.isidentifier():
                yield name


def yaml_keys(node: yaml.Node | None) -> Iterator[Identifier]:
    """Yield the keys of a YAML document, nested ones too.

    Args:
        node: its root, as composed.
    """
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield Identifier(str(key.value), "key", key.start_mark.line + 1)
            yield from yaml_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from yaml_keys(item)


def weak_docstrings(package: Path) -> list[Finding]:
    """Find public classes, functions and methods whose docstring does not say what they are or do.

    Args:
        package: folder of the package.
    """
    findings = []
    for path in files_of(package, "*.py"):
        relative = path.relative_to(package)
        for node, name in public_definitions(ast.parse(path.read_text(encoding="utf-8"))):
            docstring = ast.get_docstring(node)
            weakness = docstring_weakness(docstring) if docstring is not None else None
            if weakness:
                summary = str(docstring).splitlines()[0]
                findings.append(
                    Finding(room_of(relative), f"{relative}:{node.lineno}", f"{name}: {weakness}: {summary!r}")
                )
    return findings


def docstring_weakness(docstring: str) -> str | None:
    """Say what is wrong with a docstring; None if nothing is.

    Args:
        docstring: cleaned of its indentation.
    """
    if docstring.startswith("See "):
        return "only points elsewhere"
    if ELLIPSIS.match(docstring):
        return "no full phrase"
    if len(docstring.split()) < MIN_DOCSTRING_WORDS:
        return f"fewer than {MIN_DOCSTRING_WORDS} words"
    return None


def repeated_classes(package: Path) -> dict[str, list[str]]:
    """Return the names that two or more public classes have, each with where those are.

    Args:
        package: folder of the package.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for path in files_of(package, "*.py"):
        for node, name in public_definitions(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[name.split(".")[-1]].append(f"{path.relative_to(package)}:{node.lineno}")
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public_definitions(tree: ast.AST, around: str = "") -> Iterator[tuple[Definition, str]]:
    """Yield public classes, functions and methods with their qualified names; those inside functions are not public.

    Args:
        tree: a file, or a class.
        around: the class's name and a dot.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            if not node.name.startswith("_"):
                yield node, around + node.name
                if isinstance(node, ast.ClassDef):
                    yield from public_definitions(node, f"{around}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from public_definitions(node, around)


def room_of(relative: Path) -> str:
    """Return the room of a file: the first folder below the package, or the file itself without its ending.

    Args:
        relative: path of the file below the package.
    """
    return relative.parts[0].removesuffix(".py")


def files_of(folder: Path, pattern: str) -> list[Path]:
    """Return the files in a folder, at any depth.

    Args:
        folder: to search.
        pattern: of the names.

    Raises:
        FileNotFoundError: there are none: rules that nothing is held against would be kept.
    """
    paths = sorted(folder.rglob(pattern))
    if not paths:
        raise FileNotFoundError(f"no {pattern} below {folder}")
    return paths
