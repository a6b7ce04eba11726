"""Vector features: what every kind of result offers to the writers of `skyweave.perception.export`."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np

Rings = list[np.ndarray]
"""Of a polygon (points, 2) each, closed, the outer one first; of a line its one path."""


class GeometryType(IntEnum):
    """Kinds of geometry by their code in well-known binary (OGC 06-103r4)."""

    LINE_STRING = 2
    POLYGON = 3
    MULTI_POLYGON = 6

    @property
    def label(self) -> str:
        """Name in GeoJSON and GeoParquet."""
        return self.name.title().replace("_", "")


@dataclass(frozen=True)
class VectorFeature:
    """A geometry in the world frame and its attributes.

    Attributes:
        kind: type of the geometry.
        parts: one part, or several of a multipolygon.
        properties: plain JSON types; ``time`` in UTC nanoseconds is among them.
    """

    kind: GeometryType
    parts: list[Rings]
    properties: dict[str, Any]


class Result(Protocol):
    """What a head decodes: it can be written as vector features."""

    @property
    def crs(self) -> str | None:
        """Reference system of the world frame as WKT or ``EPSG:code``; None for a local frame."""
        ...

    def features(self) -> list[VectorFeature]:
        """Return the result as geometries with attributes; NaN is None."""
        ...


def finite_or_none(value: Any) -> Any:
    """Return ``value``, or None for a float that is NaN or infinite.

    Args:
        value: any attribute.
    """
    return None if isinstance(value, float) and not np.isfinite(value) else value
