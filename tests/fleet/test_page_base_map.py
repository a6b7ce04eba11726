"""What lies beneath the objects of the live page: rasters, XYZ tiles, and the fleet's own mosaic."""

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("zenoh", reason="needs skyweave[link]")
pytest.importorskip("rasterio", reason="needs skyweave[geo]")

import rasterio
from aiohttp import ClientSession
from pyproj import Transformer

from fabricated_page import box, scene, view
from skyweave.core.errors import FleetError
from skyweave.fleet.dashboard.base_map import EMPTY_TILE, BackgroundMap, TileArea
from skyweave.fleet.dashboard.mosaic_base_map import MosaicBaseMap
from skyweave.fleet.dashboard.open_base_map import open_base_map
from skyweave.fleet.dashboard.page_server import serve_in_background
from skyweave.fleet.dashboard.state import DashboardState
from skyweave.fleet.link.messages import CameraImage

CRS, EAST, NORTH = "EPSG:32632", 691_200.0, 5_334_016.0  # the north-west corner of a tile of 64 m


def write_raster(path: Path, crs: str = CRS, dtype: str = "uint8", bands: int = 3) -> Path:
    """Write 64 x 64 m at 1 m: red in the west, blue in the east; the northernmost row has no value."""
    values = np.full((3, 64, 64), 10.0)
    values[0, :, :32], values[2, :, 32:], values[1] = 200, 200, 50
    values[:, 0] = 0
    scale = 1 if dtype == "uint8" else 100
    transform = rasterio.Affine(1, 0, EAST, 0, -1, NORTH)
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": bands, "dtype": dtype, "transform": transform}
    with rasterio.open(path, "w", crs=crs or None, nodata=0, **profile) as target:
        target.write((values * scale)[:bands].astype(dtype))
    return path


