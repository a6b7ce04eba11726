"""Items of a STAC catalogue, static or behind an API, in a place and a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import numpy as np

import skyweave
from skyweave.core.errors import ConfigError, DataError, did_you_mean

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
NUM_RETRIES = 5
RETRY_FACTOR_S = 1.0
"""The n-th retry waits for this times 2**n."""
RETRY_STATUS = (429, 500, 502, 503, 504)
TIMEOUT_S = 60.0
CLOUD_COVER = "eo:cloud_cover"


@dataclass(frozen=True)
class CatalogueQuery:
    """What is looked for.

    Attributes:
        catalogue: address of an API, or address or file of a static catalogue or collection.
        collections: names; none: all.
        bbox: that items touch; None: anywhere.
        interval: ISO 8601 dates or times with a slash between, either of which may be ``..``; a date alone is that day,
            a month alone that month; None: any time.
        max_cloud_percent: of `eo:cloud_cover`; items that do not say theirs stay.
    """

    catalogue: str
    collections: tuple[str, ...] = ()
    bbox: Box | None = None
    interval: str | None = None
    max_cloud_percent: float = 100.0

    def __post_init__(self) -> None:
        first, last = parse_interval(self.interval)
        if first is not None and last is not None and first > last:
            raise ConfigError(f"--datetime {self.interval} ends before it begins; give the earlier time first")
        if not 0 <= self.max_cloud_percent <= 100:
            raise ConfigError(f"--max-cloud {self.max_cloud_percent:g}: give 0 to 100 percent")
        if self.bbox is not None:
            _check_box(self.bbox)


def _check_box(box: Box) -> None:
    west, south, east, north = box
    text = " ".join(f"{side:g}" for side in box)
    if not (abs(south) <= 90 and abs(north) <= 90 and abs(west) <= 360 and abs(east) <= 360):
        raise ConfigError(f"--bbox {text} is no place on the Earth; give WEST SOUTH EAST NORTH in degrees")
    if west > east and south < north and abs(west) <= 180 and abs(east) <= 180:
        raise ConfigError(
            f"--bbox {text} reaches over the antimeridian; give its sides one after the other: "
            f"--bbox {west:g} {south:g} 180 {north:g} and --bbox -180 {south:g} {east:g} {north:g}"
        )
    if not (west < east and south < north):
        raise ConfigError(f"--bbox {text} holds no area; give WEST SOUTH EAST NORTH in degrees")


def search_items(query: CatalogueQuery) -> list[Any]:
    """Return the items (`pystac.Item`) of a query in the order of time, then of their names.

    Requests that fail are repeated, the more patiently the more often.

    Args:
        query: what is looked for.

    Raises:
        DataError: the catalogue cannot be read, or there is no such item.
    """
    import pystac
    from pystac_client.exceptions import APIError

    try:
        listed = list(_find(query))
        items = [item for item in map(_with_box, listed) if _matches(item, query)]
    except (APIError, pystac.STACError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the catalogue {query.catalogue} cannot be read: {error}") from error
    if not items:
        raise DataError(
            f"{query.catalogue} has no items of {', '.join(query.collections) or 'any collection'} in "
            f"{query.bbox or 'any place'} and {query.interval or 'any time'} with {query.max_cloud_percent:g} % cloud "
            f"at most; {_what_there_is(listed, query)}"
        )
    return sorted(items, key=lambda item: (item_time(item), item.id))


def _what_there_is(listed: list[Any], query: CatalogueQuery) -> str:
    """Return what to ask for instead: another collection, exchanged coordinates, or simply more."""
    names = sorted({item.collection_id for item in listed if item.collection_id})
    if query.collections and names and not set(names) & set(query.collections):
        return f"its collections are {', '.join(names[:10])}{did_you_mean(query.collections[0], names)}"
    if query.bbox is not None:
        west, south, east, north = query.bbox
        if any(_touches_item(item, (south, west, north, east)) for item in map(_with_box, listed)):
            return f"longitude and latitude are exchanged: --bbox {south:g} {west:g} {north:g} {east:g} has some"
    return "ask for more"


def _with_box(item: Any) -> Any:
    """Return an item with the box around its geometry, where it states none."""
    if item.bbox is None:
        points = np.concatenate([*_rings(item.geometry), np.zeros((0, 2))])
        if not len(points):
            raise DataError(f"the item {item.id} has neither bbox nor geometry, so its place is not known")
        item.bbox = [*points.min(0).tolist(), *points.max(0).tolist()]
    return item


def _rings(geometry: dict[str, Any] | None) -> list[np.ndarray]:
    """Return the outer rings of a GeoJSON polygon or of several, (points, 2)."""
    if not geometry or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        return []
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [np.array(polygon[0], np.float64)[:, :2] for polygon in polygons if polygon]


def item_time(item: Any) -> datetime:
    """Return when an item was taken, or began to be.

    Args:
        item: of a catalogue.
    """
    time = item.datetime or item.common_metadata.start_datetime
    if time is None:
        raise DataError(f"the item {item.id} has no time")
    return _to_utc(time)


def parse_interval(text: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last time of an interval; None for an open end.

    Args:
        text: as of `CatalogueQuery`.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None, None
    parts = text.split("/")
    try:
        if len(parts) > 2:
            raise ValueError
        return _parse_end(parts[0], is_last=False), _parse_end(parts[-1], is_last=True)
    except ValueError:
        raise ConfigError(
            f"--datetime {text!r} is no time; write it such as 2024-05-01, 2024-05 or 2024-05-01/2024-05-31"
        ) from None


def _parse_end(text: str, is_last: bool) -> datetime | None:
    text = text.strip()
    if text in ("", ".."):
        return None
    if len(text) == len("2024-05"):
        first = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
        following = (first + timedelta(days=31)).replace(day=1)
        return following - timedelta(microseconds=1) if is_last else first
    time = _to_utc(datetime.fromisoformat(text))
    is_date = len(text) == len("2024-05-01")
    return time + timedelta(days=1, microseconds=-1) if is_date and is_last else time


def _to_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _find(query: CatalogueQuery) -> Iterator[Any]:
    """Yield the items of an API's answer, or all of a static catalogue."""
    import pystac

    if not urlsplit(query.catalogue).scheme.startswith("http"):
        try:
            root = pystac.read_file(query.catalogue)
        except pystac.STACTypeError:  # the answer of an API, saved
            yield from pystac.ItemCollection.from_file(query.catalogue)
            return
        if not isinstance(root, pystac.Catalog):
            raise DataError(f"{query.catalogue} is one item; give the catalogue or collection that it belongs to")
        yield from root.get_items(recursive=True)
        return
    import warnings

    from pystac_client import Client
    from pystac_client.warnings import PystacClientWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PystacClientWarning)  # a static catalogue conforms to nothing
        client = Client.open(query.catalogue, stac_io=_patient_requests())
        if not client.conforms_to("ITEM_SEARCH"):
            yield from client.get_items(recursive=True)
            return
        search = client.search(
            collections=list(query.collections) or None, bbox=query.bbox, datetime=query.interval, limit=100
        )
        yield from search.items()


