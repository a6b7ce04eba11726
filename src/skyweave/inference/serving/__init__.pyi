from .layers import MapLayer, open_layers
from .qgis_project import write_qgis_project
from .styles import STYLES, MapStyle, class_colour
from .tiles import render_tile

__all__ = ["STYLES", "MapLayer", "MapStyle", "class_colour", "open_layers", "render_tile", "write_qgis_project"]
