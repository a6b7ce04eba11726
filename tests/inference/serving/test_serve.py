"""Tiles show what a file holds where it lies; the page's server gives nothing else; QGIS gets the same colours."""

import asyncio
import io
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import warnings
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform

from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.http_server import serve_in_thread
from skyweave.inference.serving import class_colour, open_layers, render_tile, write_qgis_project
from skyweave.inference.serving.layers import MapLayer
from skyweave.inference.serving.map_server import MapServer
from skyweave.inference.serving.styles import FeatureStyle, RampStyle

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
COLOURS_OF_TILES = """(() => {
  const colours = new Set();
  for (const tile of maps[1].tiles.values()) {
    const canvas = new OffscreenCanvas(256, 256), context = canvas.getContext("2d");
    context.drawImage(tile, 0, 0, 256, 256);
    const { data } = context.getImageData(0, 0, 256, 256);
    const digits = (at) => data[at].toString(16).padStart(2, "0");
    for (let i = 0; i < data.length; i += 4)
      if (data[i + 3] === 255) colours.add("#" + digits(i) + digits(i + 1) + digits(i + 2));
  }
  return [...colours];
})()"""
PATIENCE_S = 120  # of what a page does at once: a loaded machine takes its time
SIDE, ZOOM = 64, 15
PLACE = rasterio.Affine(10, 0, 5e5, 0, -10, 5.3e6)
CLASSES = ("water", "forest", "town")


def write(
    path: Path, values: np.ndarray, tags: dict[str, str], names: dict[str, str] | None = None, **more: Any
) -> Path:
    profile = {"driver": "GTiff", "count": len(values), "height": SIDE, "width": SIDE, "dtype": values.dtype}
    with rasterio.open(path, "w", **(profile | {"crs": "EPSG:32632", "transform": PLACE} | more)) as target:
        target.write(values)
        target.update_tags(**tags)
        target.update_tags(1, **(names or {}))
        if "READOUT" in tags and "probabilities" in tags["READOUT"]:
            target.descriptions = CLASSES
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (8, SIDE, SIDE)).astype(np.float32)
    features[:, :, : SIDE // 2] += 6
    features[:, :8] = np.nan
    classes = np.zeros((1, SIDE, SIDE), np.uint8)
    classes[0, :, SIDE // 2 :] = 2
    classes[0, 0] = 255
    named = {f"CLASS_{number}": name for number, name in enumerate(CLASSES)}
    shares = np.stack([np.full((SIDE, SIDE), share, np.float32) for share in (0.0, 0.25, 1.0)])
    write(tmp_path / "features.tif", features, {"READOUT": "dense, last block, normalised"}, nodata=np.nan)
    write(tmp_path / "land.tif", classes, {"READOUT": "segmentation, classes"}, named, nodata=255)
    write(tmp_path / "shares.tif", shares, {"READOUT": "segmentation, probabilities"})
    write(tmp_path / "scene.tif", random.integers(0, 3000, (4, SIDE, SIDE)).astype(np.uint16), {})
    return tmp_path


def find_tile(layer: MapLayer) -> tuple[int, int]:
    west, south, east, north = layer.bounds
    tile = morecantile.tms.get("WebMercatorQuad").tile((west + east) / 2, (south + north) / 2, ZOOM)
    return tile.x, tile.y


def decode(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)))


