"""OGC API Features over a fleet, read by GDAL and geopandas as by anybody else."""

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zenoh", reason="needs skyweave[link]")

from aiohttp import ClientSession, WSServerHandshakeError
from pyproj import Transformer

import fabricated_fleet as fleet
from fabricated_page import NOW, box, scene, view
from skyweave.core.http_server import LOCAL_HOST, serve_in_thread
from skyweave.fleet.dashboard.page_server import create_app
from skyweave.fleet.dashboard.state import DashboardState
from skyweave.fleet.link.clocks import NS_PER_S

EAST, NORTH = 691_000.0, 5_334_000.0
SITE = "https://map.example.org"


@pytest.fixture
def state() -> DashboardState:
    """Two nodes follow two cars, one of which drives east at 4 m/s."""
    clock = fleet.HandClock()
    state = DashboardState("test", clock)
    camera = view(position=(EAST, NORTH - 30, 40.0), heading=math.pi / 2)
    for step in range(4):
        clock.now = round((NOW + step / 2 + 0.2) * NS_PER_S)
        moving = box("1", EAST + 2 * step, NORTH, velocity=(4.0, 0.0), observers=("UAV_1",), covariance=(1.0, 0.0, 4.0))
        parked = box("2", EAST, NORTH + 100, yaw=math.pi / 2)
        for name in ("UAV_1", "UAV_2"):
            state.on_message(name)
            state.on_scene(scene(name, step / 2, moving, parked, views=(camera,)), 0.1)
    return state


@pytest.fixture
def address(state: DashboardState) -> Iterator[str]:
    with serve_in_thread(create_app(state, origins=[SITE]), LOCAL_HOST, 0) as served:
        yield f"{served}ogc"


def get(address: str, path: str = "/", status: int = 200, **headers: str) -> Any:
    async def ask() -> Any:
        async with ClientSession() as session, session.get(address + path, headers=headers) as response:
            assert response.status == status, await response.text()
            return response.headers if headers else json.loads(await response.text()) if status == 200 else None

    return asyncio.run(ask())


def test_the_landing_page_leads_to_everything(address: str) -> None:
    links = {link["rel"]: link for link in get(address)["links"]}
    assert links.keys() == {"self", "service-desc", "conformance", "data"}
    root = address.removesuffix("ogc").rstrip("/")
    assert links["data"]["href"] == f"{address}/collections"
    for link in links.values():
        assert get(root, link["href"].removeprefix(root))
    assert any(name.endswith("conf/core") for name in get(address, "/conformance")["conformsTo"])
    collections = get(address, "/collections")["collections"]
    assert [one["id"] for one in collections] == ["objects", "tracks", "platforms", "detections"]
    described = get(address, "/api")
    assert described["openapi"].startswith("3.0") and "/ogc/collections/tracks/items" in described["paths"]
    for name in ("objects", "tracks", "platforms", "detections"):
        items = get(address, f"/collections/{name}/items")
        assert items["numberReturned"] == len(items["features"]) > 0
        identity = items["features"][0]["id"]
        assert get(address, f"/collections/{name}/items/{identity}")["id"] == identity


def test_items_are_selected_by_place_time_and_number(address: str) -> None:
    def identities(query: str, name: str = "objects") -> list[str]:
        return [one["id"] for one in get(address, f"/collections/{name}/items?{query}")["features"]]

    longitude, latitude = Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True).transform(EAST, NORTH)
    near = f"{longitude - 4e-4},{latitude - 4e-4},{longitude + 4e-4},{latitude + 4e-4}"
    assert identities("") == ["UAV_1-1", "UAV_1-2"]
    assert identities(f"bbox={near}") == ["UAV_1-1"]
    assert identities(f"bbox={longitude - 1},{latitude - 1},0,{longitude + 1},{latitude + 1},9") == [
        "UAV_1-1",
        "UAV_1-2",
    ]
    assert identities("bbox=170,-90,-170,90") == []
    assert identities("datetime=2025-06-15T15:06:41.500Z") == ["UAV_1-1", "UAV_1-2"]  # NOW + 1.5 s
    assert identities("datetime=2025-06-15T15:06:40Z/2025-06-15T15:06:41Z") == []
    assert identities("datetime=2025-06-15T15:06:40Z/..", "tracks") == ["UAV_1-1", "UAV_1-2"]
    page = get(address, "/collections/objects/items?limit=1")
    assert (page["numberMatched"], page["numberReturned"]) == (2, 1)
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    rest = get(following, "")
    assert [one["id"] for one in rest["features"]] == ["UAV_1-2"]
    assert all(link["rel"] != "next" for link in rest["links"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/collections/nothing", 404),
        ("/collections/objects/items/nobody", 404),
        ("/collections/objects/items?limit=0", 400),
        ("/collections/objects/items?limit=x", 400),
        ("/collections/objects/items?bbox=1,2,3", 400),
        ("/collections/objects/items?bbox=nan,2,3,4", 400),
        ("/collections/objects/items?datetime=yesterday", 400),
        ("/collections/objects/items?datetime=1/2/3", 400),
        ("/collections/objects/items?colour=red", 400),
        ("/?f=html", 400),
    ],
)
def test_what_is_asked_wrongly_is_refused(path: str, status: int, address: str) -> None:
    get(address, path, status)


