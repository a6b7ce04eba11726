"""Files, functions and docstrings of a package, as `structure.py` counts them.

A function or class is public if neither its name nor that of a class around it begins with an underscore, and if it is
not inside a function. Overloads and setters are no functions of their own. A method that is marked ``@override`` and
has no docstring inherits that of what it overrides, and is left out where documentation is counted.
"""

import ast
import builtins
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from radon.complexity import cc_rank, cc_visit

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
SECTION = re.compile(
    r"^(?P<indent>\s*)\**(Args|Arguments|Parameters|Other Parameters|Keyword Args|Keyword Arguments)\b\**:?\**\s*$"
)
# `name: ...`, `name (type): ...`, `a, b: ...`, `*args: ...`, and the same in backticks or as a list item
ENTRY = re.compile(
    r"^(?:[-*]\s+)?`{0,2}(?P<names>\*{0,2}\w+`{0,2}(?:\s*[,/]\s*`{0,2}\*{0,2}\w+`{0,2})*)\s*(?:\(.*?\))?\s*:\s*(?P<text>.*)"
)
NUMPY_ENTRY = re.compile(r"^`{0,2}(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)`{0,2}\s*(?::\s*(?P<text>.*))?$")
SPHINX_ENTRY = re.compile(r"^\s*:param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:", re.MULTILINE)
AXES = r"[\w\s.*/+^-]"  # of one axis in a list of them: `(batch, 4 * channels, rows / 2)`
SHAPE = re.compile(rf"\({AXES}+(?:,{AXES}*)+\)|\((?:batch|rows|cells|points|n)\)|\bscalar\b", re.IGNORECASE)
TENSOR = re.compile(r"\b(Tensor|ndarray|NDArray|Array|ArrayLike)\b")
JAXTYPING = re.compile(r"\b(Float|Int|UInt|Bool|Num|Real|Complex|Inexact|Shaped)\d*\[")


@dataclass(frozen=True)
class Function:
    """One function or method.

    Attributes:
        name: qualified by its classes, such as ``Node.start``.
        where: ``file:line``, relative to the package.
        lines: of it without its docstring, decorators not counted.
        public: see the module's docstring.
        documentation_counts: neither an overload, nor a setter, nor an override that inherits its docstring.
        parameters: names without ``self`` and ``cls``.
        annotated: how many of those have a type.
        returns_typed: it says what it returns.
        docstring: cleaned of its indentation; None where there is none.
        class_docstring: the class's, of a method.
        annotations: source text of all its types.
    """

    name: str
    where: str
    lines: int
    public: bool
    documentation_counts: bool
    parameters: list[str]
    annotated: int
    returns_typed: bool
    docstring: str | None
    class_docstring: str | None
    annotations: str

    @property
    def has_tensors(self) -> bool:
        return bool(TENSOR.search(self.annotations) or JAXTYPING.search(self.annotations))

    @property
    def gives_shape(self) -> bool:
        return bool(JAXTYPING.search(self.annotations) or SHAPE.search(self.docstring or ""))

    @property
    def has_argument_section(self) -> bool:
        return documented_arguments(self.docstring) is not None

    @property
    def documents_arguments(self) -> bool:
        """Every parameter is named in the section; those that begin with an underscore need not be."""
        named = documented_arguments(self.docstring) or set()
        if self.name.endswith("__init__"):
            named |= documented_arguments(self.class_docstring) or set()
        return {name for name in self.parameters if not name.startswith("_")} <= named


@dataclass(frozen=True)
class Class:
    """One class: its name, where it is, whether it is public, its docstring and the names of its bases."""

    name: str
    where: str
    public: bool
    docstring: str | None
    bases: list[str]


@dataclass(frozen=True)
class Block:
    """A function or class and its cyclomatic complexity by radon; ``rank`` is A to F."""

    name: str
    where: str
    complexity: int
    rank: str


@dataclass
class Code:
    """Everything counted in one package. ``file_lines``: by path relative to it."""

    file_lines: dict[str, int] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    comments: int = 0
    type_ignores: int = 0
    raised_value_errors: int = 0


def read_code(package: Path, texts: dict[Path, str], trees: dict[Path, ast.Module]) -> Code:
    """Count what is in the files of a package.

    Args:
        package: its folder.
        texts: the files' contents, by path.
        trees: the same, parsed.
    """
    code = Code()
    for path, text in texts.items():
        name = str(path.relative_to(package))
        code.file_lines[name] = len(text.splitlines())
        comments = list(_comments(text))
        code.comments += len(comments)
        code.type_ignores += sum(re.search(r"type:\s*ignore", comment) is not None for comment in comments)
        code.raised_value_errors += sum(_raises_value_error(node) for node in ast.walk(trees[path]))
        for block in cc_visit(text):
            where = f"{name}:{block.lineno}"
            code.blocks.append(Block(block.fullname, where, block.complexity, cc_rank(block.complexity)))
        _Definitions(name, code).visit(trees[path])
    return code


