from .contact_sheet import draw_capture, draw_map, write_contact_sheet
from .ground_mosaic import render_ground_mosaic
from .raster import render_raster
from .rerun_file import write_rerun, write_rerun_image

__all__ = [
    "draw_capture",
    "draw_map",
    "render_ground_mosaic",
    "render_raster",
    "write_contact_sheet",
    "write_rerun",
    "write_rerun_image",
]
