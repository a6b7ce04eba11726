"""What `skyweave embed` writes in any format gives the same vectors at the same places."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import rasterio

from skyweave.backbone import build_backbone
from skyweave.core.errors import DataError
from skyweave.core.sensors import get_sensor
from skyweave.embedding import EmbeddingConfig, embed_scene
from skyweave.search import PatchReader, build_archive, open_patches

SIDE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings of one scene with a hole, as GeoTIFF, Zarr and GeoParquet, in floats and in int8."""
    folder = tmp_path_factory.mktemp("formats")
    pixels = np.random.default_rng(0).integers(1, 255, (3, SIDE, SIDE), np.uint8)
    pixels[:, :8, :16] = 0
    place = rasterio.Affine(0.5, 0, 370_000, 0, -0.5, 5_800_000)
    profile = {"driver": "GTiff", "count": 3, "height": SIDE, "width": SIDE, "dtype": "uint8", "nodata": 0}
    with rasterio.open(folder / "scene.tif", "w", **profile, crs="EPSG:32633", transform=place) as target:
        target.write(pixels)
        target.descriptions = ("red", "green", "blue")
    encoder = build_backbone("tiny", seed=0, width=48, depth=1, heads=2).eval()
    for storage in ("float32", "int8"):
        for suffix in ("tif", "zarr", "parquet"):
            config = EmbeddingConfig(storage=storage)
            output = folder / f"{storage}.{suffix}"
            embed_scene(folder / "scene.tif", output, encoder, get_sensor("rgb"), unit="uint8", config=config)
    return folder


def read(reader: PatchReader) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and outlines, from north to south and west to east."""
    blocks = list(reader.blocks())
    positions = np.concatenate([block.positions for block in blocks])
    outlines = reader.places(positions).outlines(np.arange(len(positions)))
    centres = outlines.mean(1).round(7)
    order = np.lexsort((centres[:, 0], -centres[:, 1].round(5)))
    return np.concatenate([block.vectors for block in blocks])[order], outlines[order]


@pytest.mark.parametrize("suffix", ["zarr", "parquet"])
@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_every_format_gives_the_same_patches(folder: Path, suffix: str, storage: str) -> None:
    reference, other = open_patches(folder / "float32.tif"), open_patches(folder / f"{storage}.{suffix}")
    assert other.space == reference.space and other.tags["PATCH_SIZE"] == "8"
    (vectors, outlines), (expected, places) = read(other), read(reference)
    assert len(vectors) == SIDE**2 // 64 - 2
    np.testing.assert_allclose(outlines.mean(1), places.mean(1), atol=1e-8)
    np.testing.assert_allclose(vectors, expected, atol=1e-6 if storage == "float32" else 0.05)


def test_formats_are_searched_together(folder: Path) -> None:
    files = ["float32.tif", "int8.tif", "int8.zarr", "float32.parquet"]
    archive, doubts = build_archive([open_patches(folder / file) for file in files])
    assert len(archive.levels) == 4 * 62 and not doubts
    assert {archive.locate(int(number))[0].path for number in (0, 100, 150, 247)} == {str(folder / f) for f in files}


def test_what_is_no_table_of_embeddings_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="no Parquet file, or damaged"):
        open_patches(tmp_path / "damaged.parquet")
    parquet.write_table(pa.table({"name": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="is it a table of embeddings"):
        open_patches(tmp_path / "other.parquet")
    table = parquet.read_table(folder / "float32.parquet")
    written = parquet.read_metadata(folder / "float32.parquet").metadata
    geo = json.loads(written[b"geo"])
    geo["columns"]["geometry"]["crs"] = {"id": {"authority": "EPSG", "code": 32633}}
    metadata = {**written, b"geo": json.dumps(geo)}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "metres.parquet")
    with pytest.raises(DataError, match="not in longitude and latitude"):
        open_patches(tmp_path / "metres.parquet")


def test_what_is_no_store_of_embeddings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(DataError, match="no Zarr store"):
        open_patches(tmp_path / "empty.zarr")