def pixels(base_map: BackgroundMap, area: TileArea, crs: str | None = CRS) -> np.ndarray:
    with Image.open(io.BytesIO(base_map.tile(area, crs))) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def tile_at(level: int, east: float, north: float) -> TileArea:
    side = 256 * 2.0**level
    return TileArea(level, int(east // side), int(north // side))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_raster_lies_where_it_belongs(dtype: str, tmp_path: Path) -> None:
    ground = open_base_map(str(write_raster(tmp_path / "map.tif", dtype=dtype)), "somebody")
    content = ground.json_content(CRS)
    assert content is not None and content["credit"] == "somebody" and content["levels"] == (0, 0)
    np.testing.assert_allclose(content["bounds"], (EAST, NORTH - 64, EAST + 64, NORTH))
    shown = pixels(ground, tile_at(0, EAST + 1, NORTH - 1))
    column, row = int(EAST % 256), int(-NORTH % 256)
    assert shown[row + 30, column + 5, 0] > 150 > shown[row + 30, column + 5, 2]
    assert shown[row + 30, column + 60, 2] > 150 > shown[row + 30, column + 60, 0]
    assert shown[row + 30, column + 5, 3] == 255 and shown[row + 70, column + 5, 3] == 0
    assert ground.tile(TileArea(0, 0, 0), CRS) == EMPTY_TILE == ground.tile(TileArea(-3, 0, 0), CRS)
    assert ground.json_content(None) is None and ground.json_content("EPSG:1") is None


def test_rasters_of_other_systems_and_palettes(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "palette.tif", bands=1)
    with rasterio.open(path, "r+") as raster:
        raster.write_colormap(1, {50: (0, 0, 0, 255), 200: (10, 250, 20, 255)})
    shown = pixels(open_base_map(str(path)), tile_at(0, EAST + 1, NORTH - 1))
    assert (shown[int(-NORTH % 256) + 30, int(EAST % 256) + 5, :3] - (10, 250, 20)).max() < 12
    transform = rasterio.Affine(1e-4, 0, 11.566, 0, -1e-4, 48.133)
    profile = {"driver": "GTiff", "width": 50, "height": 50, "count": 1, "dtype": "float32", "transform": transform}
    with rasterio.open(tmp_path / "degrees.tif", "w", crs="EPSG:4326", **profile) as target:
        target.write(np.linspace(0, 1, 2500, dtype=np.float32).reshape(1, 50, 50))
    ground = open_base_map(str(tmp_path / "degrees.tif"))
    content = ground.json_content(CRS)
    assert content is not None and content["bounds"][0] < EAST < content["bounds"][2]
    assert pixels(ground, tile_at(2, EAST, NORTH))[..., 3].any()


def test_tiles_in_a_folder_are_warped_to_the_fleets_metres(tmp_path: Path) -> None:
    zoom, half = 18, 20_037_508.342789244
    east, north = Transformer.from_crs(CRS, "EPSG:3857", always_xy=True).transform(EAST + 32, NORTH - 32)
    side = 2 * half / 2**zoom
    column, row = int((east + half) // side), int((half - north) // side)
    for x in (column, column + 1):
        file = tmp_path / str(zoom) / str(x) / f"{row}.png"
        file.parent.mkdir(parents=True)
        Image.new("RGB", (256, 256), (200, 0, 0) if x == column else (0, 0, 200)).save(file)
    edge = Transformer.from_crs("EPSG:3857", CRS, always_xy=True).transform((column + 1) * side - half, north)
    ground = open_base_map(str(tmp_path))
    area = tile_at(-1, edge[0], edge[1])
    shown = pixels(ground, area)
    u, v = int((edge[0] - area.bounds[0]) * 2), int((area.bounds[3] - edge[1]) * 2)
    if u > 4:
        assert shown[v, u - 4, 0] > 150
    if u < 251:
        assert shown[v, u + 4, 2] > 150
    assert ground.tile(tile_at(-1, EAST + 5000, NORTH), CRS) == EMPTY_TILE
    assert ground.tile(area, "EPSG:1") == EMPTY_TILE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.tif", "cannot be read"),
        ("no_crs.tif", "no reference system"),
        ("empty", "holds no tiles"),
        ("https://example.org/{z}/{x}", "needs {z}, {x} and {y}"),
    ],
)
def test_base_maps_that_are_none_are_refused(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_raster(tmp_path / "no_crs.tif", crs="")
    with pytest.raises(FleetError, match=message):
        open_base_map(name if "{" in name else str(tmp_path / name))


def test_a_server_that_does_not_answer_leaves_the_page_dark() -> None:
    ground = open_base_map("http://127.0.0.1:9/{z}/{x}/{y}.png")
    assert ground.tile(tile_at(0, EAST, NORTH), CRS) == EMPTY_TILE


def test_the_mosaic_shows_what_cameras_see_where_it_is() -> None:
    """A camera looks straight down; the upper half of its image, in the north, is red, the lower one blue."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[:50], image[50:] = (220, 0, 0), (0, 0, 220)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95)
    camera = CameraImage("UAV_1", "CAM", stream.getvalue(), 100, 200)
    footprint = ((-20.0, -10.0), (20.0, -10.0), (20.0, 10.0), (-20.0, 10.0))
    seen = scene("UAV_1", 0.0, box("1", 0.0), views=(view(footprint=footprint),))
    mosaic = MosaicBaseMap()
    assert mosaic.json_content(CRS) is None and mosaic.tile(TileArea(-2, 0, 0), CRS) == EMPTY_TILE
    mosaic.add(camera, seen)
    content = mosaic.json_content(None)
    assert content is not None and content["bounds"] == (-64, -64, 64, 64) and content["version"] == 1
    north, south = pixels(mosaic, TileArea(-2, 0, 0)), pixels(mosaic, TileArea(-2, 0, -1))
    assert north[-10, 10, 0] > 150 and south[10, 10, 2] > 150 and north[100, 10, 3] == 0
    coarse = pixels(mosaic, TileArea(-1, 0, 0))
    assert coarse[-5, 5, 0] > 150 and coarse[0, 0, 3] == 0
    mosaic.add(CameraImage("UAV_1", "CAM", b"no image", 100, 200), seen)
    mosaic.add(camera, scene("UAV_1", 0.0, box("1", 0.0), views=(view(footprint=footprint, position=(1e8, 0.0, 1.0)),)))
    assert mosaic.json_content(None) == content


def test_the_page_serves_tiles(tmp_path: Path) -> None:
    state = DashboardState("test")
    state.on_scene(scene("UAV_1", 0.0), 0.0)
    area = tile_at(0, EAST + 1, NORTH - 1)

    async def ask(address: str) -> None:
        async with ClientSession() as session:
            for path, status in ((f"{area.level}/{area.column}/{area.row}", 200), ("0/0/0", 200), ("a/0/0", 404)):
                async with session.get(f"{address}ground/{path}") as answer:
                    assert answer.status == status
                    if status == 200:
                        assert answer.content_type == "image/webp"
                        assert (len(await answer.read()) > len(EMPTY_TILE)) == (path != "0/0/0")
            async with session.get(f"{address}state") as answer:
                assert (await answer.json())["ground"]["levels"] == [0, 0]

    ground = open_base_map(str(write_raster(tmp_path / "map.tif")))
    with serve_in_background(state, base_map=ground) as address:
        asyncio.run(ask(address))