def documented_arguments(docstring: str | None) -> set[str] | None:
    """Return the arguments that a docstring's section names; None without such a section.

    Args:
        docstring: in Google's style, NumPy's, Sphinx's, or a bullet list below **Arguments:**.
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    sphinx = set(SPHINX_ENTRY.findall(docstring or ""))
    headers = [index for index, line in enumerate(lines) if SECTION.match(line)]
    if not headers:
        return sphinx or None
    return sphinx.union(*(_section_entries(lines, header) for header in headers))


def exceptions_of(classes: list[Class]) -> list[Class]:
    """Return the classes that derive from an exception, directly or through each other.

    Args:
        classes: of a package. A base by another package counts if its name ends like one.
    """
    known: set[str] = set()
    while True:
        derived = [each for each in classes if any(base in known or _is_exception(base) for base in each.bases)]
        names = {each.name.split(".")[-1] for each in derived}
        if names <= known:
            return derived
        known |= names


class _Definitions(ast.NodeVisitor):
    """Collects functions and classes with what is around them."""

    def __init__(self, file: str, code: Code) -> None:
        self.file, self.code = file, code
        self.around: list[ast.ClassDef | FunctionNode] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = [ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases]
        where = f"{self.file}:{node.lineno}"
        self.code.classes.append(Class(self._name(node), where, self._is_public(node), ast.get_docstring(node), bases))
        self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: FunctionNode) -> None:
        holder = self.around[-1] if self.around else None
        decorators = {ast.unparse(decorator).split("(")[0].split(".")[-1] for decorator in node.decorator_list}
        arguments = _arguments(node, isinstance(holder, ast.ClassDef) and "staticmethod" not in decorators)
        docstring = ast.get_docstring(node)
        inherits = "override" in decorators and docstring is None
        types = [argument.annotation for argument in arguments] + [node.returns]
        self.code.functions.append(
            Function(
                name=self._name(node),
                where=f"{self.file}:{node.lineno}",
                lines=_length(node),
                public=self._is_public(node),
                documentation_counts=not (inherits or decorators & {"overload", "setter", "deleter"}),
                parameters=[argument.arg for argument in arguments],
                annotated=sum(argument.annotation is not None for argument in arguments),
                returns_typed=node.returns is not None,
                docstring=docstring,
                class_docstring=ast.get_docstring(holder) if isinstance(holder, ast.ClassDef) else None,
                annotations=" ".join(ast.unparse(annotation) for annotation in types if annotation is not None),
            )
        )
        self._inside(node)

    def _inside(self, node: ast.ClassDef | FunctionNode) -> None:
        self.around.append(node)
        self.generic_visit(node)
        self.around.pop()

    def _name(self, node: ast.ClassDef | FunctionNode) -> str:
        return ".".join(around.name for around in [*self.around, node])

    def _is_public(self, node: ast.ClassDef | FunctionNode) -> bool:
        inside_function = any(not isinstance(around, ast.ClassDef) for around in self.around)
        return not inside_function and not any(around.name.startswith("_") for around in [*self.around, node])


def _arguments(node: FunctionNode, is_bound: bool) -> list[ast.arg]:
    positional = node.args.posonlyargs + node.args.args
    variadic = [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]
    return positional[1 if is_bound else 0 :] + node.args.kwonlyargs + variadic


def _length(node: FunctionNode) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is not None:
        docstring = node.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def _section_entries(lines: list[str], header: int) -> set[str]:
    """Return the names in the section whose heading is at line ``header``."""
    indent = len(lines[header]) - len(lines[header].lstrip())
    body = lines[header + 1 :]
    if body and re.match(r"^\s*-{3,}\s*$", body[0]):
        return _names(_until_heading(body[1:]), indent, NUMPY_ENTRY)
    if "**" in lines[header]:
        return _names(_until_heading(body), indent, ENTRY)
    inside = []
    for line in body:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        inside.append(line)
    indents = [len(line) - len(line.lstrip()) for line in inside if line.strip()]
    return _names(inside, min(indents, default=0), ENTRY)


def _until_heading(lines: list[str]) -> list[str]:
    for index, line in enumerate(lines):
        underlined = index + 1 < len(lines) and re.match(r"^\s*-{3,}\s*$", lines[index + 1])
        if underlined or re.match(r"^\s*\*\*[\w ]+:?\*\*:?\s*$", line):
            return lines[:index]
    return lines


def _names(lines: list[str], indent: int, entry: re.Pattern[str]) -> set[str]:
    named: set[str] = set()
    for index, line in enumerate(lines):
        match = entry.match(line[indent:]) if line[:indent].strip() == "" else None
        following = lines[index + 1][indent:].startswith(" ") if index + 1 < len(lines) else False
        if match and (match["text"] or following):
            named |= set(re.findall(r"\w+", match["names"]))
    return named


def _is_exception(base: str) -> bool:
    builtin = getattr(builtins, base, None)
    return base.endswith(("Error", "Exception")) or (isinstance(builtin, type) and issubclass(builtin, BaseException))


def _comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def _raises_value_error(node: ast.AST) -> bool:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(raised, ast.Name) and raised.id == "ValueError"
