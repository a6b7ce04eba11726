"""OGC API - Features (core, GeoJSON; OGC 17-069r4) over a fleet: QGIS, GDAL and web maps read it.

``/ogc/`` is the landing page. Beside the standard, ``/ogc/collections/NAME/live`` is a WebSocket that sends the whole
collection whenever it changed, at most twice a second.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from pyproj.exceptions import ProjError

from skyweave.core.http_server import HEADERS
from skyweave.fleet.dashboard.feature_collections import COLLECTIONS, MapFeature, geojson_features, is_within
from skyweave.fleet.dashboard.live_stream import stream_texts
from skyweave.fleet.dashboard.state import DashboardState

ROOT = "/ogc"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CONFORMANCE = [
    f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "geojson", "oas30")
]
GEOJSON, OPENAPI, JSON = "application/geo+json", "application/vnd.oai.openapi+json;version=3.0", "application/json"
DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
PARAMETERS = {"bbox", "datetime", "limit", "offset", "f"}
PERIOD_S = 0.5  # between two states of a stream
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_features_api(app: web.Application, state: DashboardState) -> tuple[str, ...]:
    """Add the paths of the interface; return those that stream.

    Args:
        app: to add to.
        state: of the fleet.
    """

    def add(path: str, write: Callable[[web.Request], dict[str, Any]], content_type: str = JSON) -> None:
        async def respond(request: web.Request) -> web.Response:
            _check_parameters(request)
            body = msgspec.json.encode(write(request))
            return web.Response(body=body, headers={**HEADERS, "Content-Type": content_type})

        app.router.add_get(path, respond)

    async def stream(request: web.Request) -> web.StreamResponse:
        name = _collection_name(request)

        def write() -> str:
            try:
                features = _features(state, name)
            except web.HTTPNotFound:  # no place on Earth
                features = []
            return msgspec.json.encode({"type": "FeatureCollection", "features": features}).decode()

        return await stream_texts(request, lambda: state.version, write, PERIOD_S)

    add(ROOT, _landing_page)
    add(f"{ROOT}/", _landing_page)
    add(f"{ROOT}/conformance", lambda request: {"conformsTo": CONFORMANCE})
    add(f"{ROOT}/api", _openapi, OPENAPI)
    add(f"{ROOT}/collections", lambda request: _collections(request, state))
    add(f"{ROOT}/collections/{{name}}", lambda request: _collection(request, state, _collection_name(request)))
    add(f"{ROOT}/collections/{{name}}/items", lambda request: _items(request, state), GEOJSON)
    add(f"{ROOT}/collections/{{name}}/items/{{identity}}", lambda request: _item(request, state), GEOJSON)
    app.router.add_get(f"{ROOT}/collections/{{name}}/live", stream)
    return tuple(f"{ROOT}/collections/{name}/live" for name in COLLECTIONS)


def _landing_page(request: web.Request) -> dict[str, Any]:
    return {
        "title": "A fleet, live",
        "description": "Objects, tracks, platforms and detections of a Skyweave fleet.",
        "links": [
            _link(request, "", "self", JSON),
            _link(request, "/api", "service-desc", OPENAPI),
            _link(request, "/conformance", "conformance", JSON),
            _link(request, "/collections", "data", JSON),
        ],
    }


def _collections(request: web.Request, state: DashboardState) -> dict[str, Any]:
    return {
        "links": [_link(request, "/collections", "self", JSON)],
        "collections": [_collection(request, state, name) for name in COLLECTIONS],
    }


def _collection(request: web.Request, state: DashboardState, name: str) -> dict[str, Any]:
    collection, path = COLLECTIONS[name], f"/collections/{name}"
    return {
        "id": name,
        "title": f"{collection.title} of {state.fleet}",
        "description": collection.description,
        "itemType": "feature",
        "crs": [CRS84],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]], "crs": CRS84}},
        "links": [_link(request, path, "self", JSON), _link(request, f"{path}/items", "items", GEOJSON)],
    }


def _items(request: web.Request, state: DashboardState) -> dict[str, Any]:
    name, query = _collection_name(request), request.query
    limit, offset = _whole_number(query, "limit", DEFAULT_LIMIT, 1), _whole_number(query, "offset", 0, 0)
    limit = min(limit, MAX_LIMIT)
    begin, end = _interval(query.get("datetime"))
    features = _features(state, name, begin, end)
    if "bbox" in query:
        bounds = _bounds(query["bbox"])
        features = [feature for feature in features if is_within(feature, bounds)]
    page, path = features[offset : offset + limit], f"/collections/{name}"
    links = [_link(request, f"{path}/items", "self", GEOJSON, **query), _link(request, path, "collection", JSON)]
    if offset + limit < len(features):
        following = {**query, "limit": str(limit), "offset": str(offset + limit)}
        links.append(_link(request, f"{path}/items", "next", GEOJSON, **following))
    return {
        "type": "FeatureCollection",
        "timeStamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "numberMatched": len(features),
        "numberReturned": len(page),
        "features": page,
        "links": links,
    }


def _item(request: web.Request, state: DashboardState) -> dict[str, Any]:
    name, identity = _collection_name(request), request.match_info["identity"]
    for feature in _features(state, name):
        if feature["id"] == identity:
            path = f"/collections/{name}"
            links = [
                _link(request, f"{path}/items/{identity}", "self", GEOJSON),
                _link(request, path, "collection", JSON),
            ]
            return {**feature, "links": links}
    raise web.HTTPNotFound(text=f"no {name} {identity} now\n")


def _features(
    state: DashboardState, name: str, begin: float = -float("inf"), end: float = float("inf")
) -> list[dict[str, Any]]:
    """Return the features of a collection that are of a time, as GeoJSON."""
    with state.lock:
        features: list[MapFeature] = COLLECTIONS[name].collect(state)
        crs = state.crs
    if crs is None:
        if features:
            raise web.HTTPNotFound(text="the fleet has no place on Earth; give it a crs\n")
        return []
    try:
        return geojson_features([one for one in features if one.begin <= end and one.end >= begin], crs)
    except ProjError:
        raise web.HTTPNotFound(text=f"the fleet's reference system {crs} has no place on Earth\n") from None


def _collection_name(request: web.Request) -> str:
    name = request.match_info["name"]
    if name not in COLLECTIONS:
        raise web.HTTPNotFound(text=f"there are the collections {', '.join(COLLECTIONS)}\n")
    return name


def _check_parameters(request: web.Request) -> None:
    """Refuse parameters that are not known, as the standard asks for."""
    unknown = sorted(set(request.query) - PARAMETERS)
    if unknown:
        raise web.HTTPBadRequest(text=f"no parameter {unknown[0]}; there are {', '.join(sorted(PARAMETERS))}\n")
    if request.query.get("f", "json") not in ("json", "geojson"):
        raise web.HTTPBadRequest(text="f is json\n")


def _whole_number(query: Any, name: str, default: int, minimum: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < minimum:
        raise web.HTTPBadRequest(text=f"{name} is a whole number from {minimum}\n")
    return int(text)


def _bounds(text: str) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) of four numbers, or of six with heights, which are left out."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 6:
        values = [*values[:2], *values[3:5]]
    if len(values) != 4 or not all(abs(value) <= 1e6 for value in values) or values[1] > values[3]:
        raise web.HTTPBadRequest(text="bbox is west,south,east,north in degrees\n")
    return values[0], values[1], values[2], values[3]


def _interval(text: str | None) -> tuple[float, float]:
    """Return UTC seconds of the begin and end of an instant or interval."""
    if text is None:
        return -float("inf"), float("inf")
    parts = text.split("/")
    try:
        times = [_instant(part) for part in parts]
        begin, end = times if len(times) == 2 else (times[0], times[0])
    except ValueError:
        raise web.HTTPBadRequest(
            text="datetime is 2026-01-31T12:00:00Z, or two of them or of .. with / between\n"
        ) from None
    return (-float("inf") if begin is None else begin), (float("inf") if end is None else end)


def _instant(text: str) -> float | None:
    if text in ("", ".."):
        return None
    time_of = datetime.fromisoformat(text)
    return (time_of if time_of.tzinfo else time_of.replace(tzinfo=UTC)).timestamp()


def _link(request: web.Request, path: str, relation: str, content_type: str, **query: str) -> dict[str, str]:
    address = request.url.origin().with_path(f"{ROOT}{path}").with_query(query)
    return {"href": str(address), "rel": relation, "type": content_type}


def _openapi(request: web.Request) -> dict[str, Any]:
    """Return what OpenAPI 3.0 says of the interface."""

    def described(summary: str, *parameters: str) -> dict[str, Any]:
        listed = [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in parameters]
        return {"get": {"summary": summary, "parameters": listed, "responses": {"200": {"description": "as asked"}}}}

    paths = {f"{ROOT}/": described("landing page"), f"{ROOT}/conformance": described("conformance classes")}
    paths[f"{ROOT}/collections"] = described("collections")
    for name, collection in COLLECTIONS.items():
        path = f"{ROOT}/collections/{name}"
        paths[path] = described(collection.title)
        paths[f"{path}/items"] = described(collection.description, "bbox", "datetime", "limit", "offset")
    return {
        "openapi": "3.0.3",
        "info": {"title": "A fleet, live", "version": "1"},
        "servers": [{"url": str(request.url.origin())}],
        "paths": paths,
    }
