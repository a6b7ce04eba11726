"""A static STAC catalogue of a small Sentinel-2 like collection, whose pixels are known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
from affine import Affine
from pyproj import Transformer

CRS = "EPSG:32633"
SIDE = 96
LEFT, TOP = 370_000.0, 5_800_000.0
BANDS = {"red": ("B04", 0.665, 10), "nir": ("B08", 0.833, 10), "swir16": ("B11", 1.61, 20)}
COLLECTION = "optical-l2a"
TIMES = ("2024-05-01T10:00:00Z", "2024-05-01T10:00:15Z", "2024-05-11T10:00:00Z")
CLOUDS = (40.0, 5.0, 0.0)


def reflectance(number: int, band: int) -> float:
    """What every pixel of a band of an item holds."""
    return 0.05 + 0.1 * band + 0.01 * number


def write_catalogue(folder: Path, offset: float = -0.1, properties: dict[str, Any] | None = None) -> Path:
    """Write three items: two of one day side by side with a cloudy stripe, one of another; return the catalogue."""
    catalogue = pystac.Catalog("archive", "made for tests")
    extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    collection = pystac.Collection(COLLECTION, "made for tests", extent)
    catalogue.add_child(collection)
    for number, time in enumerate(TIMES):
        collection.add_item(_write_item(folder, number, time, offset, properties or {}))
    catalogue.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"


def bounding_box(left: float = 0, top: float = 0, side: float = SIDE * 10) -> list[float]:
    """A box in degrees inside a square of metres from the upper left corner of the first item."""
    transformer = Transformer.from_crs(CRS, "OGC:CRS84", always_xy=True)
    box = (LEFT + left, TOP - top - side, LEFT + left + side, TOP - top)
    return list(transformer.transform_bounds(*box))


def _write_item(folder: Path, number: int, time: str, offset: float, properties: dict[str, Any]) -> pystac.Item:
    shift = SIDE // 2 * 10 if number == 1 else 0  # the second overlaps the right half of the first
    box = bounding_box(shift)
    ring = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]]
    item = pystac.Item(
        f"scene-{number}",
        {"type": "Polygon", "coordinates": [ring]},
        box,
        pystac.utils.str_to_datetime(time),
        {"eo:cloud_cover": CLOUDS[number], "proj:code": CRS, **properties},
    )
    item.stac_extensions = [
        "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
        "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    ]
    item.add_asset("visual", pystac.Asset("nothing.tif", media_type="image/tiff", roles=["visual"]))
    for index, (key, (name, wavelength, gsd)) in enumerate(BANDS.items()):
        stored = round((reflectance(number, index) - offset) / 0.0001)
        path = folder / f"pixels-{number}-{key}.tif"
        _write_pixels(path, np.full((SIDE * 10 // gsd,) * 2, stored, np.uint16), gsd, shift)
        asset = pystac.Asset(str(path), media_type="image/tiff; application=geotiff", roles=["data"])
        asset.extra_fields["eo:bands"] = [{"name": name, "common_name": key, "center_wavelength": wavelength}]
        asset.extra_fields["raster:bands"] = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": offset}]
        item.add_asset(key, asset)
    classes = np.full((SIDE, SIDE), 4, np.uint8)
    classes[:16] = 9 if number == 0 else 4  # a cloud over the first rows of the first item
    _write_pixels(folder / f"pixels-{number}-scl.tif", classes, 10, shift)
    item.add_asset(
        "scl", pystac.Asset(str(folder / f"pixels-{number}-scl.tif"), media_type="image/tiff", roles=["data"])
    )
    return item


def _write_pixels(path: Path, values: np.ndarray, gsd: int, shift: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"count": 1, "height": values.shape[0], "width": values.shape[1], "dtype": values.dtype, "nodata": 0}
    place = {"crs": CRS, "transform": Affine(gsd, 0, LEFT + shift, 0, -gsd, TOP)}
    with rasterio.open(path, "w", "GTiff", **profile, **place) as file:
        file.write(values, 1)


def read_items(catalogue: Path, address: str) -> list[dict[str, Any]]:
    """The items of a catalogue as plain JSON, whose files are at an address."""
    items = [json.loads(path.read_text()) for path in sorted(catalogue.parent.rglob("scene-*.json"))]
    for item in items:
        item["links"] = [{"rel": "self", "href": f"https://example.org/items/{item['id']}"}]
        for asset in item["assets"].values():
            asset["href"] = f"{address}/{asset['href'].rsplit('/', 1)[-1]}"
    return items
