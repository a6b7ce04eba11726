"""Real exploits' shapes are refused, and what was refused never ran; plain data reads as Python reads it."""

import collections
import datetime
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.downstream.geobench.unpickle import (
    MAX_PICKLE_BYTES,
    PickledObject,
    UnsafePickleError,
    decode_stored,
    read_pickle,
)

TOUCHED: list[str] = []


class Reduced:
    """Pickles to a call of ``function``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def touch(what: str) -> None:
    TOUCHED.append(what)


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def exploits(canary: Path) -> dict[str, bytes]:
    """What attackers have sent, by what it is known as; each would create the canary."""
    import os
    import subprocess

    command = f"touch {canary}"
    return {
        "os.system": pickle.dumps(Reduced(os.system, command)),
        "posix.system, oldest protocol": f"cposix\nsystem\n(S'{command}'\ntR.".encode(),
        "subprocess": pickle.dumps(Reduced(subprocess.check_output, ["touch", str(canary)])),
        "eval": pickle.dumps(Reduced(eval, f"open({str(canary)!r}, 'w')")),
        "exec": pickle.dumps(Reduced(exec, f"open({str(canary)!r}, 'w')")),
        "open": pickle.dumps(Reduced(open, str(canary), "w")),
        "getattr": pickle.dumps(getattr),
        "getattr chain": opcodes(text("builtins"), text("getattr"), b"\x93", text("os"), text("system"), b"\x93\x86R"),
        "copyreg": opcodes(text("copyreg"), text("_reconstructor"), b"\x93"),
        "copyreg extension": opcodes(b"\x82\x01"),
        "instance of the oldest protocol": f"(S'{command}'\nios\nsystem\n.".encode(),
        "object of the oldest protocol": f"(cos\nsystem\nS'{command}'\no.".encode(),
        "persistent id": b"Phello\n.",
        "dotted name": opcodes(text("geobench.dataset"), text("Band.__init__.__globals__"), b"\x93"),
        "module of the benchmark": opcodes(text("geobench.dataset"), text("os"), b"\x93"),
        "private name of the benchmark": opcodes(text("geobench.dataset"), text("_load_band_stats"), b"\x93"),
        "module below the benchmark's": opcodes(text("geobench.dataset.os"), text("System"), b"\x93"),
        "numpy's own reader": pickle.dumps(np.load),
        "numpy's code generator": opcodes(text("numpy.testing._private.utils"), text("runstring"), b"\x93"),
        "numpy in numpy": opcodes(text("numpy"), text("load"), b"\x93"),
        "keyword construction": opcodes(text("geobench.dataset"), text("Band"), b"\x93)}\x92"),
        "torch's loader": opcodes(text("torch.serialization"), text("load"), b"\x93"),
        "a name that is no text": opcodes(b"K\x01", b"K\x02", b"\x93"),
        "buffers out of band": b"\x80\x05\x97.",
    }


@pytest.mark.parametrize("name", list(exploits(Path("canary"))))
def test_exploits_are_refused_by_name_and_nothing_runs(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(UnsafePickleError, match=r"sample\.hdf5: its pickle .*refused, and nothing of it was run"):
        read_pickle(exploits(canary)[name], "sample.hdf5")
    assert not canary.exists()


def test_the_exploits_are_real(tmp_path: Path) -> None:
    """The same bytes, given to Python's own reader, do run: the test above shows something."""
    canary = tmp_path / "canary"
    for name in ("os.system", "eval", "posix.system, oldest protocol", "object of the oldest protocol"):
        result = pickle.loads(exploits(canary)[name])
        if name == "eval":
            result.close()
        assert canary.exists(), name
        canary.unlink()


def test_the_message_names_file_and_global() -> None:
    with pytest.raises(UnsafePickleError, match=r"m-eurosat/id_1\.hdf5: .*builtins\.eval"):
        read_pickle(pickle.dumps(eval), "m-eurosat/id_1.hdf5")


def test_allowed_names_are_not_called_either() -> None:
    """An array whose class is another, with a state that numpy would evaluate: only a record comes out."""
    objects = np.array([Reduced(touch, "array")], dtype=object)
    with pytest.raises(UnsafePickleError, match="touch"):
        read_pickle(pickle.dumps(objects), "a")
    date = read_pickle(pickle.dumps(datetime.date(2019, 11, 5)), "a")
    assert isinstance(date, PickledObject) and decode_stored(date, "a") == datetime.date(2019, 11, 5)
    assert TOUCHED == []


