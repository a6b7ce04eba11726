"""Bands by name, alias and wavelength."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.errors import UnknownNameError
from skyweave.core.sensors import Band, Sensor, get_sensor, match_bands
from skyweave.core.sensors.matching import parse_wavelength

S2 = get_sensor("sentinel2-l2a")
NAMES = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]


@pytest.mark.parametrize("spelling", ["B04", "b4", "B_04", "04 - Red", "RED", "red", "B4"])
def test_spellings_of_red(spelling: str) -> None:
    assert S2.index(spelling) == 3


def test_an_unknown_band_is_told_the_nearest_and_the_valid_names() -> None:
    with pytest.raises(UnknownNameError) as raised:
        S2.index("rededge7")
    message = str(raised.value)
    assert message.startswith("sensor 'sentinel2-l2a' has no band 'rededge7', did you mean 'rededge07")
    assert "valid names: coastal, blue, green, red" in message
    with pytest.raises(KeyError, match="no band 'B10'"):
        S2.index("B10")


@given(st.permutations(range(12)), st.integers(1, 12))
def test_file_order_follows_any_permutation_of_any_subset(order: list[int], count: int) -> None:
    match = match_bands(S2, [NAMES[i] for i in order[:count]])
    assert match.covers_file
    assert match.complete == (count == 12)
    assert [band.name for band in match.file_order().bands] == [S2.bands[i].name for i in order[:count]]
    assert set(match.missing) == {S2.bands[i].name for i in order[count:]}


@given(st.permutations(range(12)))
def test_wavelengths_alone_are_enough(order: list[int]) -> None:
    match = match_bands(S2, [None] * 12, [(S2.bands[i].wavelength or 0) + 1.0 for i in order])
    assert match.complete
    assert set(match.reasons) == {"wavelength"}
    assert [S2.index(name) for name in match.matched] == order


def test_nothing_is_matched_by_position() -> None:
    match = match_bands(S2, [None] * 12)
    assert match.matched == {}
    assert match.missing["red"] == "the file names no bands and gives no wavelengths"
    with pytest.raises(ValueError, match="no band of the file matches sensor 'sentinel2-l2a'; declare the bands"):
        match.file_order()


def test_a_name_that_contradicts_its_wavelength_is_reported() -> None:
    match = match_bands(S2, ["red", "blue"], [842.0, 490.0])
    assert match.matched == {"blue": 1}
    assert match.missing["red"] == "file band 1 is called 'red' but its wavelength is 842 nm, not about 664.6 nm"


@pytest.mark.parametrize("names", [["red", "B04"], ["red", "B04", "RED"]])
def test_two_bands_of_one_name_are_ambiguous(names: list[str]) -> None:
    match = match_bands(S2, names)
    assert match.matched == {}
    assert "more than one file band is called 'red'" in match.missing["red"]


def test_a_narrow_band_is_not_a_broad_one() -> None:
    assert match_bands(S2, [None], [833.0], [8.0]).matched == {}
    assert match_bands(S2, [None], [833.0], [100.0]).matched == {"nir": 0}


def test_radar_is_matched_by_polarisation_name_only() -> None:
    radar = get_sensor("sentinel1-rtc")
    assert match_bands(radar, ["VH", "VV"]).matched == {"vh": 0, "vv": 1}
    assert match_bands(radar, [None, None], [5.4e7, 5.4e7]).matched == {}


def test_counts_must_agree() -> None:
    with pytest.raises(ValueError, match="2 descriptions, 1 wavelengths and 2 widths"):
        match_bands(S2, ["red", "blue"], [660.0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("band 1 (418.24 Nanometers)", 418.24),
        ("665 nm", 665.0),
        ("0.665 um", 665.0),
        ("10.9 µm", 10900.0),
        ("B04", None),
        ("number 5", None),
        ("", None),
    ],
)
def test_wavelengths_in_descriptions(text: str, expected: float | None) -> None:
    assert parse_wavelength(text) == (None if expected is None else pytest.approx(expected))


def test_nearest_wavelength_wins_where_detectors_overlap() -> None:
    bands = (Band("vnir", wavelength=960.5, width=10.7), Band("swir", wavelength=961.9, width=9.9))
    sensor = Sensor("overlap", "two detectors", bands, 30.0)
    assert match_bands(sensor, [None, None], [961.9, 960.5]).matched == {"swir": 0, "vnir": 1}


@pytest.mark.realdata
def test_enmap_is_matched_by_the_wavelengths_of_its_product(data_dir: Path) -> None:
    with open(data_dir / "enmap_potsdam" / "bands.csv") as file:
        rows = list(csv.DictReader(file))
    centres = [float(row["wavelength_nm"]) for row in rows]
    widths = [float(row["fwhm_nm"]) for row in rows]
    enmap = get_sensor("enmap")
    assert match_bands(enmap, [None] * 224, centres, widths).channels == tuple(range(224))
    backwards = match_bands(enmap, [None] * 224, centres[::-1], widths[::-1])
    assert backwards.channels == tuple(range(223, -1, -1))
    assert not match_bands(S2, [None] * 224, centres, widths).complete
