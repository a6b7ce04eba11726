"""Change is found where it is, chance is not called change, and grids that differ are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from fabricated_embeddings import ORIGIN, PATCH_M, write_embeddings
from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.search import open_patches
from skyweave.search.change import BulkNull, EmpiricalNull, control_false_discoveries, detect_change
from skyweave.search.change.pair import pair_dates

ROWS, COLUMNS, CHANNELS = 30, 40, 64


def two_dates(seed: int = 0, changed: object = None, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return features of two dates: ground, a season that moves all of it, noise, and other ground where it changed."""
    random = np.random.default_rng(seed)
    ground, season = random.normal(size=(CHANNELS, ROWS, COLUMNS)), random.normal(size=(CHANNELS, 1, 1))
    before = ground + noise * random.normal(size=ground.shape)
    after = ground + season + noise * random.normal(size=ground.shape)
    if changed is not None:
        after[:, *changed] = season + random.normal(size=after[:, *changed].shape)  # type: ignore[misc]
    return before, after


def write_dates(folder: Path, before: np.ndarray, after: np.ndarray) -> tuple[Path, Path]:
    return write_embeddings(folder / "before.tif", before), write_embeddings(folder / "after.tif", after)


def test_the_command_finds_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = np.s_[5:9, 10:16]
    dates = two_dates(changed=block)
    dates[0][:, 20, 20] = np.nan
    before, after = write_dates(tmp_path, *dates)
    arguments = ["change", str(before), str(after), "-o", str(tmp_path / "change.tif"), "--json"]
    assert main([*arguments, "--geojson", str(tmp_path / "change.geojson")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["patches"] == ROWS * COLUMNS - 1 and 24 <= printed["changed"] <= 30
    with rasterio.open(tmp_path / "change.tif") as source:
        distance, p_value, change = source.read()
        assert source.descriptions == ("distance", "p value", "change") and source.crs.to_epsg() == 32633
    assert (change[block] == 1).all() and np.isnan(change[20, 20]) and np.nansum(change) == printed["changed"]
    assert distance[change == 1].min() == pytest.approx(printed["threshold"])
    assert distance[change == 0].max() < printed["threshold"]
    assert p_value[block].max() < 1e-3
    largest = json.loads((tmp_path / "change.geojson").read_text())["features"][0]
    assert largest["properties"]["patches"] >= 24
    corners = np.array(largest["geometry"]["coordinates"][0])
    x, y = transform("OGC:CRS84", "EPSG:32633", *corners.T)
    columns, rows = (np.array(x) - ORIGIN[0]) / PATCH_M, (ORIGIN[1] - np.array(y)) / PATCH_M
    assert columns.min() == pytest.approx(10, abs=1e-3) and rows.max() == pytest.approx(9, abs=1e-3)


def test_chance_is_rarely_called_change(tmp_path: Path) -> None:
    alarms = 0
    for seed in range(12):
        before, after = write_dates(tmp_path, *two_dates(seed))
        change = detect_change(pair_dates(open_patches(before), open_patches(after)), 0.05)
        alarms += bool(change.changed.any())
    assert alarms <= 3  # 5 % expected


def test_false_discoveries_stay_below_their_rate(tmp_path: Path) -> None:
    shares = []
    for seed in range(5):
        before, after = write_dates(tmp_path, *two_dates(seed, np.s_[5:12, 10:20], noise=0.6))
        change = detect_change(pair_dates(open_patches(before), open_patches(after)), 0.2)
        _, _, marked = change.raster()
        true = np.zeros_like(marked)
        true[5:12, 10:20] = 1
        shares.append((marked * (1 - true)).sum() / max(marked.sum(), 1))
    assert np.mean(shares) < 0.25


def test_known_unchanged_ground_is_the_null(tmp_path: Path) -> None:
    before, after = write_dates(tmp_path, *two_dates(changed=np.s_[5:9, 10:16]))
    pair = pair_dates(open_patches(before), open_patches(after))
    ring = pair.places.outlines(np.array([15 * COLUMNS, 15 * COLUMNS + 39, 29 * COLUMNS + 39, 29 * COLUMNS])).mean(1)
    change = detect_change(pair, 0.2, [[ring]])
    assert isinstance(change.null, EmpiricalNull) and len(change.null.distances) > 400
    assert change.changed.sum() >= 24
    with pytest.raises(DataError, match="lie in the polygons of unchanged ground, too few"):
        detect_change(pair, 0.2, [[ring + 5]])


def test_conformal_p_values_are_never_zero() -> None:
    null = EmpiricalNull.fit(np.arange(200.0))
    np.testing.assert_allclose(null.p_values(np.array([-1, 100, 199, 999])), [1, 101 / 201, 2 / 201, 1 / 201])


def test_benjamini_hochberg() -> None:
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])
    assert p[control_false_discoveries(p, 0.05)].tolist() == [0.001, 0.008]
    assert not control_false_discoveries(np.full(5, 0.9), 0.05).any()
    assert control_false_discoveries(np.array([0.0, 0.9]), 0.05).tolist() == [True, False]


