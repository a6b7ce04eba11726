"""A label belongs to the image whose path it names, never to another of the same file name."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_labels import write_raster
from skyweave.core.errors import ConfigError, DataError
from skyweave.downstream.labels.config import ImageSourceConfig
from skyweave.downstream.labels.image_files import ImageFiles, files_of_template, find_image_files, match_name
from skyweave.downstream.labels.matching import match_names

ROOT = Path("data")
TABLE = Path("labels.csv")


def files(*names: str, pattern: str | None = None) -> ImageFiles:
    return ImageFiles([ROOT / name for name in names], ROOT, pattern)


def matched(name: str, images: ImageFiles) -> str | None:
    path = match_names([name], images, TABLE).image_of.get(name)
    return None if path is None else images.relative(path)


TWO = files("images/a/t0.tif", "images/b/t0.tif", "images/b/t1.v2.tif")


@pytest.mark.parametrize(
    "name",
    [
        "images/a/t0.tif",
        "a/t0.tif",
        "a\\t0.tif",
        "./images/a/t0",
        "a/t0.png",
        "C:\\data\\images\\a\\t0.tif",
        "/home/x/data/images/a/t0.TIF",
        " a//t0.tif ",
    ],
)
def test_names_of_one_image(name: str) -> None:
    assert matched(name, TWO) == "images/a/t0.tif"


def test_names_that_hold_dots() -> None:
    assert matched("t1.v2", TWO) == matched("t1.v2.tif", TWO) == matched("t1.v2.png", TWO) == "images/b/t1.v2.tif"
    assert matched("t1", TWO) is None


def test_a_name_that_fits_two_images_is_refused() -> None:
    with pytest.raises(DataError, match=r"'t0\.tif' may be images/a/t0\.tif or images/b/t0\.tif; write the folders"):
        matched("t0.tif", TWO)
    with pytest.raises(DataError, match=r"'chips/t0\.tif' may be"):
        matched("chips/t0.tif", TWO)
    with pytest.raises(DataError, match=r"'t0' may be a/t0\.jpg or a/t0\.tif"):
        matched("t0", files("a/t0.jpg", "a/t0.tif"))
    assert matched("t0.jpg", files("a/t0.jpg", "a/t0.tif")) == "a/t0.jpg"


def test_other_folders_count_where_nothing_else_fits() -> None:
    images = files("images/t0.tif", "images/t1.tif")
    matching = match_names(["chips/t0.tif", "chips/t1.tif", "images/t1.tif", "chips/t2.tif"], images, TABLE)
    assert matching.by_file_name == {"chips/t0.tif": ROOT / "images/t0.tif"}
    assert matching.unmatched == ["chips/t1.tif", "chips/t2.tif"]  # images/t1.tif has a name of its folder
    with pytest.raises(DataError, match=r"'x/t0\.tif' and 'y/t0\.tif' may both be images/t0\.tif"):
        match_names(["x/t0.tif", "y/t0.tif"], images, TABLE)
    with pytest.raises(DataError, match=r"'x/t0\.tif' and 'y/t0\.tif' may both be t0\.tif"):
        match_names(["x/t0.tif", "y/t0.tif"], files("t0.tif"), TABLE)
    assert len(match_names(["t0.tif", "x/t0.tif", "z/x/t0"], files("t0.tif"), TABLE).image_of) == 3


PARTS = st.sampled_from(["a", "b", "c"])
PATHS = st.builds(lambda folders, name: "/".join([*folders, f"{name}.tif"]), st.lists(PARTS, max_size=3), PARTS)


@settings(max_examples=200, deadline=None)
@given(names=st.sets(PATHS, min_size=1, max_size=12), data=st.data())
def test_an_end_of_a_path_names_the_one_image_that_ends_so(names: set[str], data: st.DataObject) -> None:
    images = files(*sorted(names))
    parts = data.draw(st.sampled_from(sorted(names))).split("/")
    end = "/".join(parts[data.draw(st.integers(0, len(parts) - 1)) :])
    ending = [name for name in names if f"/{name}".endswith(f"/{end}")]
    exact = [name for name in ending if name == end]
    written = data.draw(st.sampled_from([end, end.replace("/", "\\"), end.removesuffix(".tif"), f"./{end}"]))
    if len(ending) == 1 or exact:
        assert matched(written, images) == (exact or ending)[0]
    else:
        with pytest.raises(DataError, match="may be"):
            matched(written, images)
    full = f"/home/somebody/data/{parts and '/'.join(parts)}"
    assert matched(full, images) == "/".join(parts)


def rasters(root: Path, *names: str) -> None:
    for name in names:
        write_raster(root / name, np.zeros((1, 4, 4), np.uint8))


def find(root: Path, pattern: str, name: str | None = None, **source: object) -> ImageFiles:
    return find_image_files(ImageSourceConfig("rgb", pattern, "uint8", **source), root, name)  # type: ignore[arg-type]


def test_a_companion_has_the_longest_path_that_there_is(tmp_path: Path) -> None:
    rasters(tmp_path, "images/a/t0.tif", "images/b/t0.tif", "images/b/t1.tif")
    rasters(tmp_path, "masks/a/t0.tif", "masks/b/t0.tif", "masks/t1.tif", "masks/t9.tif")
    images = find(tmp_path, "images/**/*.tif")
    companions = [images.companion("masks/{name}.tif", path).relative_to(tmp_path) for path in images.paths]
    assert [str(path) for path in companions] == ["masks/a/t0.tif", "masks/b/t0.tif", "masks/t1.tif"]
    assert len(files_of_template(tmp_path, "masks/{name}.tif")) == 4


def test_a_companion_of_two_images_is_refused_until_name_says_so(tmp_path: Path) -> None:
    rasters(tmp_path, "images/a/t0.tif", "images/b/t0.tif", "masks/t0.tif")
    images = find(tmp_path, "images/**/*.tif")
    message = r"masks/t0\.tif would serve images/a/t0\.tif and images/b/t0\.tif alike; .*such as .*masks/a/t0\.tif"
    with pytest.raises(DataError, match=message) as raised:
        images.companion("masks/{name}.tif", images.paths[0])
    images = find(tmp_path, "images/**/*.tif", str(raised.value).split("`name` with a slash: '")[1][:-1])
    assert images.companion("masks/{name}.tif", images.paths[0]) == tmp_path / "masks/t0.tif"
    (tmp_path / "masks/a").mkdir()
    rasters(tmp_path, "masks/a/t0.tif")
    images = find(tmp_path, "images/**/*.tif")
    with pytest.raises(DataError, match="would serve"):
        images.companion("masks/{name}.tif", images.paths[1])


def test_dates_of_one_place_share_a_mask_by_their_name(tmp_path: Path) -> None:
    rasters(tmp_path, "images/p1_2019.tif", "images/p1_2020.tif", "masks/p1.tif")
    images = find(tmp_path, "images/*.tif", "^(p[0-9])_")
    assert {images.companion("masks/{name}.tif", path) for path in images.paths} == {tmp_path / "masks/p1.tif"}
    assert list(images.sharing) == ["images/p1_2019.tif", "images/p1_2020.tif"]


def test_names_come_from_the_path_where_the_pattern_has_a_slash() -> None:
    assert match_name("^([a-z]+)_", Path("x/ab_1.tif"), "name") == "ab"
    assert match_name("([a-z]+)/[^/]*$", Path("x/ab_1.tif"), "name") == "x"
    with pytest.raises(DataError, match=r"name '\^q' does not match the file name 'ab_1\.tif'"):
        match_name("^q", Path("x/ab_1.tif"), "name")
    with pytest.raises(ConfigError, match=r"name '\(' is no regular expression"):
        match_name("(", Path("x/ab_1.tif"), "name")


def test_links_and_suffixes(tmp_path: Path) -> None:
    rasters(tmp_path, "elsewhere/t0.tif", "images/t1.tif", "images/t2.TIF", "images/._t1.tif")
    (tmp_path / "images/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images/copy.tif").symlink_to(tmp_path / "images/t1.tif")
    (tmp_path / "images/gone.tif").symlink_to(tmp_path / "images/nothing.tif")
    images = find(tmp_path, "images/**/*.tif")
    assert list(map(images.relative, images.paths)) == ["images/copy.tif", "images/linked/t0.tif"]
    assert images.left_out == {
        "links to an image that is there already": ["images/t1.tif"],
        "files that match 'images/**/*.tif' but for upper and lower case": ["images/t2.TIF"],
        "links to nothing": ["images/gone.tif"],
        "files below folders with the brackets of 'images/**/*.tif' in their names": [],
    }


@pytest.mark.parametrize("pattern", ["images/*.TIF", "site [1]/*.tif", "site [1]/*.TIF"])
def test_a_glob_that_matches_nothing_says_which_one_does(pattern: str, tmp_path: Path) -> None:
    rasters(tmp_path, "images/t1.tif", "site [1]/t2.tif")
    with pytest.raises(FileNotFoundError, match="no file matches") as raised:
        find(tmp_path, pattern)
    assert len(find(tmp_path, str(raised.value).split("; '")[1].split("' matches 1,")[0]).paths) == 1


def test_brackets_that_match_something_else_are_noted(tmp_path: Path) -> None:
    rasters(tmp_path, "site 1/t1.tif", "site [1]/t2.tif")
    images = find(tmp_path, "site [1]/*.tif")
    assert list(map(images.relative, images.paths)) == ["site 1/t1.tif"]
    assert ["site [1]/t2.tif"] in images.left_out.values()


def test_globs_that_are_none(tmp_path: Path) -> None:
    rasters(tmp_path, "t1.tif")
    with pytest.raises(DataError, match="absolute"):
        find(tmp_path, f"{tmp_path}/*.tif")
    with pytest.raises(FileNotFoundError, match="`exclude` leaves none of the 1 files"):
        find(tmp_path, "*.tif", exclude=["t*"])


def test_a_companion_may_have_its_suffix_in_capitals(tmp_path: Path) -> None:
    rasters(tmp_path, "images/t0.tif", "masks/t0.TIF", "masks/t1.tif")
    images = find(tmp_path, "images/*.tif")
    assert images.companion("masks/{name}.tif", images.paths[0]) == tmp_path / "masks/t0.TIF"
    assert len(files_of_template(tmp_path, "masks/{name}.tif")) == 2


def test_accents_are_the_same_in_one_character_or_two() -> None:
    decomposed = unicodedata.normalize("NFD", "images/fôret.tif")
    assert matched(unicodedata.normalize("NFC", "fôret.tif"), files(decomposed)) == decomposed
