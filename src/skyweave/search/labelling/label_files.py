"""What labelling leaves: the labels, the map, and the estimates of areas."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.quiet import ignore_warnings
from skyweave.data.written_raster import check_written
from skyweave.search.labelling.session import COLOURS, LabelSession
from skyweave.search.places import centres_of

LABELS, MAP, AREAS = "labels.geojson", "map.tif", "areas.json"
OUTPUTS = (LABELS, MAP, AREAS)
CONFIDENCE = "95 %"
METHOD = "stratified estimator, Olofsson et al. 2014, doi 10.1016/j.rse.2014.02.015"


def save_labels(session: LabelSession, folder: Path, name: str) -> None:
    """Write examples and assessed samples as GeoJSON: points in degrees, without a place where it is not known.

    Args:
        session: to save.
        folder: to write into.
        name: of the file of embeddings.
    """
    features = [_feature(session, number, label, "example") for number, label in session.examples.items()]
    if session.assessment is not None:
        pairs = zip(session.assessment.numbers, session.assessment.reference, strict=True)
        features += [_feature(session, int(number), int(label), "sample") for number, label in pairs]
    content = {"type": "FeatureCollection", "embeddings": name, "classes": session.classes, "features": features}
    with write_aside(folder / LABELS) as aside:
        aside.write_text(json.dumps(content, allow_nan=False), "utf-8")


def load_examples(session: LabelSession, folder: Path) -> int:
    """Take up the examples of an earlier session in the same folder.

    Args:
        session: to add them to.
        folder: that `save_labels` wrote into.

    Returns:
        How many there are.

    Raises:
        DataError: a file of other classes or another grid, or one that is damaged.
    """
    path = folder / LABELS
    if not path.exists():
        return 0
    try:
        content = json.loads(path.read_text("utf-8"))
        examples = {}
        for feature in content["features"]:
            fields = feature["properties"]
            if fields["use"] == "example":
                number = session.number_at(int(fields["row"]), int(fields["column"]))
                if number is None:
                    raise ValueError(f"no patch at row {fields['row']}, column {fields['column']}")
                examples[number] = session.classes.index(fields["class"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} does not fit these embeddings and classes ({error}); choose another -o, or give the same ones"
        ) from None
    session.set_examples(examples)
    return len(examples)


def export_results(session: LabelSession, folder: Path, name: str) -> list[str]:
    """Write the labels, the map where there is one, and the areas.

    Args:
        session: to export.
        folder: to write into.
        name: of the file of embeddings.

    Returns:
        The files that were written.
    """
    save_labels(session, folder, name)
    if session.prediction is None:
        return [LABELS]
    _write_map(session, folder / MAP)
    with write_aside(folder / AREAS) as aside:
        aside.write_text(json.dumps(describe_areas(session), indent=1, allow_nan=False), "utf-8")
    return list(OUTPUTS)


def describe_areas(session: LabelSession) -> dict[str, Any]:
    """Return areas by class: counted on the map, and estimated with a confidence interval where a sample was assessed.

    Args:
        session: with a map.
    """
    areas, estimates = session.class_areas(), session.estimates()
    unit = "patches" if session.patch_hectares is None else "hectares"
    classes: list[dict[str, Any]] = []
    for number, label in enumerate(session.classes):
        row: dict[str, Any] = {"class": label, "mapped": float(areas[number])}
        if estimates is not None:
            row |= {
                "estimated": float(estimates.areas[number]),
                "confidence_interval": float(estimates.area_intervals[number]),
                "users_accuracy": _number(estimates.users_accuracy[number]),
                "producers_accuracy": _number(estimates.producers_accuracy[number]),
            }
        classes.append(row)
    content: dict[str, Any] = {"unit": unit, "classes": classes}
    if estimates is None:
        return content | {"estimate": "none: counts of a map hold its errors; assess a sample on the page"}
    return content | {
        "estimate": METHOD,
        "confidence": CONFIDENCE,
        "overall_accuracy": estimates.overall_accuracy,
        "overall_accuracy_standard_error": estimates.overall_error,
        "error_matrix": session.error_matrix().tolist(),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _feature(session: LabelSession, number: int, label: int, use: str) -> dict[str, Any]:
    row, column = divmod(int(session.places.cells[number]), session.places.shape[1])
    geometry = None
    with contextlib.suppress(DataError):  # without a reference system there is no point
        centre = centres_of(session.places.outlines(np.array([number])))[0]
        geometry = {"type": "Point", "coordinates": centre.round(7).tolist()}
    named = session.classes[label] if label >= 0 else None
    properties = {"class": named, "use": use, "row": row, "column": column}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _write_map(session: LabelSession, path: Path) -> None:
    """Write classes from 1, 0 where there is no patch, with their colours and names."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    places = session.places
    rows, columns = places.shape
    values = np.zeros(rows * columns, np.uint8)
    assert session.prediction is not None
    values[places.cells] = session.prediction.classes + 1
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "height": rows, "width": columns, "dtype": "uint8"}
    profile |= {"nodata": 0, "compress": "deflate", "crs": places.crs, "transform": rasterio.Affine(*places.affine)}
    names = {f"CLASS_{number}": name for number, name in enumerate(session.classes, 1)}
    with ignore_warnings(NotGeoreferencedWarning), write_aside(path) as aside:
        with rasterio.open(aside, "w", **profile) as target:
            target.write(values.reshape(rows, columns), 1)
            target.write_colormap(1, {number: hex_colour(COLOURS[number - 1]) for number in range(1, len(names) + 1)})
            target.update_tags(**names)
        check_written(aside, values.reshape(1, rows, columns))


def hex_colour(text: str) -> tuple[int, int, int, int]:
    """Return red, green, blue and opacity, 0 to 255.

    Args:
        text: such as ``#4477aa``.
    """
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16), 255
