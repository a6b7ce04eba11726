"""Polygons of files: GeoJSON, and whatever else GDAL reads (shapefiles, GeoPackages, GeoParquet)."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyweave.core.errors import DataError
from skyweave.core.json_text import parse_json

DEGREES = "EPSG:4326"  # longitude first, of GeoJSON that says nothing else
TEXT_SUFFIXES = (".geojson", ".json", ".geojsonl", ".ndjson", ".geojsons", "")
PARQUET_SUFFIXES = (".parquet", ".geoparquet")


@dataclass(frozen=True)
class VectorFeatures:
    """Features of a file.

    Attributes:
        geometries: as GeoJSON has them; of type ``nothing`` where a feature has none.
        properties: of each feature.
        crs: reference system of the coordinates; None where the file does not know.
    """

    geometries: list[dict[str, Any]]
    properties: list[Mapping[str, Any]]
    crs: str | None


def read_features(path: Path) -> VectorFeatures:
    """Read the features of a file.

    Args:
        path: of GeoJSON (RFC 7946, or with the ``crs`` of 2008), a shapefile, a GeoPackage, GeoParquet, or another file
            of vectors that GDAL knows.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is none, or has several layers; says what helps.
        ImportError: geopandas is not installed, which reads what is no GeoJSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no polygons {path}; check labels.files")
    return _read_geojson(path) if path.suffix.lower() in TEXT_SUFFIXES else _read_layer(path)


def _read_layer(path: Path) -> VectorFeatures:
    """Read the one layer of a file by GDAL, or the geometries of GeoParquet."""
    import geopandas

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of GDAL, which says the same in the error that follows
        return _features_of(path, geopandas)


def _features_of(path: Path, geopandas: Any) -> VectorFeatures:
    try:
        if path.suffix.lower() in PARQUET_SUFFIXES:
            frame = geopandas.read_parquet(path)
        else:
            layers = geopandas.list_layers(path).name.tolist()
            if len(layers) > 1:
                raise DataError(
                    f"{path} has {len(layers)} layers ({', '.join(layers)}); save the one with the labels as a file "
                    "of its own, in QGIS by Export, Save Features As"
                )
            frame = geopandas.read_file(path)
        features = [feature["geometry"] or {"type": "nothing"} for feature in frame.iterfeatures()]
    except DataError:
        raise
    except Exception as error:  # of GDAL, pyarrow and pandas: whatever a damaged file makes them stumble over
        raise DataError(
            f"{path} cannot be read as vectors ({' '.join(str(error).split()) or type(error).__name__}); save it as "
            "GeoJSON (RFC 7946), in QGIS by Export, Save Features As"
        ) from None
    properties = frame.drop(columns=frame.geometry.name).to_dict("records")
    return VectorFeatures(features, properties, None if frame.crs is None else frame.crs.to_wkt())


def _read_geojson(path: Path) -> VectorFeatures:
    try:
        content = _parse_geojson(path.read_text(encoding="utf-8-sig"))
        geometries = [feature["geometry"] or {"type": "nothing"} for feature in content["features"]]
        properties = [feature.get("properties") or {} for feature in content["features"]]
        declared = (content.get("crs") or {}).get("properties", {}).get("name")
        return VectorFeatures(geometries, properties, declared or DEGREES)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is no GeoJSON of features ({error}); save it as GeoJSON (RFC 7946), in QGIS by Export, Save "
            "Features As"
        ) from error


def _parse_geojson(text: str) -> Any:
    """Return the collection of features of a text: one, a single feature, or one feature a line (RFC 8142)."""
    try:
        content = parse_json(text)
    except json.JSONDecodeError:
        lines = [line.strip("\x1e \r") for line in text.splitlines()]
        content = {"features": [parse_json(line) for line in lines if line]}
    return {"features": [content], "crs": content.get("crs")} if content.get("type") == "Feature" else content
