"""Pickles of unknown senders as plain data: the file is read instruction by instruction, and nothing in it is called.

GEO-Bench keeps labels and band descriptions in pickles. Python's own reader imports and calls whatever a pickle names,
so opening a downloaded sample could run anything. Here the standard library only splits the bytes into instructions
(``pickletools.genops``); this module carries out the few that build data. What a pickle names is neither imported nor
called: it becomes a `PickledObject` record, and only if it is on the list below.
"""

import datetime
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.core.errors import DataError

MAX_PICKLE_BYTES = 2**20
"""Longest pickle read; the largest in the benchmark, a forest's outline in words, has some tens of kilobytes."""
ALLOWED = {
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "datetime": {"date", "datetime"},
    "collections": {"OrderedDict"},
    "_codecs": {"encode"},
    "__builtin__": {"bytes"},  # how protocol 2 spells no bytes at all
    "affine": {"Affine"},
    "rasterio.crs": {"CRS"},
    "rasterio._crs": {"_CRS"},
}
# The benchmark's own classes, under the names that its package has had.
_BENCHMARK_MODULE = re.compile(r"(geobench|ccb)(\.io)?\.(dataset|label|task)")
_BENCHMARK_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*")


@dataclass
class PickledObject:
    """Something that a pickle names: what it is called, what it was made with, and what it held.

    Attributes:
        name: ``module.name`` as the pickle spells it.
        arguments: what it would have been called with; None where it is only named.
        state: what it would have been filled with; None where nothing was.
    """

    name: str
    arguments: tuple[Any, ...] | None = None
    state: Any = None

    def get(self, attribute: str, default: Any = None) -> Any:
        """Return an attribute of the stored object, where its state is a mapping.

        Args:
            attribute: its name.
            default: where there is none.
        """
        return self.state.get(attribute, default) if isinstance(self.state, dict) else default


class UnsafePickleError(DataError):
    """A pickle that asks for more than data."""


def read_pickle(data: bytes, source: str) -> Any:
    """Return the content of a pickle as numbers, text, lists, tuples, mappings and `PickledObject` records.

    Args:
        data: the pickle's bytes.
        source: file it came from, for messages.

    Raises:
        UnsafePickleError: it names something that is not on the list, or uses an instruction that plain data does not
            need; the message names file and name. Nothing of it was called.
        DataError: no pickle, damaged, or longer than `MAX_PICKLE_BYTES`.
    """
    if len(data) > MAX_PICKLE_BYTES:
        raise DataError(f"{source}: its pickle has {len(data)} bytes, more than the {MAX_PICKLE_BYTES} that are read")
    reader = _PickleReader(source)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return reader.stack.pop()
            reader.step(opcode.name, argument)
    except UnsafePickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{source}: its pickle is damaged ({error}); download the file again") from error
    raise DataError(f"{source}: its pickle breaks off; download the file again")


def decode_stored(value: Any, source: str) -> Any:
    """Return what a `PickledObject` array, number, date or text stands for; anything else as it is.

    Args:
        value: of `read_pickle`.
        source: file it came from, for messages.

    Raises:
        DataError: an array of another type than numbers, or whose bytes do not fit its shape.
    """
    if not isinstance(value, PickledObject):
        return value
    name, arguments = value.name.rsplit(".", 1)[-1], value.arguments or ()
    try:
        if name in ("encode", "bytes"):
            return _bytes(*arguments)
        if name == "_reconstruct":
            _, shape, kind, fortran, content = value.state
            return _array(content, kind, shape, "F" if fortran else "C")
        if name == "_frombuffer":
            return _array(*arguments)
        if name == "scalar":
            kind, content = arguments
            return _array(content, kind, (), "C").item()
        if name in ("date", "datetime"):
            return _date(*arguments)
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(f"{source}: the {name} in its pickle cannot be read: {error}") from error
    return value