def test_a_bulk_that_is_not_log_normal_is_said() -> None:
    random = np.random.default_rng(0)
    assert not BulkNull.fit(np.exp(random.normal(size=5000))).doubts()
    two_humps = np.concatenate([random.uniform(0.01, 0.011, 2500), random.uniform(1, 1.1, 2500)])
    assert "--unchanged" in BulkNull.fit(two_humps).doubts()[0]
    with pytest.raises(DataError, match="too few"):
        BulkNull.fit(np.ones(5))
    with pytest.raises(DataError, match="of one date"):
        BulkNull.fit(np.zeros(500))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"origin": (ORIGIN[0] + 4, ORIGIN[1])}, "corners are up to 0.05 patches apart"),
        ({"crs": "EPSG:32632"}, "reference systems EPSG:32633 and EPSG:32632"),
        ({"FINGERPRINT": "ffff"}, "encoder ffff, abcd there"),
    ],
)
def test_other_grids_are_refused(
    tmp_path: Path, other: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = two_dates()
    first = write_embeddings(tmp_path / "before.tif", before)
    second = write_embeddings(tmp_path / "after.tif", after, **other)
    assert main(["change", str(first), str(second), "-o", str(tmp_path / "c.tif")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c.tif").exists()


def test_another_size_is_refused(tmp_path: Path) -> None:
    before, after = two_dates()
    first, second = write_dates(tmp_path, before, after[:, :-1])
    with pytest.raises(DataError, match="40 x 30 and 40 x 29 patches"):
        pair_dates(open_patches(first), open_patches(second))


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (-1, 0), (1, -1)])
def test_scenes_that_are_not_co_registered_are_doubted(tmp_path: Path, rows: int, columns: int) -> None:
    before, _ = two_dates(noise=0)
    first, second = write_dates(tmp_path, before, np.roll(before, (rows, columns), (1, 2)))
    pair = pair_dates(open_patches(first), open_patches(second))
    assert pair.best_shift()[0] == (rows, columns)
    assert f"moved by {-rows} rows and {-columns} columns" in pair.doubts[-1]
    assert not pair_dates(open_patches(first), open_patches(first)).doubts


def test_without_a_place_there_is_no_geojson(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = two_dates()
    files = [write_embeddings(tmp_path / f"{n}.tif", date, crs=None) for n, date in enumerate((before, after))]
    arguments = ["change", str(files[0]), str(files[1]), "-o", str(tmp_path / "c.tif")]
    assert main([*arguments, "--geojson", str(tmp_path / "c.geojson")]) == 2
    assert "gdal_edit.py" in capsys.readouterr().err and not (tmp_path / "c.tif").exists()
    assert main(arguments) == 0


def test_a_share_is_a_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["change", "a.tif", "b.tif", "-o", str(tmp_path / "c.tif"), "--false-discoveries", "5"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def test_one_file_is_no_two_dates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["change", "a.tif", "a.tif", "-o", str(tmp_path / "change.tif")]) == 2
    assert "a.tif is both BEFORE and AFTER" in capsys.readouterr().err
