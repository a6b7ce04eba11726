"""A mask's value at a place is what rasterio reads there, or the mask is refused."""

import shlex
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rio.main import main_group
from rasterio.transform import Affine
from rasterio.warp import transform

from skyweave.core.errors import DataError
from skyweave.data.header import read_header
from skyweave.downstream.labels.alignment import align
from skyweave.downstream.labels.config import ImageSourceConfig, LabelConfig
from skyweave.downstream.labels.image_files import ImageFiles, find_image_files
from skyweave.downstream.labels.kinds.masks import ValueMask
from skyweave.downstream.labels.readers.mask import MaskReader

SIDE = 0.5
EAST, NORTH = 4e5, 5e6


def write(path: Path, values: np.ndarray, affine: Affine | None, crs: str | None = "EPSG:32633") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
    georeference = {"transform": affine, "crs": crs} if affine is not None else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", "GTiff", **profile, **georeference) as target:
            target.write(values)
    return path


def grid(rows: int, side: float = SIDE, west: float = EAST, north: float = NORTH, south_up: bool = False) -> Affine:
    return Affine(side, 0, west, 0, side, north - rows * side) if south_up else Affine(side, 0, west, 0, -side, north)


def read_mask(root: Path, **config: object) -> np.ndarray:
    images = find_image_files(ImageSourceConfig("rgb", "images/*.tif", "uint8"), root)
    labels = LabelConfig("mask", "masks/{name}.tif", classes={0: "a", 1: "b", 2: "c"}, **config)  # type: ignore[arg-type]
    reader = MaskReader(labels, images)
    return reader.read(images.paths[0], None, read_header(images.paths[0]).shape).values


def run_rio(command: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a rotated grid, by rasterio's own dependency
        outcome = CliRunner().invoke(main_group, shlex.split(command)[1:])
    assert outcome.exit_code == 0, outcome.output


def value_at_centres(image: Path, mask: Path) -> np.ndarray:
    """The mask's pixel under the centre of each of the image's, by rasterio alone."""
    with rasterio.open(image) as on, rasterio.open(mask) as of:
        rows, columns = np.indices(on.shape)
        x, y = rasterio.transform.xy(on.transform, rows.ravel(), columns.ravel())
        places = zip(*transform(on.crs, of.crs, x, y), strict=True)
        return np.array([value[0] for value in of.sample(places)]).reshape(on.shape)


@dataclass(frozen=True)
class Case:
    rows: int
    columns: int
    image_south_up: bool
    mask_south_up: bool
    ratio: tuple[int, int]  # so many pixels of the mask to so many of the image
    margin: int  # pixels of the mask beyond the image, on every side
    mixed: bool
    crs: str
    shift: float  # pixels of the image

    @property
    def block(self) -> int:
        return self.ratio[0]

    @property
    def repeat(self) -> int:
        return self.ratio[1]

    @property
    def is_refused(self) -> bool:
        """Whether no flip, crop or repetition of whole pixels can put it there."""
        pixels = self.shift * self.block  # of the mask
        return min(self.ratio) > 1 or self.margin < 0 or abs(pixels - round(pixels)) / self.block > 0.1


CASES = st.builds(
    Case,
    *[st.integers(2, 7)] * 2,
    *[st.booleans()] * 2,
    ratio=st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2), (1, 5), (2, 5)]),
    margin=st.sampled_from([0, 0, 1, 3, -1]),
    mixed=st.booleans(),
    crs=st.sampled_from(["EPSG:32633", "EPSG:32633", "EPSG:25833", "+proj=utm +zone=33 +datum=WGS84"]),
    shift=st.sampled_from([0.0, 0.0, 1e-4, 0.2, 0.3]),
)


