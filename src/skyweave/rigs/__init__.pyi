from .align import BandAlignment, Stack, align_capture, group_captures
from .band_file import BandFile, read_band_file
from .cameras.registry import RIG_CAMERAS, RigCamera
from .panel import Panel, measure_panel
from .pipeline import AlignOptions, AlignReport, align_files
from .thermal.registry import THERMAL_FORMATS, ThermalFormat, ThermalOptions, read_temperature

__all__ = [
    "RIG_CAMERAS",
    "THERMAL_FORMATS",
    "AlignOptions",
    "AlignReport",
    "BandAlignment",
    "BandFile",
    "Panel",
    "RigCamera",
    "Stack",
    "ThermalFormat",
    "ThermalOptions",
    "align_capture",
    "align_files",
    "group_captures",
    "measure_panel",
    "read_band_file",
    "read_temperature",
]