class _PickleReader:
    """The pickle machine, reduced to the instructions that build data."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in _PUSHED:
            self.stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._name(argument)
        elif name in ("REDUCE", "NEWOBJ", "BUILD"):
            self._stored(name)
        else:
            self._collect(name)

    def _collect(self, name: str) -> None:
        """Instructions that put what lies on the stack into tuples, lists and mappings."""
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self._collect_short(name)
        elif name == "TUPLE":
            self.stack.append(tuple(self._marked()))
        elif name == "LIST":
            self.stack.append(self._marked())
        elif name == "DICT":
            items = self._marked()
            self.stack.append({})
            self._fill(items)
        elif name == "APPEND":
            item = self.stack.pop()
            self._top(list).append(item)
        elif name == "APPENDS":
            items = self._marked()
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            self._fill([self.stack.pop(), self.stack.pop()][::-1] if name == "SETITEM" else self._marked())
        else:
            raise UnsafePickleError(
                f"{self.source}: its pickle uses the instruction {name}, which plain data does not need; refused, and "
                "nothing of it was run: get the file from its publisher"
            )

    def _collect_short(self, name: str) -> None:
        """Collect the last one, two or three items into a tuple."""
        count = int(name[-1])
        items = self.stack[-count:]
        if len(items) < count:
            raise IndexError("an empty stack")
        self.stack[-count:] = [tuple(items)]

    def _fill(self, items: list[Any]) -> None:
        """Keys and values, in turn, into the mapping on top of the stack."""
        target = self._top((dict, PickledObject))
        if isinstance(target, PickledObject):  # an ordered mapping, filled item by item
            target.state = target.state if isinstance(target.state, dict) else {}
            target = target.state
        for key, item in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int | float | bytes | None):  # to hash a nest of tuples may take for ever
                raise DataError(f"a key of type {type(key).__name__}")
            target[key] = item

    def _name(self, argument: str | None) -> None:
        if argument is None:
            name, module = self.stack.pop(), self.stack.pop()
        else:
            module, name = argument.split(" ", 1)
        if not _is_allowed(module, name):
            raise UnsafePickleError(
                f"{self.source}: its pickle asks for {module}.{name}, which is not among the types that GEO-Bench "
                "stores; refused, and nothing of it was run: get the file from its publisher"
            )
        self.stack.append(PickledObject(f"{module}.{name}"))

    def _stored(self, name: str) -> None:
        value = self.stack.pop()
        target = self._top(PickledObject)
        if name == "BUILD":
            target.state = value
        elif not isinstance(value, tuple):
            raise DataError("arguments that are no tuple")
        else:
            self.stack[-1] = PickledObject(target.name, value)

    def _top(self, kind: type | tuple[type, ...]) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise DataError(f"a {type(self.stack[-1]).__name__} where something else belongs")
        return self.stack[-1]

    def _marked(self) -> list[Any]:
        """What lies above the last mark, taken off."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


def _is_allowed(module: Any, name: Any) -> bool:
    """Return whether a name is of the benchmark's own classes, or on the list."""
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    is_benchmark = _BENCHMARK_MODULE.fullmatch(module) and _BENCHMARK_CLASS.fullmatch(name)
    return bool(is_benchmark) or name in ALLOWED.get(module, ())


_PUSHED = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ]
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


def _array(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    """Numbers from their bytes; nothing is allocated that the bytes do not fill."""
    letters = _letters(kind)
    if not (isinstance(letters, str) and re.fullmatch(r"[biuf][1248]", letters)):
        raise DataError("it is of something else than numbers")
    swapped = _is_big_endian(kind)
    dtype = np.dtype((">" if swapped else "<") + letters)
    content = _bytes(*content.arguments or ()) if isinstance(content, PickledObject) else content
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not isinstance(content, bytes) or not _are_sizes(sizes):
        raise DataError("it has no size")
    _check_content(sizes, dtype, content)
    return np.frombuffer(content, dtype).reshape(sizes, order="F" if order == "F" else "C")


def _letters(kind: Any) -> Any:
    """Return the name of a stored type."""
    return kind.arguments[0] if isinstance(kind, PickledObject) and kind.arguments else None


def _check_content(sizes: tuple[int, ...], dtype: np.dtype, content: bytes) -> None:
    """Check that the content is of the size that is stated."""
    if len(sizes) > 8 or math.prod(sizes) * dtype.itemsize != len(content):
        raise DataError(f"it is of {' x '.join(map(str, sizes[:8]))} in {len(content)} bytes")


def _is_big_endian(kind: Any) -> bool:
    """Return whether a stored type says that its bytes are swapped."""
    return isinstance(kind.state, tuple) and kind.state[1:2] == (">",)


def _are_sizes(sizes: tuple[Any, ...]) -> bool:
    """Return whether all are sizes that can be."""
    return all(type(size) is int and 0 <= size <= MAX_PICKLE_BYTES for size in sizes)


def _date(content: Any, *_: Any) -> datetime.date:
    """A date from the bytes in which Python stores it: year in two bytes, month, day, and so on."""
    content = _bytes(*content.arguments or ()) if isinstance(content, PickledObject) else content
    if not isinstance(content, bytes) or len(content) not in (4, 10):
        raise DataError("it is not stored as Python does")
    return datetime.date(content[0] * 256 + content[1], content[2] & 127, content[3])


def _bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Bytes that an old pickle spells as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise DataError("only text in latin1 is known")
    return text.encode("latin1")
