"""The grid on which a scene is composed: whole pixels in the items' own reference system."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skyweave.core.errors import ConfigError
from skyweave.data.stac.search import Box

MAX_PIXELS = 10**10
POINTS_A_SIDE = 21


@dataclass(frozen=True)
class SceneGrid:
    """Pixels of a composed scene.

    Attributes:
        crs: such as ``EPSG:32633``.
        transform: (a, b, c, d, e, f) of pixels.
        rows: of the scene.
        columns: of the scene.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]
    rows: int
    columns: int


def plan_grid(items: Sequence[Any], bbox: Box | None, resolution: float) -> SceneGrid:
    """Return the grid of a place: of the reference system that most items have, snapped to whole pixels.

    Args:
        items: of the scene.
        bbox: in degrees; None: around all items.
        resolution: metres per pixel.

    Raises:
        ConfigError: it would have too many pixels.
    """
    from pyproj import Transformer

    box = bbox or _enclose(items)
    crs = _common_crs(items) or _utm_zone(box)
    transformer = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    west, south, east, north = transformer.transform_bounds(*box, densify_pts=POINTS_A_SIDE)
    left, bottom = math.floor(west / resolution), math.floor(south / resolution)
    right, top = math.ceil(east / resolution), math.ceil(north / resolution)
    rows, columns = top - bottom, right - left
    if rows * columns > MAX_PIXELS:
        raise ConfigError(f"the scene would have {columns} x {rows} pixels of {resolution:g} m; give a smaller --bbox")
    transform = (resolution, 0.0, left * resolution, 0.0, -resolution, top * resolution)
    return SceneGrid(crs, transform, rows, columns)


def _enclose(items: Sequence[Any]) -> Box:
    halves = [(item.bbox[: len(item.bbox) // 2], item.bbox[len(item.bbox) // 2 :]) for item in items]
    return (
        min(low[0] for low, _ in halves),
        min(low[1] for low, _ in halves),
        max(high[0] for _, high in halves),
        max(high[1] for _, high in halves),
    )


def _common_crs(items: Sequence[Any]) -> str | None:
    """Return the projected reference system in metres that most items declare; None: none does."""
    codes = [code for item in items if (code := _code(item.properties)) is not None]
    return Counter(codes).most_common(1)[0][0] if codes else None


def _code(properties: dict[str, Any]) -> str | None:
    from pyproj import CRS

    code = properties.get("proj:code")
    number = properties.get("proj:epsg")
    text = code if isinstance(code, str) else f"EPSG:{number}" if isinstance(number, int) else None
    if text is None:
        return None
    system = CRS.from_user_input(text)
    return text if system.is_projected and system.axis_info[0].unit_conversion_factor == 1 else None


def _utm_zone(box: Box) -> str:
    longitude, latitude = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    zone = int((longitude + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"
