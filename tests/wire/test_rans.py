import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.wire.rans import BatchDecoder, StreamSpec, SymbolTables, decode_symbols, encode_batch, encode_symbols
from skyweave.wire.tables import quantise_frequencies

NO_RAW = np.zeros(0, np.uint8)


@pytest.fixture(scope="module")
def laplacian() -> SymbolTables:
    """16 tables, from nearly certain to nearly flat."""
    k = np.abs(np.arange(32) - 16)
    return SymbolTables(quantise_frequencies(np.exp(-k / np.geomspace(0.15, 8, 16)[:, None])))


def drawn(tables: SymbolTables, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Symbols drawn from their tables."""
    random = np.random.default_rng(seed)
    of = random.integers(0, len(tables), count)
    size = 1 << tables.precision
    return tables.symbol_of_slot[of * size + random.integers(0, size, count)], of


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_encoded_comes_back(data: st.DataObject) -> None:
    precision = data.draw(st.integers(8, 14))
    count, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 40))
    weights = np.random.default_rng(data.draw(st.integers(0, 99))).exponential(1, (count, width)) ** 4 + 1e-9
    tables = SymbolTables(quantise_frequencies(weights, precision), precision)
    symbols, of = drawn(tables, data.draw(st.integers(0, 3000)))
    assert (decode_symbols(encode_symbols(symbols, of, tables), of, tables) == symbols).all()


def test_a_table_of_one_symbol_costs_nothing() -> None:
    tables = SymbolTables(np.array([[4096]]))
    nothing = np.zeros(1000, int)
    assert len(encode_symbols(nothing, nothing, tables)) == 3


def test_within_a_percent_of_entropy(laplacian: SymbolTables) -> None:
    symbols, of = drawn(laplacian, 1_000_000)
    entropy = -np.log2(laplacian.frequencies[of, symbols] / 4096).sum() / 8
    assert entropy * 0.999 < len(encode_symbols(symbols, of, laplacian)) < entropy * 1.01


def test_whole_frequencies_cost_little() -> None:
    random = np.random.default_rng(3)
    weights = random.dirichlet(np.full(64, 0.1), 20)
    frequencies = quantise_frequencies(weights) / 4096
    excess = (weights * np.log2(np.maximum(weights, 1e-30) / frequencies)).sum(1)
    entropy = -(weights * np.log2(np.maximum(weights, 1e-30))).sum(1)
    assert (excess / entropy).max() < 0.02


@given(st.integers(1, 40), st.integers(0, 400), st.integers(0, 900), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_raw_bits_ride_along(laplacian: SymbolTables, lanes: int, raw_bits: int, count: int, seed: int) -> None:
    symbols, of = drawn(laplacian, count, seed)
    raw = np.random.default_rng(seed).integers(0, 2, raw_bits).astype(np.uint8)
    (stream,) = encode_batch([StreamSpec([symbols], [of], lanes, raw)], laplacian)
    decoder = BatchDecoder([stream], [lanes], laplacian)
    assert (decoder.read([of])[0] == symbols).all()
    states, rest, sound = decoder.finish()[0]
    found = np.concatenate([states, np.unpackbits(np.frombuffer(rest, np.uint8))])
    assert sound
    assert (found[: len(raw)] == raw).all()
    assert not found[len(raw) :].any()


def test_raw_bits_pay_for_the_lanes(laplacian: SymbolTables) -> None:
    symbols, of = drawn(laplacian, 8000)
    entropy = -np.log2(laplacian.frequencies[of, symbols] / 4096).sum()
    for lanes in (1, 8, 20, 40):
        raw = np.random.default_rng(0).integers(0, 2, 15 * lanes).astype(np.uint8)
        (stream,) = encode_batch([StreamSpec([symbols], [of], lanes, raw)], laplacian)
        lost = 8 * len(stream) - entropy - len(raw)
        assert 0 < lost < 5 * lanes + 10 * lanes**0.5 + 24


def test_streams_in_a_batch_do_not_touch_each_other(laplacian: SymbolTables) -> None:
    jobs, expected = [], []
    for i, (count, lanes) in enumerate(((1000, 3), (1, 1), (0, 2), (5000, 17), (333, 40))):
        parts = [drawn(laplacian, n, i) for n in (count, count // 3)]
        jobs.append(StreamSpec([p[0] for p in parts], [p[1] for p in parts], lanes, NO_RAW))
        expected.append([p[0] for p in parts])
    sort_window = encode_batch(jobs, laplacian)
    assert sort_window == [encode_batch([job], laplacian)[0] for job in jobs]
    decoder = BatchDecoder(sort_window, [job.lanes for job in jobs], laplacian)
    for segment in range(2):
        for i, symbols in enumerate(decoder.read([job.tables[segment] for job in jobs])):
            assert (symbols == expected[i][segment]).all()
    assert all(sound and not rest and not raw.any() for raw, rest, sound in decoder.finish())


@given(st.binary(max_size=300), st.integers(1, 30), st.integers(0, 2000))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_safe(laplacian: SymbolTables, data: bytes, lanes: int, count: int) -> None:
    of = np.arange(count) % len(laplacian)
    decoder = BatchDecoder([data, b""], [lanes, 1], laplacian)
    symbols, nothing = decoder.read([of, of[:0]])
    assert len(symbols) == count and (laplacian.frequencies[of, symbols] > 0).all() and not len(nothing)
    decoder.finish()


def test_damage_is_noticed(laplacian: SymbolTables) -> None:
    symbols, of = drawn(laplacian, 5000)
    stream = encode_symbols(symbols, of, laplacian)
    for damaged in (stream[:-2], stream + b"\0\0", stream[:100] + bytes([stream[100] ^ 1]) + stream[101:]):
        with pytest.raises(ValueError, match="do not hold"):
            decode_symbols(damaged, of, laplacian)


def test_what_cannot_be_encoded_is_named(laplacian: SymbolTables) -> None:
    with pytest.raises(ValueError, match="symbols 32 to 32"):
        encode_symbols(np.array([32]), np.array([0]), laplacian)
    with pytest.raises(ValueError, match="tables 16 to 16"):
        encode_symbols(np.array([0]), np.array([16]), laplacian)
    with pytest.raises(ValueError, match="frequency 0 in table 0"):
        encode_symbols(np.array([1]), np.array([0]), SymbolTables(np.array([[4096, 0]])))
    with pytest.raises(ValueError, match="table 1 must be >= 0 and sum to 4096"):
        SymbolTables(np.array([[4096, 0], [4096, 1]]))
    with pytest.raises(ValueError, match="precision 15"):
        SymbolTables(np.array([[1 << 15]]), 15)