def values_at(tile: tuple[int, int], path: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The class of the file under each pixel of a tile, and which pixels lie inside of it."""
    bounds = morecantile.tms.get("WebMercatorQuad").xy_bounds(*tile, ZOOM)
    step = (bounds.right - bounds.left) / side
    x, y = np.meshgrid(bounds.left + (np.arange(side) + 0.5) * step, bounds.top - (np.arange(side) + 0.5) * step)
    with rasterio.open(path) as source:
        east, north = transform("EPSG:3857", source.crs, x.ravel(), y.ravel())
        columns, rows = ~source.transform @ (np.array(east), np.array(north))
        rows, columns = np.floor(rows).astype(int), np.floor(columns).astype(int)
        inside = (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE)
        read = source.read(1)[rows.clip(0, SIDE - 1), columns.clip(0, SIDE - 1)]
    return read.reshape(side, side), inside.reshape(side, side)


@pytest.mark.parametrize("side", [256, 512])
def test_classes_have_their_colours_where_they_lie(folder: Path, side: int) -> None:
    (layer,) = open_layers([folder / "land.tif"])
    tile = find_tile(layer)
    image = decode(render_tile(layer, ZOOM, *tile, side))
    classes, inside = values_at(tile, folder / "land.tif", side)
    shown = inside & (classes != 255)
    expected = np.array([class_colour(number) for number in range(256)])[classes]
    assert image.shape == (side, side, 4) and shown.any() and not shown.all()
    assert (image[..., 3] > 0)[shown].mean() > 0.99 and (image[..., 3] == 0)[~shown].mean() > 0.98
    visible = shown & (image[..., 3] > 0)
    assert (image[visible][:, :3] == expected[visible]).all(1).mean() > 0.97  # but for pixels at an edge
    assert [text for _, text in layer.style.legend] == list(CLASSES)


def test_features_have_the_same_colours_in_every_tile(folder: Path) -> None:
    (layer,) = open_layers([folder / "features.tif"])
    assert isinstance(layer.style, FeatureStyle)
    x, y = find_tile(layer)
    tiles = [decode(render_tile(layer, ZOOM + 1, 2 * x + dx, 2 * y + dy)) for dx in (0, 1) for dy in (0, 1)
             if render_tile(layer, ZOOM + 1, 2 * x + dx, 2 * y + dy)]  # fmt: skip
    reds = np.concatenate([tile[..., 0][tile[..., 3] > 0] for tile in tiles])
    assert np.median(reds[reds > 128]) > 150 and np.median(reds[reds < 128]) < 100  # the two halves of the file
    assert render_tile(layer, ZOOM, 0, 0) is None


@pytest.mark.timeout(20)
def test_a_tile_of_the_whole_earth_takes_no_longer(folder: Path) -> None:
    layer = open_layers([folder / "scene.tif"])[0]
    assert layer.style.is_smooth
    for zoom in range(layer.zooms[0]):
        tile = morecantile.tms.get("WebMercatorQuad").tile(9.004, 47.85, zoom)
        png = render_tile(layer, zoom, tile.x, tile.y)
        assert png is not None and decode(png)[..., 3].any()


def test_a_layer_for_each_probability(folder: Path) -> None:
    layers = open_layers([folder / "shares.tif", folder / "scene.tif", folder / "scene.tif"])
    assert [layer.name for layer in layers] == [
        "shares-tif-water", "shares-tif-forest", "shares-tif-town", "scene", "scene.2",
    ]  # fmt: skip
    style = layers[1].style
    assert isinstance(style, RampStyle) and (style.band, style.low, style.high) == (2, 0, 1)
    image = decode(render_tile(layers[1], ZOOM, *find_tile(layers[1])))
    assert (image[image[..., 3] > 0][:, :3] == (59, 82, 139)).all()
    assert layers[3].style.indexes == (1, 2, 3)


def test_what_has_no_place_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(folder / "nowhere.tif", np.zeros((1, SIDE, SIDE), np.uint8), {}, crs=None, transform=None)
    with pytest.raises(DataError, match="no place on the Earth, which a map needs; look at it with: skyweave view"):
        open_layers([folder / "nowhere.tif"])
    assert main(["serve", str(folder / "missing.tif")]) == 2
    assert main(["serve", str(folder / "land.tif"), "--host", "0.0.0.0"]) == 2
    assert "or --open" in capsys.readouterr().err


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    server = MapServer(open_layers([folder / "scene.tif", folder / "land.tif"]))
    with serve_in_thread(server.create_app(), "127.0.0.1", 0) as address:
        yield address


def get(address: str, **headers: str) -> tuple[int, bytes, str]:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, error.read(), ""


def test_the_server(address: str, folder: Path) -> None:
    _, text, _ = get(f"{address}layers")
    layers = json.loads(text)
    assert [(layer["name"], layer["is_image"]) for layer in layers] == [("scene", True), ("land", False)]
    x, y = find_tile(open_layers([folder / "land.tif"])[0])
    for ending, side in (("", 256), ("@2x", 512), ("", 256)):
        status, png, kind = get(f"{address}tiles/land/{ZOOM}/{x}/{y}{ending}.png")
        assert (status, kind, decode(png).shape) == (200, "image/png", (side, side, 4))
    assert get(f"{address}tiles/land/{ZOOM}/0/0.png")[0] == 204
    described = json.loads(get(f"{address}tiles/land.json")[1])
    assert described["tiles"] == [f"{address}tiles/land/{{z}}/{{x}}/{{y}}.png"] and described["tilejson"] == "3.0.0"
    for path in ("tiles/other/1/0/0.png", "tiles/land/25/0/0.png", "tiles/land/1/2/0.png", "tiles/land/1/0/x.png",
                 "tiles/..%2Fland/1/0/0.png", "land.tif"):  # fmt: skip
        assert get(f"{address}{path}")[0] == 404, path
    assert get(f"{address}layers", Host="evil.example")[0] == 403
    assert get(f"{address}layers", Origin="https://evil.example")[0] == 403
    page = get(address)[1].decode() + get(f"{address}page.js")[1].decode() + get(f"{address}page.css")[1].decode()
    assert not re.search(r"(?:https?:)?//[a-z]", page.replace("// Two", "")), "the page asks no other server"
    (folder / "land.tif").unlink()
    assert get(f"{address}tiles/land/{ZOOM - 1}/{x // 2}/{y // 2}.png")[0] == 500


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_in_a_browser(address: str, tmp_path: Path) -> None:
    """Both maps show their tiles in the colours of the legend, and move together."""
    from headless import Browser

    async def look() -> tuple[list[str], list[list[str]], list[float]]:
        async with Browser(str(CHROMIUM), tmp_path) as browser:
            await browser.open(address)
            loaded = "maps.every((map) => [...map.tiles.values()].some((tile) => !tile.hidden))"
            await browser.until(f"document.body.dataset.ready === 'true' && {loaded}", PATIENCE_S)
            legend = await browser.run("layers[1].legend")
            await browser.until(f"[...maps[1].tiles.values()].every((tile) => tile.complete) && {loaded}", PATIENCE_S)
            colours = await browser.run(COLOURS_OF_TILES)
            zoom = [await browser.run("view.zoom")]
            await browser.run("document.getElementById('closer').click()")
            zoom.append(await browser.run("view.zoom"))
            await browser.run("maps[0].element.focus()")
            before = await browser.run("view.x")
            await browser.key("ArrowRight")
            await browser.until(f"view.x > {before} && {loaded}", PATIENCE_S)
            assert browser.complaints == [], browser.complaints
        return colours, legend, zoom

    colours, legend, zoom = asyncio.run(look())
    assert [name for _, name in legend] == list(CLASSES) and zoom[1] == zoom[0] + 1
    assert {legend[0][0], legend[2][0]} == set(colours), "two of the classes are on the ground"


def test_a_port_that_is_taken(address: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = address.rstrip("/").rsplit(":", 1)[1]
    assert main(["serve", str(folder / "land.tif"), "--port", port]) == 2
    assert "try --port" in capsys.readouterr().err
    asyncio.set_event_loop(None)


def test_a_project_for_qgis(folder: Path) -> None:
    layers = open_layers([folder / name for name in ("land.tif", "shares.tif", "features.tif", "scene.tif")])
    write_qgis_project(folder / "map.qgs", layers)
    project = ET.parse(folder / "map.qgs").getroot()
    assert (project.tag, len(project.findall("projectlayers/maplayer"))) == ("qgis", 6)
    assert project.findtext("projectlayers/maplayer/datasource") == "./land.tif"
    assert {layer.get("id") for layer in project.iter("layer-tree-layer")} == {x.text for x in project.iter("id")}
    kinds = [renderer.get("type") for renderer in project.iter("rasterrenderer")]
    assert kinds == ["paletted", *["singlebandpseudocolor"] * 3, "multibandcolor", "multibandcolor"]
    entries = [(entry.get("value"), entry.get("label"), entry.get("color")) for entry in project.iter("paletteEntry")]
    assert entries == [(str(n), name, layers[0].style.legend[n][0]) for n, name in enumerate(CLASSES)]
    assert project.findtext("projectCrs/spatialrefsys/authid") == "EPSG:32632"
    assert [float(side.text or "") for side in project.findall("mapcanvas/extent/*")] == [
        5e5,
        5.3e6 - 640,
        5e5 + 640,
        5.3e6,
    ]
    write_qgis_project(folder / "map.qgz", layers)
    with zipfile.ZipFile(folder / "map.qgz") as archive:
        assert archive.read("map.qgs") == (folder / "map.qgs").read_bytes()
    with pytest.raises(ConfigError, match=r"called .qgs or .qgz"):
        write_qgis_project(folder / "map.xml", layers)


OPEN_IN_QGIS = """
import json, sys
from qgis.core import QgsApplication, QgsProject
QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
assert project.read(sys.argv[1]), project.error()
layers = [node.layer() for node in project.layerTreeRoot().findLayers()]
print(json.dumps([project.crs().authid(), [
    [layer.name(), layer.isValid(), layer.renderer().type(), layer.crs().authid(), layer.width()] for layer in layers
], [[item.value, item.label, item.color.name()] for item in layers[0].renderer().classes()]]))
"""


@pytest.mark.interop
def test_qgis_opens_it(folder: Path) -> None:
    if subprocess.run(["/usr/bin/env", "/usr/bin/python3", "-c", "import qgis.core"], capture_output=True).returncode:
        pytest.skip("QGIS is not installed (Debian: python3-qgis)")
    layers = open_layers([folder / name for name in ("land.tif", "shares.tif", "features.tif", "scene.tif")])
    for name in ("map.qgs", "map.qgz"):
        write_qgis_project(folder / name, layers)
        command = ["/usr/bin/python3", "-c", OPEN_IN_QGIS, str(folder / name)]
        environment = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(folder), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
        assert not done.returncode, done.stderr
        system, opened, classes = json.loads(done.stdout.splitlines()[-1])
        assert system == "EPSG:32632"
        assert [row[0] for row in opened] == [layer.title for layer in layers]
        assert all(row[1] and row[3] == "EPSG:32632" and row[4] == SIDE for row in opened)
        assert [row[2] for row in opened] == [
            "paletted", *["singlebandpseudocolor"] * 3, "multibandcolor", "multibandcolor",
        ]  # fmt: skip
        assert classes == [[n, name, layers[0].style.legend[n][0]] for n, name in enumerate(CLASSES)]


def test_embed_writes_a_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared = ["--sensor", "sentinel2-l2a", "--bands", "red,green,blue,nir", "--unit", "dn"]
    command = ["embed", str(folder / "scene.tif"), *declared, "--qgis", str(folder / "out.qgz")]
    assert main([*command, "-o", str(folder / "out.zarr")]) == 2
    assert "out.zarr is none; name it .tif" in capsys.readouterr().err
    assert main([*command, "-o", str(folder / "out.tif")]) == 0
    with zipfile.ZipFile(folder / "out.qgz") as archive:
        project = ET.fromstring(archive.read("out.qgs"))
    assert [x.text for x in project.iter("datasource")] == ["./out.tif", "./scene.tif"]