def _patient_requests() -> Any:
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retries = Retry(
        total=NUM_RETRIES, backoff_factor=RETRY_FACTOR_S, status_forcelist=RETRY_STATUS, allowed_methods=None
    )
    agent = {"User-Agent": f"skyweave/{skyweave.__version__}"}
    return StacApiIO(headers=agent, max_retries=retries, timeout=TIMEOUT_S)


def _matches(item: Any, query: CatalogueQuery) -> bool:
    """Return whether an item is what was asked for: static catalogues filter nothing, and some servers not all."""
    first, last = parse_interval(query.interval)
    time = item_time(item)
    cloud = item.properties.get(CLOUD_COVER)
    return (
        (not query.collections or item.collection_id in query.collections)
        and (query.bbox is None or _touches_item(item, query.bbox))
        and (first is None or time >= first)
        and (last is None or time <= last)
        and (cloud is None or cloud <= query.max_cloud_percent)
    )


def _touches_item(item: Any, box: Box) -> bool:
    """Return whether an item touches a box, by its box and where that says more, by the boxes of its polygons.

    The box of an item over the antimeridian goes round the Earth in some archives; its polygons are cut there.
    """
    rings = _rings(item.geometry)
    if len(rings) < 2:
        return _touches(item.bbox, box)
    parts = [[*ring.min(0).tolist(), *ring.max(0).tolist()] for ring in rings]
    return _touches(item.bbox, box) and any(_touches(part, box) for part in parts)


def _touches(box: list[float] | None, other: Box) -> bool:
    if box is None:
        return False
    west, south, east, north = box if len(box) == 4 else (box[0], box[1], box[3], box[4])
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    spans += [(west + turn, east + turn) for turn in (-360.0, 360.0) if west <= east]  # items count on beyond 180
    return south < other[3] and north > other[1] and any(w < other[2] and e > other[0] for w, e in spans)