@settings(max_examples=60, deadline=None)
@given(case=CASES, seed=st.integers(0, 9))
def test_the_label_at_a_place_is_what_rasterio_reads_there(
    case: Case, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("case")
    rows, columns = case.rows * case.repeat, case.columns * case.repeat
    image = write(
        root / "images/a.tif", np.zeros((3, rows, columns), np.uint8), grid(rows, south_up=case.image_south_up)
    )
    side = SIDE * case.repeat / case.block
    shape = (
        case.rows * case.block + 2 * case.margin * case.block,
        case.columns * case.block + 2 * case.margin * case.block,
    )
    if min(shape) < 1:
        return
    values = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    if case.block > 1 and not case.mixed:
        values = np.kron(values[:: case.block, :: case.block], np.ones((case.block,) * 2, np.uint8))
    west = EAST - case.margin * case.block * side + case.shift * SIDE
    north = NORTH + case.margin * case.block * side
    mask = write(root / "masks/a.tif", values[None], grid(shape[0], side, west, north, case.mask_south_up), case.crs)
    is_uniform = case.block == 1 or (case.shift < 0.1 and _uniform(values, case.block))
    if case.is_refused:
        with pytest.raises(DataError, match=r"masks/a\.tif does not lie on the grid of .*images/a\.tif: it covers x"):
            read_mask(root)
        return
    try:
        read = read_mask(root)
    except DataError:
        assert not is_uniform
    else:
        np.testing.assert_array_equal(read, value_at_centres(image, mask))


def _uniform(values: np.ndarray, block: int) -> bool:
    blocks = values.reshape(values.shape[0] // block, block, -1, block)
    return bool((blocks == blocks[:, :1, :, :1]).all())


@pytest.mark.parametrize(
    ("affine", "crs", "message"),
    [
        (grid(8, west=EAST + 5000), "EPSG:32633", "they share no ground: name the file that goes with the image"),
        (grid(8, west=EAST + 5000), "EPSG:32634", "they share no ground"),
        (grid(8, SIDE / 2), "EPSG:32633", "rio warp"),
        (grid(8, SIDE * 0.75), "EPSG:32633", "rio warp"),
        (grid(8, west=EAST + 1), "EPSG:32633", "rio warp"),
        (Affine(0.3, 0.4, EAST, 0.4, -0.3, NORTH), "EPSG:32633", "rio warp"),
        (Affine(6.4e-6, 0, 13.727967, 0, -4.5e-6, 45.146393), "EPSG:4326", "rio warp"),
    ],
)
def test_what_lies_elsewhere_is_refused_and_the_remedy_works(
    affine: Affine, crs: str, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "images/a.tif", np.zeros((3, 8, 8), np.uint8), grid(8))
    write(tmp_path / "masks/a.tif", np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 3, affine, crs)
    with pytest.raises(DataError, match=message) as raised:
        read_mask(tmp_path)
    if "rio warp" in message:
        command = str(raised.value).split("`")[1]
        run_rio(command)
        (tmp_path / "masks/a_aligned.tif").replace(tmp_path / "masks/a.tif")
        values = read_mask(tmp_path)
        assert set(np.unique(values)) <= {0, 1, 2, 255}
        assert (values != 255).any()


def test_pixels_that_differ_inside_one_of_the_image_are_refused_and_the_remedy_works(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", np.zeros((3, 4, 4), np.uint8), grid(4))
    values = np.zeros((1, 8, 8), np.uint8)
    values[0, 0, :3] = 1
    write(tmp_path / "masks/a.tif", values, grid(8, SIDE / 2))
    with pytest.raises(DataError, match=r"smaller pixels than .*, and those that are one pixel of it differ") as raised:
        read_mask(tmp_path)
    run_rio(str(raised.value).split("`")[1])
    (tmp_path / "masks/a_aligned.tif").replace(tmp_path / "masks/a.tif")
    assert read_mask(tmp_path).shape == (4, 4)


def test_without_a_georeference_the_shape_counts(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 3
    write(tmp_path / "images/a.tif", np.zeros((3, 8, 8), np.uint8), grid(8, south_up=True))
    write(tmp_path / "masks/a.tif", values, None)
    np.testing.assert_array_equal(read_mask(tmp_path), values[0])
    write(tmp_path / "masks/a.tif", values[:, :4], None)
    with pytest.raises(DataError, match="has 4 x 8 pixels, its image 8 x 8"):
        read_mask(tmp_path)
    write(tmp_path / "masks/a.tif", values[:, ::-1].copy(), grid(8), None)  # a world file without reference system
    np.testing.assert_array_equal(read_mask(tmp_path), values[0])


def test_longitude_first_under_two_names(tmp_path: Path) -> None:
    affine = Affine(1e-5, 0, 13, 0, -1e-5, 45)
    image = write(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint8), affine, "EPSG:4326")
    mask = write(tmp_path / "b.tif", np.zeros((1, 8, 8), np.uint8), affine, "OGC:CRS84")
    alignment = align(read_header(mask), read_header(image), "nearest", "255")
    values = np.arange(64).reshape(8, 8)
    np.testing.assert_array_equal(values if alignment is None else alignment.apply(values), values)


def test_masks_of_several_bands_need_one_to_be_named(tmp_path: Path) -> None:
    values = np.stack([np.full((8, 8), number, np.uint8) for number in (1, 2, 0)])
    write(tmp_path / "images/a.tif", np.zeros((3, 8, 8), np.uint8), grid(8))
    write(tmp_path / "masks/a.tif", values, grid(8))
    with pytest.raises(DataError, match=r"has 3 bands, and a mask has one.*labels\.band: 1"):
        read_mask(tmp_path)
    assert (read_mask(tmp_path, band=2) == 2).all()
    with pytest.raises(DataError, match=r"has 3 bands, so labels.band: 4 is none of them"):
        read_mask(tmp_path, band=4)


def test_a_second_date_is_not_resampled(tmp_path: Path) -> None:
    image = read_header(write(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint8), grid(8)))
    coarse = read_header(write(tmp_path / "b.tif", np.zeros((3, 4, 4), np.uint8), grid(4, 2 * SIDE)))
    assert align(coarse, image, "nearest", "255") is not None
    with pytest.raises(DataError, match="--resampling bilinear"):
        align(coarse, image, "bilinear", "0", same_pixels=True)


def test_one_mask_may_serve_images_that_lie_in_it(tmp_path: Path) -> None:
    values = np.arange(96, dtype=np.uint8).reshape(1, 8, 12)
    write(tmp_path / "all.tif", values, grid(8))
    for number in range(3):
        write(tmp_path / f"images/{number}.tif", np.zeros((3, 8, 4), np.uint8), grid(8, west=EAST + number * 4 * SIDE))
    images = ImageFiles(sorted((tmp_path / "images").iterdir()), tmp_path)
    reader = MaskReader(LabelConfig("mask", "all.tif"), images)
    read = [reader.read(path, None, (8, 4)).values for path in images.paths]
    np.testing.assert_array_equal(np.concatenate(read, 1), values[0])


def test_what_a_mask_says_is_no_value_has_no_label(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", np.zeros((3, 4, 4), np.uint8), grid(4))
    values = np.array([[0, 1, 2, 1]] * 4, np.uint8)
    images = ImageFiles([tmp_path / "images/a.tif"], tmp_path)

    def valid(config: LabelConfig) -> list[bool]:
        reader = MaskReader(config, images)
        return list(reader.read(images.paths[0], None, (4, 4)).valid[0])

    classes = LabelConfig("mask", "masks/{name}.tif", classes={0: "a", 1: "b"})
    mask = write(tmp_path / "masks/a.tif", values[None], grid(4))
    with rasterio.open(mask, "r+") as target:
        target.nodata = 2
    assert valid(classes) == [True, True, False, True]
    with rasterio.open(mask, "r+") as target:
        target.nodata = 1
    assert valid(classes) == [True, True, True, True]
    noted = MaskReader(classes, images).left_out()["masks whose nodata is a class, and counts as that"]
    assert noted == ["masks/a.tif"]
    write(mask, np.stack([values, np.where(values == 1, 0, 255).astype(np.uint8)]), grid(4))
    with rasterio.open(mask, "r+") as target:
        target.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
    assert valid(LabelConfig("mask", "masks/{name}.tif", classes={0: "a", 1: "b"}, band=1)) == [
        True,
        False,
        True,
        False,
    ]


def test_values_are_what_the_tags_make_of_them(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", np.zeros((3, 4, 4), np.uint8), grid(4))
    mask = write(tmp_path / "masks/a.tif", np.full((1, 4, 4), 250, np.uint8), grid(4))
    with rasterio.open(mask, "r+") as target:
        target.scales, target.offsets = (0.1,), (-2.0,)
    config = LabelConfig("mask", "masks/{name}.tif")
    images = ImageFiles([tmp_path / "images/a.tif"], tmp_path)
    stored = MaskReader(config, images).read(images.paths[0], None, (4, 4))
    np.testing.assert_allclose(ValueMask().parse(stored, config, "a"), 23)


def test_systems_without_a_known_relation_are_named(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", np.zeros((3, 4, 4), np.uint8), grid(4))
    write(tmp_path / "masks/a.tif", np.zeros((1, 4, 4), np.uint8), grid(4), 'LOCAL_CS["site",UNIT["metre",1]]')
    with pytest.raises(DataError, match=r"'site' and 'WGS 84 / UTM zone 33N' have no known relation") as raised:
        read_mask(tmp_path)
    run_rio(str(raised.value).split("`")[1])
    assert (read_mask(tmp_path) == 0).all()


def test_masks_may_lie_outside_the_data_folder(tmp_path: Path) -> None:
    write(tmp_path / "data/images/a.tif", np.zeros((3, 4, 4), np.uint8), grid(4))
    for name in "ab":
        write(tmp_path / f"masks/{name}.tif", np.zeros((1, 4, 4), np.uint8), grid(4))
    images = ImageFiles([tmp_path / "data/images/a.tif"], tmp_path / "data")
    config = LabelConfig("mask", f"{tmp_path}/masks/{{name}}.tif", classes={0: "a", 1: "b"})
    assert MaskReader(config, images).left_out()["masks without an image"] == [f"{tmp_path}/masks/b.tif"]
