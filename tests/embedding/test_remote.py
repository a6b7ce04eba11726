"""Scenes by their address are read window by window, as scenes on disk are."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling

from skyweave.backbone import build_backbone, save_checkpoint
from skyweave.cli.main import main

SERVER = """
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class RangeHandler(SimpleHTTPRequestHandler):
    sent = 0

    def do_GET(self):
        path = Path(sys.argv[1]) / self.path.lstrip("/")
        content = path.read_bytes() if path.is_file() else None
        if path.name == "sent":
            content = str(type(self).sent).encode()
        if content is None:
            return self.send_error(404)
        start, end, text = 0, len(content) - 1, self.headers.get("Range")
        if text:
            first, _, last = text.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or end), end)
        type(self).sent += end + 1 - start
        self.send_response(206 if text else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end + 1 - start))
        if text:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:end + 1])

    def do_HEAD(self):
        path = Path(sys.argv[1]) / self.path.lstrip("/")
        if not path.is_file():
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()

server = ThreadingHTTPServer(("127.0.0.1", 0), RangeHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder by parts of files, in a process of its own: GDAL waits without letting other threads run."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    (tmp_path / "served").mkdir()
    words = [sys.executable, "-c", SERVER, str(tmp_path / "served")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


def write_scene(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(1, 255, (3, 1024, 1024), np.uint8)
    profile = {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    place = {"crs": "EPSG:32632", "transform": Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(path, "w", count=3, height=1024, width=1024, dtype="uint8", **profile, **place) as target:
        target.write(pixels)
        target.build_overviews([2], Resampling.nearest)
    return path


def test_a_part_of_a_remote_scene_is_that_of_a_local_one(tmp_path: Path, address: str, capsys) -> None:
    local = write_scene(tmp_path / "served" / "scene.tif")
    backbone = build_backbone("tiny", seed=0, width=24, depth=1, heads=3, patch_size=8).eval()
    weights = tmp_path / "small.safetensors"
    save_checkpoint(weights, backbone, "small")
    declared = ["--sensor", "rgb", "--unit", "uint8", "--bands", "sensor", "--weights", str(weights)]
    part = ["--bounds", "500512", "4999400", "500640", "4999500", "--dtype", "float32"]
    outputs = []
    for name, scene in (("local", str(local)), ("remote", f"{address}/scene.tif")):
        output = tmp_path / f"{name}.tif"
        assert main(["embed", scene, "-o", str(output), *declared, *part]) == 0
        with rasterio.open(output) as dataset:
            outputs.append((dataset.read(), dataset.transform))
    np.testing.assert_array_equal(outputs[0][0], outputs[1][0])
    assert outputs[0][1] == outputs[1][1]
    with urlopen(f"{address}/sent") as answer:
        sent, size = int(answer.read()), local.stat().st_size
    assert 0 < sent < 0.6 * size, f"{sent} bytes of {size} were sent for a hundredth of the scene and a look at it"
    capsys.readouterr()
    assert main(["embed", f"{address}/gone.tif", "-o", str(tmp_path / "gone.tif"), *declared]) == 2
    assert "gone.tif: GDAL cannot read it" in capsys.readouterr().err
