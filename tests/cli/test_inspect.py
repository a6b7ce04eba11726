"""``skyweave inspect``: facts, fits and hints, on made files and on the traps of real ones."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyweave.cli.main import main

rasterio = pytest.importorskip("rasterio")


def write(path: Path, pixels: np.ndarray, names: list[str] | None = None, **profile: Any) -> Path:
    profile = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 366_000, 0, -10, 5_800_000)} | profile
    count, height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype, **profile
    ) as file:
        file.write(pixels)
        if names:
            file.descriptions = names
    return path


def report(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> dict[str, Any]:
    assert main(["inspect", str(path), "--json", *options]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    content["verdicts"] = {fit["sensor"]: fit["verdict"] for fit in content["sensors"]}
    content["fit"] = {fit["sensor"]: fit for fit in content["sensors"]}
    return content


def test_shares_of_nodata_and_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.full((2, 4, 5), 0.25, np.float32)
    pixels[0, 0, :3] = np.nan
    pixels[0, 0, 3] = np.inf
    pixels[0, 1, 0] = -1
    pixels[1] = -1
    content = report(capsys, write(tmp_path / "a.tif", pixels, ["red", "nir"], nodata=-1))
    first, second = content["bands"]
    assert first["nodata_share"] == pytest.approx(5 / 20)
    assert first["nan_share"] == pytest.approx(4 / 20)
    assert (first["minimum"], first["maximum"], first["mean"]) == (0.25, 0.25, 0.25)
    assert second["empty"] and second["minimum"] is None
    assert any("band 2 hold nodata only" in hint for hint in content["hints"])
    assert any("NaN or infinity in band 1" in hint for hint in content["hints"])
    assert content["ground_sample_distance"] == pytest.approx(10.0)
    assert content["crs"] == "EPSG:32633"


def test_bands_in_any_order_are_reported_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.arange(3 * 4 * 4, dtype=np.uint16).reshape(3, 4, 4) * 40
    content = report(capsys, write(tmp_path / "a.tif", pixels, ["B12", "B8A", "B02"]))
    assert content["fit"]["sentinel2-l2a"]["bands"] == {"swir22": 1, "nir08": 2, "blue": 3}
    assert content["verdicts"]["sentinel2-l2a"] == "subset"
    assert content["verdicts"]["sentinel1-grd"] == "no"
    assert "no file band is called 'vv'" in content["fit"]["sentinel1-grd"]["reason"]


def test_a_nameless_file_fits_nothing_for_sure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = report(capsys, write(tmp_path / "a.tif", np.full((13, 4, 4), 1200, np.uint16)))
    assert content["verdicts"]["sentinel2-l1c"] == "count"
    assert not any(fit["fits"] for fit in content["sensors"])
    assert any("declare unit dn_offset1000" in hint for hint in content["hints"])
    assert any("declare them in file order" in hint for hint in content["hints"])


def test_impossible_units_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decibels = np.linspace(-30, 3, 32, dtype=np.float32).reshape(2, 4, 4)
    content = report(capsys, write(tmp_path / "db.tif", decibels, ["VV", "VH"]))
    assert content["fit"]["sentinel1-rtc"]["units"] == ["db"]
    power = np.linspace(0.001, 2, 32, dtype=np.float32).reshape(2, 4, 4)
    assert "power" in report(capsys, write(tmp_path / "p.tif", power, ["VV", "VH"]))["fit"]["sentinel1-rtc"]["units"]
    reflectance = np.linspace(0.01, 0.6, 32, dtype=np.float32).reshape(2, 4, 4)
    fit = report(capsys, write(tmp_path / "r.tif", reflectance, ["red", "nir"]))["fit"]
    assert fit["sentinel2-l2a"]["units"] == ["reflectance"]
    assert fit["naip"]["units"] == ["unit_interval"]


def test_undeclared_nodata_is_suspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.full((2, 4, 4), -9999, np.float32)
    pixels[:, 0] = -12
    content = report(capsys, write(tmp_path / "a.tif", pixels, ["VV", "VH"]))
    assert content["fit"]["sentinel1-grd"]["verdict"] == "all" and content["fit"]["sentinel1-grd"]["units"] == ["db"]
    assert any("undeclared nodata value" in hint and "--nodata=-9999" in hint for hint in content["hints"])
    assert content["command"].endswith("--unit db --nodata=-9999")


def test_degrees_become_metres_at_the_latitude(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transform = rasterio.Affine(0.001, 0, 10, 0, -0.001, 60.002)
    path = write(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), crs="EPSG:4326", transform=transform)
    metres = report(capsys, path)["ground_sample_distance"]
    assert metres == pytest.approx(np.sqrt(111.41 * 55.80), rel=1e-3)  # of the ellipsoid, along both axes


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_without_crs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), crs=None, transform=rasterio.Affine.identity())
    content = report(capsys, path)
    assert content["crs"] is None and content["ground_sample_distance"] is None
    assert any("declare ground_sample_distance" in hint for hint in content["hints"])


def test_a_nan_nodata_value_is_valid_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = report(capsys, write(tmp_path / "a.tif", np.full((1, 2, 2), np.nan, np.float32), nodata=np.nan))
    assert content["bands"][0]["nodata"] == "nan"
    assert any("every pixel of every band is nodata" in hint for hint in content["hints"])


def test_a_sensor_of_ones_own_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sensor = tmp_path / "mine.yaml"
    band = "{name: green, wavelength: 550, width: 40, mean: 0.1, std: 0.1}"
    sensor.write_text(f"name: mine\nground_sample_distance: 10\nbands: [{band}]\n")
    path = write(tmp_path / "a.tif", np.full((1, 2, 2), 0.1, np.float32), ["555 nm"])
    assert report(capsys, path, "--sensor", str(sensor))["verdicts"] == {"mine": "all"}


def test_quick_says_that_it_estimates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.tif", np.full((1, 2000, 8), 7, np.uint8))
    assert report(capsys, path, "--quick")["sampled"] is True
    assert report(capsys, path)["sampled"] is False


def test_the_table_speaks_of_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "scene.tif", np.full((20, 4, 4), 300, np.uint16), [f"x{i}" for i in range(20)])
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "EPSG:32633" in out and "4 more bands" in out and "sentinel2-l2a" in out
    assert main(["inspect", str(path), "--all"]) == 0
    assert "x19" in capsys.readouterr().out


def test_a_truncated_file_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 9000, (4, 200, 200), np.uint16)
    path = write(tmp_path / "a.tif", noise, compress="deflate")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert main(["inspect", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and str(path) in err and "truncated or damaged" in err
    assert err.count("\n") == 1


def test_what_is_no_raster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "words.tif"
    words.write_text("hello")
    for path, message in ((words, "is no raster"), (tmp_path, "is a folder"), (tmp_path / "no.tif", "no such file")):
        assert main(["inspect", str(path)]) == 2
        assert message in capsys.readouterr().err


def test_without_rasterio_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.tif", np.zeros((1, 4, 5), np.float32), ["red"])
    for library in ("rasterio", "tifffile"):  # the latter reads plain files
        monkeypatch.setitem(sys.modules, library, None)
    assert main(["inspect", str(tmp_path / "a.tif")]) == 2
    assert "pip install 'skyweave[geo]'" in capsys.readouterr().err


@pytest.mark.realdata
def test_enmap_by_wavelength_with_its_empty_bands(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = report(capsys, data_dir / "enmap_potsdam/images/enmap_potsdam_tile_128_96.tif")
    assert content["verdicts"]["enmap"] == "all"
    assert list(content["fit"]["enmap"]["bands"].values()) == list(range(1, 225))
    assert {name for name, verdict in content["verdicts"].items() if verdict != "no"} == {"enmap"}
    assert [band["number"] for band in content["bands"] if band["empty"]] == list(range(130, 136))
    assert any(hint.startswith("bands 130-135 hold nodata only") for hint in content["hints"])
    assert any("0.0001 * stored" in hint for hint in content["hints"])
    assert content["time"] == "2022-07-24T10:45:26Z"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("folder", "place", "unit"),
    [
        ("S2L1C", "282D", "dn_offset1000"),
        ("S2L1C", "433D", "dn_offset1000"),
        ("S2L1C", "38D", "dn"),
        ("S2L2A", "433D", "dn_offset1000"),
        ("S2L2A", "282D", None),
        ("S2L2A", "38D", None),
    ],
)
def test_the_baseline_offset_is_hinted_at(
    data_dir: Path, capsys: pytest.CaptureFixture[str], folder: str, place: str, unit: str | None
) -> None:
    path = next((data_dir / "s1_s2_terramesh" / folder).glob(f"{place}*.tif"))
    hints = [hint for hint in report(capsys, path)["hints"] if "baseline" in hint]
    assert [hint.rsplit(" ", 1)[1] for hint in hints] == ([unit] if unit else [])


@pytest.mark.realdata
def test_bigearthnet_files_are_matched_by_their_name(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted((data_dir / "s1_s2_bigearthnet").glob("S2*/*.tif"))
    assert len(paths) == 12
    found = set()
    for path in paths:
        content = report(capsys, path, "--sensor", "sentinel2-l2a")
        assert content["verdicts"]["sentinel2-l2a"] == "subset"
        found |= set(content["fit"]["sentinel2-l2a"]["bands"])
    assert len(found) == 12
    radar = next((data_dir / "s1_s2_bigearthnet").glob("S1*/*_VH.tif"))
    assert report(capsys, radar)["fit"]["sentinel1-grd"]["bands"] == {"vh": 1}


@pytest.mark.realdata
def test_real_files_fit_their_sensors(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = {
        "naip_5m/*2020*.tif": ("naip", "all", "tagged as alpha"),
        "s2_20m_bands/*.tif": ("sentinel2-l1c", "subset", ""),
        "s2_oscd/*_1_S2L1C_13bands.tif": ("sentinel2-l1c", "all", "no CRS or geotransform"),
        "neon_trees/images/SJER_003.tif": ("rgb", "all", "nodata is 255"),
        "uav_brighton_beach/images/DJI_0020.JPG": ("rgb", "all", "no CRS"),
        "s1_s2_terramesh/S1RTC/282D*.tif": ("sentinel1-rtc", "count", ""),
    }
    for pattern, (sensor, verdict, hint) in expected.items():
        content = report(capsys, next(data_dir.glob(pattern)))
        assert content["verdicts"][sensor] == verdict, pattern
        assert hint in " ".join(content["hints"]), pattern