def test_properties_say_what_the_page_says(address: str, state: DashboardState) -> None:
    moving = get(address, "/collections/objects/items/UAV_1-1")["properties"]
    assert (moving["class"], moving["speed_m_s"], moving["heading_deg"]) == ("car", 4.0, 90.0)
    assert moving["observers"] == ["UAV_1"] and moving["platforms"] == ["UAV_1", "UAV_2"]
    assert moving["ellipse_long_m"] == pytest.approx(2.146 * 2, abs=0.01) and moving["ellipse_azimuth_deg"] == 0.0
    assert get(address, "/collections/objects/items/UAV_1-2")["properties"]["ellipse_long_m"] is None
    track = get(address, "/collections/tracks/items/UAV_1-1")
    assert len(track["geometry"]["coordinates"]) == 4
    footprint = get(address, "/collections/detections/items/UAV_2.0")
    assert footprint["properties"]["identity"] == "UAV_1-1"
    ring = np.array(footprint["geometry"]["coordinates"][0])
    assert ((ring[1:, 0] - ring[:-1, 0]) * (ring[1:, 1] + ring[:-1, 1])).sum() < 0  # counter-clockwise
    platform = get(address, "/collections/platforms/items/UAV_1")["properties"]
    assert platform["altitude_m"] == 40.0 and platform["heading_deg"] == 0.0 and not platform["lost"]


READER = """
import json, sys
import geopandas, pyogrio
source = "OAPIF:" + sys.argv[1]
read = lambda layer: geopandas.read_file(source, layer=layer).to_crs("EPSG:32632").set_index("id")
objects = read("objects").geometry
print(json.dumps({
    "layers": sorted(name for name, _ in pyogrio.list_layers(source)),
    "objects": {name: [point.x, point.y] for name, point in objects.items()},
    "lengths": read("tracks").geometry.length.to_dict(),
    "areas": read("detections").geometry.area.to_dict(),
}))
"""


def test_geopandas_reads_what_is_where(address: str) -> None:
    pytest.importorskip("geopandas")
    if "OAPIF" not in pytest.importorskip("pyogrio").list_drivers():
        pytest.skip("this GDAL reads no OGC API")
    command = [
        sys.executable,
        "-c",
        READER,
        address,
    ]  # in a process of its own: it holds the interpreter while it waits
    read = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)
    assert read["layers"] == ["detections", "objects", "platforms", "tracks"]
    assert read["objects"] == {
        "UAV_1-1": pytest.approx([EAST + 6, NORTH], abs=0.01),
        "UAV_1-2": pytest.approx([EAST, NORTH + 100], abs=0.01),
    }
    assert read["lengths"]["UAV_1-1"] == pytest.approx(6, abs=0.01)
    assert list(read["areas"].values()) == pytest.approx([8.0] * 4, abs=0.02)


def test_collections_are_streamed(address: str, state: DashboardState) -> None:
    async def listen() -> None:
        async with ClientSession() as session, session.ws_connect(f"{address}/collections/objects/live") as socket:
            first = json.loads(await socket.receive_str())
            assert [one["id"] for one in first["features"]] == ["UAV_1-1", "UAV_1-2"]
            state.on_scene(scene("UAV_1", 2.0, box("9", EAST + 50, NORTH)), 0.1)
            async with asyncio.timeout(30):
                while len(json.loads(await socket.receive_str())["features"]) < 3:
                    pass

    asyncio.run(listen())


def test_only_sites_that_were_named_may_read(address: str) -> None:
    headers = get(address, "/collections", Origin=SITE)
    assert headers["Access-Control-Allow-Origin"] == SITE
    get(address, "/collections", 403, Origin="https://evil.example")
    get(address.removesuffix("/ogc"), "/state", 403, Origin=SITE)

    async def connect(origin: str) -> None:
        async with ClientSession() as session:
            path = f"{address}/collections/objects/live"
            async with session.ws_connect(path, headers={"Origin": origin}) as socket:
                await socket.receive_str()

    asyncio.run(connect(SITE))
    with pytest.raises(WSServerHandshakeError, match="403"):
        asyncio.run(connect("https://evil.example"))


def test_a_fleet_without_a_place_on_earth_says_so() -> None:
    state = DashboardState("test")
    with serve_in_thread(create_app(state), LOCAL_HOST, 0) as served:
        assert get(f"{served}ogc", "/collections/objects/items")["features"] == []
        state.on_scene(scene("UAV_1", 0.0, box("1", 0.0), crs=None), 0.1)
        get(f"{served}ogc", "/collections/objects/items", 404)
        state.clear()
        state.on_scene(scene("UAV_1", 0.0, box("1", 1e8), crs="EPSG:32632"), 0.1)
        get(f"{served}ogc", "/collections/objects/items", 404)
