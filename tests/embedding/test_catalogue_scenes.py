"""`skyweave embed --stac`: scenes of a static catalogue and of an API on loopback become outputs with a catalogue."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
import uvicorn
from stac_fastapi.api.app import StacApi
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.core import BaseCoreClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from fabricated_archive import open_inline_pool
from fabricated_catalogue import COLLECTION, bounding_box, read_items, write_catalogue
from skyweave.cli.main import main
from skyweave.inference.validation import validate_output

BANDS = ("--sensor", "sentinel2-l2a", "--bands", "red,nir,swir16")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyweave.inference.archive.archive_run.open_pool", open_inline_pool)


def embed(catalogue: str | Path, folder: Path, *options: str, unit: str = "catalogue") -> int:
    declared = ["--stac", str(catalogue), "--into", str(folder), *BANDS, "--unit", unit]
    return main(["embed", *declared, *options])


def test_every_day_is_a_scene_and_none_is_done_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue, folder = write_catalogue(tmp_path / "archive"), tmp_path / "out"
    bbox = [str(number) for number in bounding_box(80, 80, 640)]
    options = ("--collection", COLLECTION, "--bbox", *bbox, "--licence", "CC-BY-4.0", "--dtype", "int8")
    assert embed(catalogue, folder, *options, "--datetime", "2024-05-01") == 0
    capsys.readouterr()
    assert embed(catalogue, folder, *options) == 0
    out = capsys.readouterr().out
    assert f"{COLLECTION}_2024-05-11.tif: 100% valid" in out and "1 scenes embedded, 1 done before, 0 failed" in out
    assert not list((folder / ".scenes").iterdir())
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    items = sorted(collection.get_items(), key=lambda item: item.id)
    assert [item.id for item in items] == [f"{COLLECTION}_2024-05-01", f"{COLLECTION}_2024-05-11"]
    assert items[0].common_metadata.end_datetime is not None and items[1].datetime is not None
    sources = [link.href for link in items[0].links if link.rel == "emb:source-data"]
    assert len(sources) == 2 and all("scene-" in href for href in sources)
    assert not validate_output(folder / "collection.json").findings
    with rasterio.open(folder / f"{COLLECTION}_2024-05-01.tif") as file:
        assert file.tags()["UNIT"] == "reflectance" and file.crs == "EPSG:32633" and file.transform.a == 80


def test_what_fails_is_named_and_the_rest_is_embedded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = write_catalogue(tmp_path / "archive")
    for item in (tmp_path / "archive").rglob("scene-2.json"):
        content = json.loads(item.read_text())
        del content["assets"]["nir"]
        item.write_text(json.dumps(content))
    assert embed(catalogue, tmp_path / "out", "--json") == 3
    captured = capsys.readouterr()
    assert "no asset for nir" in captured.err
    report = json.loads(captured.out)
    assert report["computed"] == 1 and [row["name"] for row in report["failed"]] == [f"{COLLECTION}_2024-05-11"]
    assert embed(catalogue, tmp_path / "late", "--datetime", "2024-05-11") == 2
    assert "no scene could be embedded" in capsys.readouterr().err


def test_options_that_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, message in (
        (["--stac", "x"], "needs --into"),
        (["--stac", "x", "--into", str(tmp_path / "o"), "--acquired", "2024"], "--acquired is for one scene"),
        ([], "give SCENE and -o OUT.tif, or --list or --stac"),
    ):
        assert main(["embed", *BANDS, "--unit", "catalogue", *options]) == 2
        assert message in capsys.readouterr().err


class Archive(BaseCoreClient):
    """An API over items; the first search fails, as under load."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, Any]] = []
        self.failures = [503]

    def post_search(self, search_request: Any, **kwargs: Any) -> Any:
        if self.failures:
            from fastapi import HTTPException

            raise HTTPException(self.failures.pop())
        west, south, east, north = search_request.bbox or (-180, -90, 180, 90)
        inside = [
            item
            for item in self.items
            if item["bbox"][0] < east and item["bbox"][2] > west and item["bbox"][1] < north and item["bbox"][3] > south
        ]
        return {"type": "FeatureCollection", "features": inside, "links": []}

    def get_search(self, **kwargs: Any) -> Any:
        raise NotImplementedError

    def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Any:
        return next(item for item in self.items if item["id"] == item_id)

    def all_collections(self, **kwargs: Any) -> Any:
        return {"collections": [], "links": []}

    def get_collection(self, collection_id: str, **kwargs: Any) -> Any:
        raise NotImplementedError

    def item_collection(self, collection_id: str, **kwargs: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    catalogue, client, missing = write_catalogue(tmp_path / "archive"), Archive(), ["/pixels/pixels-2-nir.tif"]
    settings = ApiSettings(stac_fastapi_title="archive", stac_fastapi_description="on loopback")
    app = StacApi(settings=settings, client=client, extensions=[]).app
    app.mount("/pixels", StaticFiles(directory=catalogue.parent))

    @app.middleware("http")
    async def lose_once(request: Request, proceed: Any) -> Any:
        if request.url.path in missing:
            missing.remove(request.url.path)
            return Response(status_code=404)
        return await proceed(request)

    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    client.items = read_items(catalogue, f"http://127.0.0.1:{port}/pixels")
    yield f"http://127.0.0.1:{port}"
    assert not missing and not client.failures
    server.should_exit = True
    thread.join()


def test_an_api_and_files_that_fail_at_first(api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyweave.data.stac.compose.RETRY_FACTOR_S", 0.01)
    monkeypatch.setattr("skyweave.data.stac.search.RETRY_FACTOR_S", 0.01)
    bbox = [str(number) for number in bounding_box(80, 80, 320)]
    folder = tmp_path / "out"
    assert embed(api, folder, "--bbox", *bbox, "--composite", "clearest", "--format", "zarr") == 0
    (item,) = pystac.Collection.from_file(str(folder / "collection.json")).get_items()
    assert item.id == f"{COLLECTION}_2024-05-01_2024-05-11"
    sources = [link.href for link in item.links if link.rel == "emb:source-data"]
    assert sources[0] == "https://example.org/items/scene-2"
    assert validate_output(folder / f"{item.id}.zarr").is_valid
