"""A project for QGIS beside outputs: their layers with names, colours and legends, opened with a double click.

The file follows what QGIS 3 writes (https://docs.qgis.org/latest/en/docs/user_manual/appendices/qgis_file_formats.html):
a layer tree, and for each layer its file, its reference system and a renderer. ``.qgz`` is the same in a zip.
"""

import io
import os
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import skyweave
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError
from skyweave.data.header import read_header
from skyweave.inference.serving.layers import MapLayer, open_layers
from skyweave.inference.serving.styles import ClassStyle, FeatureStyle, ImageStyle, MapStyle, RampStyle

QGIS_VERSION = "3.22.0"
"""Whose format is written; newer programs read it."""
SUFFIXES = (".qgs", ".qgz")
RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2")
COLOURS = ("red", "green", "blue")


def write_qgis_project(path: str | Path, layers: Sequence[MapLayer]) -> None:
    """Write a project; its files are named relative to it, so that a folder can be moved as a whole.

    Args:
        path: ``.qgs`` or ``.qgz``.
        layers: the first lies on top.

    Raises:
        ConfigError: another suffix.
        OSError: the disk is full.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: a project for QGIS is called .qgs or .qgz")
    content = _render(build_project(layers, path.absolute().parent))
    with write_aside(path) as aside:
        aside.write_bytes(content if path.suffix == ".qgs" else _zip(content, f"{path.stem}.qgs"))


def write_project_of(path: Path, output: Path, scenes: Sequence[str]) -> None:
    """Write a project of an output above the scenes that it was made of.

    Args:
        path: of the project.
        output: GeoTIFF of features or predictions.
        scenes: as they were given; products and addresses, which QGIS has ways of its own for, are left out.

    Raises:
        DataError: the output has no place on the Earth.
    """
    files = [scene for scene in scenes if Path(scene).is_file() and Path(scene).suffix.lower() in RASTER_SUFFIXES]
    write_qgis_project(path, open_layers([output, *files]))


def build_project(layers: Sequence[MapLayer], folder: Path) -> ET.Element:
    """Return the document of a project.

    Args:
        layers: the first lies on top.
        folder: of the project.
    """
    project = ET.Element("qgis", version=QGIS_VERSION, projectname="Skyweave")
    ET.SubElement(project, "title").text = "Skyweave"
    crs = ET.SubElement(project, "projectCrs")
    crs.append(_reference_system(layers[0].path))
    tree, order = ET.SubElement(project, "layer-tree-group"), ET.Element("layerorder")
    files = ET.SubElement(project, "projectlayers")
    for number, layer in enumerate(layers):
        identity = f"skyweave_{layer.name}_{number}"  # QGIS gives a new one where it has 10 characters or fewer
        source = os.path.relpath(layer.path.absolute(), folder)
        shown = "Qt::Checked" if number in (0, len(layers) - 1) else "Qt::Unchecked"
        entry = {"id": identity, "name": layer.title, "source": f"./{source}", "providerKey": "gdal"}
        ET.SubElement(tree, "layer-tree-layer", {"checked": shown, "expanded": "1", **entry})
        ET.SubElement(order, "layer", id=identity)
        files.append(_layer(layer, identity, f"./{source}"))
    project.extend([order, _canvas(layers[0].path), _properties()])
    return project


def _layer(layer: MapLayer, identity: str, source: str) -> ET.Element:
    element = ET.Element("maplayer", type="raster", hasScaleBasedVisibilityFlag="0")
    for tag, text in (("id", identity), ("datasource", source), ("layername", layer.title), ("provider", "gdal")):
        ET.SubElement(element, tag).text = text
    ET.SubElement(element, "srs").append(_reference_system(layer.path))
    about = ET.SubElement(ET.SubElement(element, "resourceMetadata"), "abstract")
    about.text = f"Written by skyweave {skyweave.__version__}"
    pipe = ET.SubElement(element, "pipe")
    how = "bilinear" if layer.style.is_smooth else "nearestNeighbour"
    resampling = {f"zoomed{way}ResamplingMethod": how for way in ("In", "Out")} | {"enabled": "true"}
    ET.SubElement(ET.SubElement(pipe, "provider"), "resampling", resampling)
    pipe.append(_renderer(layer.style))
    ET.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0")
    ET.SubElement(pipe, "huesaturation", saturation="0")
    ET.SubElement(pipe, "rasterresampler", maxOversampling="2")
    return element


def _renderer(style: MapStyle) -> ET.Element:
    return RENDERERS[type(style)](style)


def _render_features(style: FeatureStyle) -> ET.Element:
    """Return the colours of features: QGIS projects nothing, so the channel that each component is largest in."""
    components = style.components
    weights = abs(components.axes) * components.deviations
    bands: list[int] = []
    for component in range(3):
        ordered = weights[:, component].argsort()[::-1].tolist()
        bands.append(next((band for band in ordered if band not in bands), ordered[0]))
    spans = []
    for band in bands:
        deviation = float((components.axes[band] ** 2 * components.deviations**2).sum() ** 0.5) or 1.0
        mean = float(components.mean[band])
        spans.append((mean - 2 * deviation, mean + 2 * deviation))
    return _multiband([band + 1 for band in bands], spans)


def _render_image(style: ImageStyle) -> ET.Element:
    spans = list(zip(style.low, style.high, strict=True))
    indexes = list(style.indexes)
    return _multiband(indexes * 3, spans * 3) if len(indexes) == 1 else _multiband(indexes, spans)


def _render_classes(style: ClassStyle) -> ET.Element:
    renderer = _new_renderer("paletted", band="1")
    palette = ET.SubElement(renderer, "colorPalette")
    for (number, name), (colour, _) in zip(style.names.items(), style.legend, strict=True):
        ET.SubElement(palette, "paletteEntry", value=str(number), color=colour, alpha="255", label=name)
    return renderer


def _render_ramp(style: RampStyle) -> ET.Element:
    low, high = f"{style.low:.9g}", f"{style.high:.9g}"
    renderer = _new_renderer(
        "singlebandpseudocolor", band=str(style.band), classificationMin=low, classificationMax=high
    )
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        {"colorRampType": "INTERPOLATED", "classificationMode": "1", "clip": "0"}
        | {"minimumValue": low, "maximumValue": high},
    )
    for (number, _), (colour, label) in zip(style.stops, style.legend, strict=True):
        ET.SubElement(shader, "item", value=f"{number:.9g}", color=colour, alpha="255", label=label)
    return renderer


RENDERERS: dict[type, Callable[..., ET.Element]] = {
    FeatureStyle: _render_features,
    ImageStyle: _render_image,
    ClassStyle: _render_classes,
    RampStyle: _render_ramp,
}


def _multiband(bands: Sequence[int], spans: Sequence[tuple[float, float]]) -> ET.Element:
    """Return a renderer of three bands, each stretched over its span."""
    names = {f"{colour}Band": str(band) for colour, band in zip(COLOURS, bands, strict=True)}
    renderer = _new_renderer("multibandcolor", **names)
    for colour, (low, high) in zip(COLOURS, spans, strict=True):
        enhancement = ET.SubElement(renderer, f"{colour}ContrastEnhancement")
        ET.SubElement(enhancement, "minValue").text = f"{low:.9g}"
        ET.SubElement(enhancement, "maxValue").text = f"{high:.9g}"
        ET.SubElement(enhancement, "algorithm").text = "StretchToMinimumMaximum"
    return renderer


def _new_renderer(kind: str, **attributes: str) -> ET.Element:
    renderer = ET.Element("rasterrenderer", {"type": kind, "opacity": "1", "alphaBand": "-1", **attributes})
    limits = ET.SubElement(renderer, "minMaxOrigin")
    for tag, text in (("limits", "None"), ("extent", "WholeRaster"), ("statAccuracy", "Estimated")):
        ET.SubElement(limits, tag).text = text
    return renderer


def _reference_system(path: Path) -> ET.Element:
    """Return the reference system of a file, which QGIS looks up by its code or reads as WKT."""
    from pyproj import CRS

    system = CRS.from_user_input(read_header(path).crs)
    element = ET.Element("spatialrefsys", nativeFormat="Wkt")
    ET.SubElement(element, "wkt").text = system.to_wkt()
    authority = system.to_authority()
    if authority:
        ET.SubElement(element, "authid").text = ":".join(authority)
    ET.SubElement(element, "description").text = system.name
    return element


def _canvas(path: Path) -> ET.Element:
    """Return the view that a project opens with: all of a file, in its reference system."""
    header = read_header(path)
    a, b, c, d, e, f = header.affine
    corners = [(row, column) for row in (0, header.shape[0]) for column in (0, header.shape[1])]
    x = [a * column + b * row + c for row, column in corners]
    y = [d * column + e * row + f for row, column in corners]
    canvas = ET.Element("mapcanvas", name="theMapCanvas")
    extent = ET.SubElement(canvas, "extent")
    for tag, value in (("xmin", min(x)), ("ymin", min(y)), ("xmax", max(x)), ("ymax", max(y))):
        ET.SubElement(extent, tag).text = repr(float(value))
    ET.SubElement(canvas, "destinationsrs").append(_reference_system(path))
    return canvas


def _properties() -> ET.Element:
    """Return what makes files relative to the project, and the map's reference system count."""
    properties = ET.Element("properties")
    ET.SubElement(ET.SubElement(properties, "Paths"), "Absolute", type="bool").text = "false"
    ET.SubElement(ET.SubElement(properties, "SpatialRefSys"), "ProjectionsEnabled", type="int").text = "1"
    return properties


def _render(project: ET.Element) -> bytes:
    ET.indent(project)
    body: bytes = ET.tostring(project, "utf-8")
    return b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + body + b"\n"


def _zip(content: bytes, name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()
