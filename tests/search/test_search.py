"""Search is exact, its places are where the patches lie, and what cannot be compared is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform

from fabricated_embeddings import ORIGIN, PATCH_M, clustered_features, write_embeddings
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.search import build_archive, load_archive, open_patches, point_example, save_archive, search_exact
from skyweave.search.archive import PatchArchive
from skyweave.search.exact import largest
from skyweave.search.hits import collect_hits, write_hits
from skyweave.search.places import GridPlaces, OutlinePlaces, points_in_rings
from skyweave.search.ranking import RANKINGS, CentroidRanking, NearestRanking

ROWS, COLUMNS = 9, 12


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    features, _ = clustered_features(ROWS, COLUMNS)
    features[:, 2, 3] = np.nan
    return write_embeddings(tmp_path / "features.tif", features)


@pytest.fixture
def archive(embeddings: Path) -> PatchArchive:
    return build_archive([open_patches(embeddings)])[0]


def degrees_of(row: float, column: float) -> tuple[float, float]:
    """Longitude and latitude of a place in the fabricated grid."""
    x, y = ORIGIN[0] + column * PATCH_M, ORIGIN[1] - row * PATCH_M
    longitude, latitude = transform("EPSG:32633", "OGC:CRS84", [x], [y])
    return longitude[0], latitude[0]


def test_a_search_by_point_gives_the_stripe_that_it_lies_in(archive: PatchArchive) -> None:
    assert len(archive.levels) == ROWS * COLUMNS - 1  # one patch has no features
    example = point_example(archive, *degrees_of(4.5, 6.2))
    ranking = CentroidRanking(example.vectors, np.zeros((0, 12)))
    hits = collect_hits(archive, lambda n: search_exact(archive, ranking, n, example.numbers), 10)
    assert all(4 <= hit.names["column"] < 8 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert (4, 6) not in [(hit.names["row"], hit.names["column"]) for hit in hits]


def test_scores_are_cosines_of_the_centred_vectors(embeddings: Path, archive: PatchArchive) -> None:
    with rasterio.open(embeddings) as source:
        vectors = source.read().reshape(12, -1).T
    vectors = vectors[np.isfinite(vectors[:, 0])]
    centred = vectors - vectors.mean(0)
    units = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    ranking = CentroidRanking(archive.decode(np.array([5])), np.zeros((0, 12)))
    cosines = units @ units[5]
    order = np.argsort(archive.locate(0)[0].places.cells)  # type: ignore[attr-defined]
    assert list(order) == list(range(len(vectors)))
    matches = search_exact(archive, ranking, len(vectors))
    np.testing.assert_allclose(matches.scores, cosines[matches.numbers], atol=0.01)


@given(seed=st.integers(0, 1000), count=st.integers(0, 60), patches=st.integers(1, 3000))
@settings(max_examples=25, deadline=None)
def test_exact_search_equals_brute_force_on_the_same_levels(seed: int, count: int, patches: int) -> None:
    random = np.random.default_rng(seed)
    levels = random.integers(-127, 128, (patches, 7), np.int8)
    scales = random.uniform(0.1, 2, 7).astype(np.float32)
    lengths = np.linalg.norm(levels * scales, axis=1).astype(np.float32)
    archive = PatchArchive(None, levels, lengths, np.zeros(7), scales, ())  # type: ignore[arg-type]
    examples = random.normal(size=(3, 7))
    for ranking in (CentroidRanking(examples[:2], examples[2:]), NearestRanking(examples[:2], examples[2:])):
        units = (levels.astype(np.float64) * scales) / np.maximum(lengths, 1e-30)[:, None]
        expected = ranking.combine(units @ ranking.directions.T)
        matches = search_exact(archive, ranking, count)
        assert len(matches.numbers) == min(count, patches)
        np.testing.assert_allclose(matches.scores, np.sort(expected)[::-1][:count], atol=1e-5)
        np.testing.assert_allclose(matches.scores, expected[matches.numbers], atol=1e-5)


def test_negative_examples_push_their_kind_back(archive: PatchArchive) -> None:
    good = point_example(archive, *degrees_of(1.5, 1.5))
    other = point_example(archive, *degrees_of(1.5, 10.5))
    for name in RANKINGS:
        plain = search_exact(archive, RANKINGS[name](good.vectors, np.zeros((0, 12))), 200)
        both = search_exact(archive, RANKINGS[name](good.vectors, other.vectors), 200)
        bad = int(other.numbers[0])
        assert both.scores[list(both.numbers).index(bad)] < plain.scores[list(plain.numbers).index(bad)]
        columns = [archive.locate(int(number))[0].places.describe(int(number))["column"] for number in both.numbers]
        assert max(columns[:20]) < 4  # the stripe of the positive example


def test_an_index_file_answers_as_the_embeddings_do(archive: PatchArchive, tmp_path: Path) -> None:
    save_archive(archive, tmp_path / "index.safetensors")
    loaded = load_archive(tmp_path / "index.safetensors")
    assert isinstance(loaded.levels, np.memmap) and np.array_equal(loaded.levels, archive.levels)
    assert point_example(loaded, *degrees_of(4.5, 6.2)).numbers == point_example(archive, *degrees_of(4.5, 6.2)).numbers
    np.testing.assert_array_equal(loaded.outlines(np.arange(9)), archive.outlines(np.arange(9)))


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"\xff" * 8 + b[8:], lambda b: b[:4], lambda b: b""])
def test_a_damaged_index_is_refused(archive: PatchArchive, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "index.safetensors"
    save_archive(archive, file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="no archive of patches, or it is damaged"):
        load_archive(file)


def test_weights_are_no_index(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    weights = repository / "src" / "skyweave" / "weights" / "tiny.safetensors"
    assert main(["search", str(weights), "--point", "13", "52"]) == 2
    assert "no archive of patches" in capsys.readouterr().err


def test_embeddings_of_two_encoders_are_refused(embeddings: Path, tmp_path: Path) -> None:
    features, _ = clustered_features(3, 3)
    other = write_embeddings(tmp_path / "other.tif", features, FINGERPRINT="ffff")
    with pytest.raises(DataError, match="encoder ffff, abcd there"):
        build_archive([open_patches(embeddings), open_patches(other)])
    narrow = write_embeddings(tmp_path / "narrow.tif", features[:4])
    with pytest.raises(DataError, match="4 channels, 12 there"):
        build_archive([open_patches(embeddings), open_patches(narrow)])


def test_doubts_are_said(embeddings: Path, tmp_path: Path) -> None:
    features, _ = clustered_features(3, 3)
    other = write_embeddings(tmp_path / "other.tif", features, SENSOR="landsat8-l2", GSD="30")
    archive, doubts = build_archive([open_patches(embeddings), open_patches(other)])
    assert any("sensors differ" in doubt for doubt in doubts) and any("10 m" in doubt for doubt in doubts)
    assert archive.locate(ROWS * COLUMNS - 1)[0].path == str(other)


def test_integers_are_decoded_by_scale_and_offset(embeddings: Path, tmp_path: Path) -> None:
    with rasterio.open(embeddings) as source:
        values, profile, tags = source.read(), dict(source.profile), source.tags()
    stored = np.where(np.isfinite(values), np.round((values - 5) / 0.05), -128).clip(-128, 127).astype(np.int8)
    profile |= {"dtype": "int8", "nodata": -128}
    with rasterio.open(tmp_path / "int8.tif", "w", **profile) as target:
        target.write(stored)
        target.scales, target.offsets = (0.05,) * 12, (5.0,) * 12
        target.update_tags(**tags)
    whole = np.concatenate([block.vectors for block in open_patches(embeddings).blocks()])
    decoded = np.concatenate([block.vectors for block in open_patches(tmp_path / "int8.tif").blocks()])
    np.testing.assert_allclose(decoded, whole, atol=0.03)


def grid(cells: Any = None, affine: Any = (PATCH_M, 0, ORIGIN[0], 0, -PATCH_M, ORIGIN[1])) -> GridPlaces:
    numbers = np.arange(ROWS * COLUMNS) if cells is None else cells
    return GridPlaces(numbers, (ROWS, COLUMNS), affine, "EPSG:32633")


@pytest.mark.parametrize("flip", [1, -1])
def test_the_centre_of_every_outline_lies_in_its_patch(flip: int) -> None:
    places = grid(affine=(PATCH_M, 0, ORIGIN[0], 0, flip * PATCH_M, ORIGIN[1]))
    outlines = places.outlines(np.arange(ROWS * COLUMNS))
    following = np.roll(outlines, -1, axis=1)
    areas = (outlines[..., 0] * following[..., 1] - following[..., 0] * outlines[..., 1]).sum(1)
    assert (areas > 0).all()  # counter-clockwise, as RFC 7946 wants
    table = OutlinePlaces(outlines)
    for number in (0, 7, 50, ROWS * COLUMNS - 1):
        centre = outlines[number].mean(0)
        assert places.at(*centre) == number and table.at(*centre) == number
    assert places.at(0, 0) is None and table.at(0, 0) is None


def test_a_polygon_holds_the_patches_whose_centres_it_holds() -> None:
    west, north = degrees_of(1.9, 2.9)
    east, south = degrees_of(4.1, 6.1)
    ring = np.array([[west, north], [east, north], [east, south], [west, south], [west, north]])
    numbers = grid().inside([ring])
    assert sorted(divmod(int(number), COLUMNS) for number in numbers) == [(r, c) for r in (2, 3) for c in (3, 4, 5)]
    table = OutlinePlaces(grid().outlines(np.arange(ROWS * COLUMNS)))
    assert set(table.inside([ring])) == set(numbers)
    hole = ring * 0.5 + ring[:4].mean(0) * 0.5
    assert len(grid().inside([ring, hole])) < len(numbers)
    assert len(grid().inside([ring + 3])) == 0


def test_even_odd_rule() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
    inner = np.array([[1, 1], [3, 1], [3, 3], [1, 3]])
    points = np.array([[0.5, 0.5], [2, 2], [5, 2], [3.5, 3.5]])
    assert points_in_rings(points, [square, inner]).tolist() == [True, False, False, True]


def test_hits_keep_their_distance(archive: PatchArchive) -> None:
    ranking = CentroidRanking(archive.decode(np.array([0])), np.zeros((0, 12)))
    hits = collect_hits(archive, lambda n: search_exact(archive, ranking, n), 6, spacing=2.5 * PATCH_M)
    places = np.array([(hit.names["row"], hit.names["column"]) for hit in hits])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(len(hits), 1)]
    assert len(hits) == 6 and gaps.min() >= 2.49
    assert hits[0].names == {"row": 0, "column": 0}


def test_largest_prefers_the_first_of_equals() -> None:
    assert largest(np.array([1.0, 3.0, 3.0, 3.0, 0.0]), 2).tolist() == [1, 2]
    assert largest(np.zeros(0), 3).tolist() == []


def test_an_example_without_a_direction_is_refused() -> None:
    with pytest.raises(DataError, match="give another example"):
        CentroidRanking(np.zeros((1, 4)), np.zeros((0, 4)))


def test_the_approximate_search_gives_nearly_the_exact_hits(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    from skyweave.search.approximate import build_index, load_index

    features, _ = clustered_features(40, 50, seed=2)
    archive, _ = build_archive([open_patches(write_embeddings(tmp_path / "f.tif", features))])
    index = build_index(archive, threads=1)
    index.save(tmp_path / "f.usearch")
    loaded, none = load_index(tmp_path / "f.usearch", archive), np.zeros((0, 12))
    examples = archive.decode(np.array([3, 900])), archive.decode(np.array([1940]))
    for ranking in (CentroidRanking(*examples), NearestRanking(examples[0], none)):
        exact = search_exact(archive, ranking, 20, np.array([3]))
        for graph in (index, loaded):
            matches = graph.search(ranking, 20, np.array([3]))
            assert len(set(matches.numbers) & set(exact.numbers)) >= 16 and 3 not in matches.numbers
    (tmp_path / "f.usearch").write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        load_index(tmp_path / "f.usearch", archive)


def write_scene(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (3, ROWS * 8, COLUMNS * 8), np.uint8)
    profile = {"driver": "GTiff", "count": 3, "height": ROWS * 8, "width": COLUMNS * 8, "dtype": "uint8"}
    place = rasterio.Affine(10, 0, ORIGIN[0], 0, -10, ORIGIN[1])
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=place) as target:
        target.write(pixels)
    return path


def test_the_command_writes_hits_and_a_sheet(
    embeddings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    scene, (longitude, latitude) = write_scene(tmp_path / "scene.tif"), degrees_of(4.5, 6.2)
    corners = [degrees_of(row, column) for row, column in ((1, 5), (1, 7), (3, 7), (3, 5), (1, 5))]
    area = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [corners]}, "properties": {}}
    (tmp_path / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [area]}))
    far = degrees_of(2.5, 10.5)
    arguments = ["search", str(embeddings), "--point", str(longitude), str(latitude), "-n", "7", "--json"]
    arguments += ["--area", str(tmp_path / "area.geojson"), "--not-point", str(far[0]), str(far[1])]
    arguments += ["-o", str(tmp_path / "hits.geojson"), "--sheet", str(tmp_path / "hits.png"), "--scene", str(scene)]
    arguments += ["--scene-bands", "3,2,1", "--save-index", str(tmp_path / "index.safetensors")]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    content = json.loads((tmp_path / "hits.geojson").read_text())
    assert [feature["properties"]["rank"] for feature in content["features"]] == list(range(1, 8))
    assert printed["hits"][0]["score"] == content["features"][0]["properties"]["score"]
    assert all(4 <= feature["properties"]["column"] < 8 for feature in content["features"])
    with rasterio.open(embeddings) as source:
        first = content["features"][0]
        x, y = transform("OGC:CRS84", source.crs, *np.array(first["geometry"]["coordinates"][0]).mean(0)[:, None])
        row, column = source.index(x[0], y[0])
        assert (row, column) == (first["properties"]["row"], first["properties"]["column"])
    with Image.open(tmp_path / "hits.png") as sheet:
        assert sheet.width > 900
    again = ["search", str(tmp_path / "index.safetensors"), *arguments[2:7], "--json"]
    assert main(again) == 0
    assert json.loads(capsys.readouterr().out)["searched"] == ROWS * COLUMNS - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to search for"),
        (["--image", "x.tif"], "needs --sensor and --unit"),
        (["--point", "13", "52", "--sheet", "x.png"], "needs --scene"),
        (["--point", "0", "0"], "no patch of the archive lies at 0 0"),
        (["--point", "13", "52", "--ranking", "centriod"], "did you mean 'centroid'?"),
        (["--point", "13", "52", "-n", "0"], "give 1 or more"),
    ],
)
def test_mistakes_are_one_line(
    embeddings: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(embeddings), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_file_without_a_place_says_what_helps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features, _ = clustered_features(3, 3)
    file = write_embeddings(tmp_path / "f.tif", features, crs=None)
    assert main(["search", str(file), "--point", "13", "52"]) == 2
    assert "gdal_edit.py -a_srs" in capsys.readouterr().err


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.xyz").write_text("")
    with pytest.raises(ConfigError, match=r"no format of embeddings has the suffix '.xyz'"):
        open_patches(tmp_path / "f.xyz")
    with pytest.raises(FileNotFoundError):
        open_patches(tmp_path / "g.tif")


def test_an_outline_across_the_antimeridian_is_cut(archive: PatchArchive, tmp_path: Path) -> None:
    from skyweave.search.hits import Hit

    outline = np.array([[179.9, 0.0], [-179.9, 0.0], [-179.9, 1.0], [179.9, 1.0]])
    write_hits(tmp_path / "h.geojson", [Hit(1, 0.5, "f.tif", {"row": 1}, outline, {})], "cosine")
    geometry = json.loads((tmp_path / "h.geojson").read_text())["features"][0]["geometry"]
    assert geometry["type"] == "MultiPolygon" and len(geometry["coordinates"]) == 2