HUGE: dict[str, bytes] = {
    "a length that is not there": opcodes(b"\x8e" + struct.pack("<Q", 2**60)),
    "a text that is not there": opcodes(b"\x8d" + struct.pack("<Q", 2**62)),
    "a long integer that is not there": opcodes(b"\x8b" + struct.pack("<i", 2**31 - 1)),
    "an integer in a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "a memory of two thousand million": b"N" + b"r" + struct.pack("<I", 2**31 - 1) + b"0" + b"\x80",
    "nothing on the stack": b"0.",
    "no mark": b"t.",
    "no memory": b"h\x05.",
    "empty": b"",
    "breaks off": pickle.dumps({"label": 3})[:-1],
    "text instead": b"hello",
}


@pytest.mark.parametrize("name", list(HUGE))
def test_damaged_and_oversized_pickles_are_one_line_errors(name: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.hdf5: its pickle (is damaged|breaks off|uses|asks)"):
        read_pickle(HUGE[name], "a.hdf5")


def test_longer_pickles_than_any_of_the_benchmark_are_not_read() -> None:
    with pytest.raises(ValueError, match="more than"):
        read_pickle(bytes(MAX_PICKLE_BYTES + 1), "a")


@pytest.mark.timeout(5)
def test_a_nest_of_shared_tuples_costs_nothing() -> None:
    """As a key, it would take Python's reader 2^100 steps to hash."""
    nest = ")" + "".join(f"\x94h{chr(level)}\x86" for level in range(100))
    data = b"\x80\x04}" + nest.encode("latin1") + b"K\x01s."
    assert sum(1 for _ in pickletools.genops(data)) > 300
    with pytest.raises(ValueError, match="key of type tuple"):
        read_pickle(data, "a")
    assert isinstance(read_pickle(data[:2] + data[3:-4] + b".", "a"), tuple)


def test_an_array_allocates_no_more_than_it_brought() -> None:
    honest = pickle.dumps(np.zeros(3, np.int64))
    stored = read_pickle(honest, "a")
    assert isinstance(stored, PickledObject)
    version, _, kind, fortran, content = stored.state
    for shape in [(2**40,), (3, 2**62), (-1,), (True,), "many", (3,) * 20, ((3,),)]:
        stored.state = version, shape, kind, fortran, content
        with pytest.raises(ValueError, match="cannot be read"):
            decode_stored(stored, "a")


def test_arrays_of_objects_and_odd_states_are_refused() -> None:
    for value in (np.array(["a"]), np.array([None]), np.zeros(2, [("a", "i4")]), np.zeros(2, "M8[s]")):
        with pytest.raises(ValueError, match="cannot be read"):
            decode_stored(read_pickle(pickle.dumps(value), "a"), "a")
    for stored in (PickledObject("numpy.core.multiarray._reconstruct"), PickledObject("datetime.date")):
        with pytest.raises(ValueError, match="cannot be read"):
            decode_stored(stored, "a")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.sampled_from([3, 4, 5]))
def test_plain_data_reads_as_python_reads_it(value: Any, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol), "a") == value


def test_text_protocols_read_too() -> None:
    value = {"label": [1, 2.5, None, True], "name": ("é", {"a": 1})}
    for protocol in (0, 1, 2):
        assert read_pickle(pickle.dumps(value, protocol), "a") == value


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["i1", "u1", "i2", "i4", "i8", "f4", "f8", "b1", ">i4"]),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    st.sampled_from([2, 3, 4, 5]),
    st.booleans(),
)
def test_arrays_read_as_numpy_reads_them(kind: str, shape: tuple[int, ...], protocol: int, fortran: bool) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
    array = np.asfortranarray(array) if fortran else array
    read = decode_stored(read_pickle(pickle.dumps(array, protocol), "a"), "a")
    assert read.shape == array.shape and (read == array).all() and read.dtype == array.dtype


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_of_numpy_and_dates(protocol: int) -> None:
    for number in (np.int64(7), np.float32(0.5), np.bool_(True)):
        read = decode_stored(read_pickle(pickle.dumps(number, protocol), "a"), "a")
        assert read == number and isinstance(read, type(number.item()))
    for day in (datetime.date(2020, 2, 29), datetime.datetime(1999, 12, 31, 23, 59)):
        read = decode_stored(read_pickle(pickle.dumps(day, protocol), "a"), "a")
        assert (read.year, read.month, read.day) == (day.year, day.month, day.day)


def test_ordered_mappings_become_records_with_their_items() -> None:
    read = read_pickle(pickle.dumps(collections.OrderedDict(a=1, b=[2])), "a")
    assert read.get("a") == 1 and read.get("b") == [2] and read.get("c", 9) == 9


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_never_breaks_out(noise: bytes) -> None:
    try:
        read_pickle(noise, "a")
    except ValueError as error:
        assert str(error).startswith("a: ")
