"""The inverse of `unpickle`: data and `PickledObject` records as the bytes that Python's pickle would have written."""

import datetime
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from skyweave.downstream.geobench.unpickle import PickledObject


def write_pickle(value: Any) -> bytes:
    """Return a pickle (protocol 4) of numbers, text, bytes, lists, tuples, mappings and `PickledObject` records.

    Classes that a record names need not exist here: Python's own writer would insist on importing them. Records whose
    name starts with a capital are written as objects, others as calls, as the real files have it.

    Args:
        value: of these types.

    Raises:
        TypeError: something else.
    """
    return pickle.PROTO + b"\x04" + _item(value) + pickle.STOP


def stored_array(array: np.ndarray) -> PickledObject:
    """Return an array of numbers as numpy 1 pickles it.

    Args:
        array: of numbers.
    """
    kind = PickledObject("numpy.dtype", (array.dtype.str[1:], False, True), (3, "<", None, None, None, -1, -1, 0))
    content = np.ascontiguousarray(array).tobytes()
    empty = (PickledObject("numpy.ndarray"), (0,), b"b")
    return PickledObject("numpy.core.multiarray._reconstruct", empty, (1, array.shape, kind, False, content))


def stored_date(day: datetime.date) -> PickledObject:
    """Return a date as Python pickles it.

    Args:
        day: the date.
    """
    return PickledObject("datetime.date", (bytes([*divmod(day.year, 256), day.month, day.day]),))


def _item(value: Any) -> bytes:
    for kind, write in WRITERS:
        if isinstance(value, kind):
            return write(value)
    raise TypeError(f"{type(value).__name__} cannot be written as a pickle here")


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    number = pickle.encode_long(value)
    return pickle.LONG4 + struct.pack("<i", len(number)) + number


def _text(value: str) -> bytes:
    text = value.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(text)) + text


def _sequence(value: tuple[Any, ...] | list[Any]) -> bytes:
    items = pickle.MARK + b"".join(map(_item, value))
    return items + pickle.TUPLE if isinstance(value, tuple) else pickle.EMPTY_LIST + items + pickle.APPENDS


def _mapping(value: dict[Any, Any]) -> bytes:
    pairs = b"".join(_item(key) + _item(item) for key, item in value.items())
    return pickle.EMPTY_DICT + pickle.MARK + pairs + pickle.SETITEMS


def _record(value: PickledObject) -> bytes:
    module, name = value.name.rsplit(".", 1)
    data = _item(module) + _item(name) + pickle.STACK_GLOBAL
    if value.arguments is not None:
        data += _item(value.arguments) + (pickle.NEWOBJ if name[0].isupper() else pickle.REDUCE)
    return data if value.state is None else data + _item(value.state) + pickle.BUILD


WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], bytes]], ...] = (
    (type(None), lambda value: pickle.NONE),
    (bool, lambda value: pickle.NEWTRUE if value else pickle.NEWFALSE),  # before int, which it is too
    (int, _integer),
    (float, lambda value: pickle.BINFLOAT + struct.pack(">d", value)),
    (str, _text),
    (bytes, lambda value: pickle.BINBYTES + struct.pack("<I", len(value)) + value),
    ((tuple, list), _sequence),
    (dict, _mapping),
    (PickledObject, _record),
)
"""How each type is written; the first that fits counts."""
