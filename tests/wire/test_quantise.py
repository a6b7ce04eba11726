import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skyweave.wire.quantise import Quantiser

LEVELS = hnp.arrays(np.int16, st.tuples(st.integers(0, 20), st.just(3)), elements=st.integers(-32767, 32767))


@given(LEVELS, st.floats(0.05, 0.5), st.floats(2.0**-20, 2.0**20, width=32))
def test_levels_survive(levels: np.ndarray, rounding: float, step: float) -> None:
    quantiser = Quantiser(np.array([step, step * 3, step / 7]), rounding)
    assert (quantiser.quantise(quantiser.restore(levels)) == levels).all()


def test_the_dead_zone_and_the_limits() -> None:
    features = np.array([[-0.69, 0.69, 0.71, 1.69, 1.71, 9.0, -9.0]]).T
    quantiser = Quantiser(np.array([1.0]), 0.3, smallest=-2, largest=4)
    assert quantiser.quantise(features).ravel().tolist() == [0, 0, 1, 1, 2, 4, -2]
    assert Quantiser(np.array([1.0])).quantise(np.array([[0.49], [0.51], [-0.51]])).ravel().tolist() == [0, 1, -1]
    assert Quantiser(np.array([1e-30])).quantise(np.array([[3e38], [-3e38]])).ravel().tolist() == [32767, -32767]


def test_steps_belong_to_channels() -> None:
    quantiser = Quantiser(np.array([0.5, 2.0]))
    assert quantiser.quantise(np.array([[3.0, 3.0]])).tolist() == [[6, 2]]
    assert quantiser.restore(np.array([[6, 2]])).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="1 of 2 features are NaN or infinite"):
        Quantiser(np.array([1.0])).quantise(np.array([[0.0], [bad]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": np.array([0.0])}, "step"),
        ({"step": np.array([np.nan])}, "step"),
        ({"step": np.array([1.0]), "rounding": 0.6}, "rounding"),
        ({"step": np.array([1.0]), "smallest": 1}, "0 must lie"),
        ({"step": np.array([1.0]), "largest": 40000}, "32767"),
    ],
)
def test_impossible_quantisers(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Quantiser(**options)
