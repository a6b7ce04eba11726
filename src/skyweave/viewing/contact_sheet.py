"""A contact sheet: the images of a few frames with their boxes, and beside them the map from above."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.outlines import camera_footprint, name_colour, project_box_edges
from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.recordings.recording import Annotations, Frame, RecordedScene
from skyweave.viewing.captures import load_captures
from skyweave.viewing.ground_mosaic import frame_map_grid, render_ground_mosaic

MAX_IMAGES_PER_ROW = 5
MIN_THUMBNAIL_PIXELS, MAX_THUMBNAIL_PIXELS = 200, 450  # width
ROW_PIXELS = 900  # width that the thumbnails of a row share
MAP_PIXELS = 420  # side
GAP_PIXELS, LINE_PIXELS = 6, 16
BACKGROUND, FOREGROUND = (24, 26, 30), (235, 235, 235)
FAILED = (60, 30, 30)  # of an image that cannot be loaded
MAX_FOOTPRINT_M = 400.0  # to which a camera's footprint is drawn


def write_contact_sheet(
    path: str | Path, scene: RecordedScene, numbers: Sequence[int], channels: Sequence[str] | None = None
) -> list[str]:
    """Draw some frames of a scene into one PNG, one below the other.

    Args:
        path: of the PNG.
        scene: whose frames to draw.
        numbers: of the frames, at least one.
        channels: cameras to draw; default: all.

    Returns:
        What could not be loaded, and why: the thumbnail says so.
    """
    problems: list[str] = []
    strips = [draw_frame(scene, number, channels, problems) for number in numbers]
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), BACKGROUND)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    with write_aside(path) as aside:
        sheet.save(aside, format="PNG")
    return problems


def draw_frame(scene: RecordedScene, number: int, channels: Sequence[str] | None, problems: list[str]) -> Image.Image:
    """Draw one frame: a title, its images in rows, the map on the right.

    Args:
        scene: that the frame is of.
        number: of the frame.
        channels: cameras to draw; default: all.
        problems: what cannot be loaded is added here.
    """
    frame = scene.frames[number]
    names = sorted(frame.captures if channels is None else set(frame.captures) & set(channels))
    images = load_captures(frame, number, names, problems)
    per_row = _images_per_row(len(names))
    width = int(np.clip(ROW_PIXELS // per_row, MIN_THUMBNAIL_PIXELS, MAX_THUMBNAIL_PIXELS))
    thumbnails = [_thumbnail(frame, name, images.get(name), width) for name in names]
    height = max((image.height for image in thumbnails), default=0)
    rows = -(-len(names) // per_row)
    strip_height = LINE_PIXELS + GAP_PIXELS + max(rows * (height + GAP_PIXELS), MAP_PIXELS + GAP_PIXELS)
    strip_width = GAP_PIXELS + per_row * (width + GAP_PIXELS) + MAP_PIXELS + GAP_PIXELS
    strip = Image.new("RGB", (strip_width, strip_height), BACKGROUND)
    ImageDraw.Draw(strip).text((GAP_PIXELS, 3), _title(scene, number), fill=FOREGROUND)
    top = LINE_PIXELS + GAP_PIXELS
    for index, thumbnail in enumerate(thumbnails):
        row, column = divmod(index, per_row)
        strip.paste(thumbnail, (GAP_PIXELS + column * (width + GAP_PIXELS), top + row * (height + GAP_PIXELS)))
    strip.paste(_map(scene, frame, images), (strip.width - MAP_PIXELS - GAP_PIXELS, top))
    return strip


def draw_capture(frame: Frame, name: str, width: int = 448) -> Image.Image:
    """Draw one camera's image with the boxes of the frame's objects.

    Args:
        frame: of a recording.
        name: of the camera.
        width: of the result in pixels.

    Raises:
        DataError: the image cannot be loaded.
    """
    return _thumbnail(frame, name, frame.captures[name].load(), width)


def draw_map(scene: RecordedScene, number: int, grid: MapGrid | None = None) -> Image.Image:
    """Draw one frame from above: its images on the ground, its objects, the footprints of its cameras.

    Args:
        scene: that the frame is of.
        number: of the frame.
        grid: to draw; default: one around the frame's objects and cameras.

    Raises:
        DataError: an image cannot be loaded.
    """
    frame = scene.frames[number]
    return _map(scene, frame, {name: capture.load() for name, capture in frame.captures.items()}, grid)


def _images_per_row(count: int) -> int:
    return next((columns for columns in (1, 2, 3) if count <= columns**2), MAX_IMAGES_PER_ROW)


def _title(scene: RecordedScene, number: int) -> str:
    frame = scene.frames[number]
    time = datetime.fromtimestamp(frame.time / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    count = len(frame.annotations.boxes) if frame.annotations else "no"
    return f"{scene.name}  frame {number}  {time} UTC  {count} objects annotated"


def _draw_boxes(
    drawing: ImageDraw.ImageDraw, geometry: CameraGeometry, objects: Annotations, scale: tuple[float, float]
) -> None:
    """Draw the edges of the boxes, scaled (columns, rows) from the camera's pixels."""
    for outline, category in zip(project_box_edges(geometry, objects.boxes), objects.categories, strict=True):
        for start, end in outline * scale:
            drawing.line([tuple(start), tuple(end)], fill=name_colour(category), width=1)


def _thumbnail(frame: Frame, name: str, observation: Observation | None, width: int) -> Image.Image:
    geometry = frame.captures[name].geometry
    camera = geometry.camera
    scale = width / camera.columns
    height = max(round(camera.rows * scale), 1)
    if observation is None:
        image = Image.new("RGB", (width, height), FAILED)
        ImageDraw.Draw(image).text((4, height // 2), "cannot be loaded", fill=FOREGROUND)
    else:
        image = Image.fromarray(true_color_image(observation)).resize((width, height), Image.Resampling.BILINEAR)
    drawing = ImageDraw.Draw(image)
    if (objects := frame.annotations) is not None and len(objects.boxes):
        _draw_boxes(drawing, geometry, objects, (scale, height / camera.rows))
    drawing.rectangle([0, 0, drawing.textlength(name) + 6, 12], fill=BACKGROUND)
    drawing.text((3, 1), name, fill=name_colour(frame.captures[name].platform))
    return image


def _map(
    scene: RecordedScene, frame: Frame, images: dict[str, Observation], grid: MapGrid | None = None
) -> Image.Image:
    """Draw the ground from above, objects with their headings, and the footprints of the cameras."""
    grid = grid or frame_map_grid(frame, scene.ground, MAP_PIXELS, scene.crs)
    image = Image.fromarray(render_ground_mosaic(frame, scene.ground, grid, images)).resize((MAP_PIXELS, MAP_PIXELS))
    drawing = ImageDraw.Draw(image)
    _draw_cameras(drawing, scene, frame, grid)
    if frame.annotations is not None and len(frame.annotations.boxes):
        _draw_objects(drawing, frame.annotations, grid)
    _scale_bar(drawing, grid)
    return image


def _draw_cameras(drawing: ImageDraw.ImageDraw, scene: RecordedScene, frame: Frame, grid: MapGrid) -> None:
    """Draw position and footprint of each camera."""
    for name in sorted(frame.captures):
        capture = frame.captures[name]
        colour = name_colour(capture.platform)
        outline = _on_map(grid, camera_footprint(capture.geometry, scene.ground, MAX_FOOTPRINT_M))
        drawing.line([*map(tuple, outline), tuple(outline[0])], fill=colour, width=1)
        x, y = _on_map(grid, capture.geometry.position[None])[0]
        drawing.ellipse([x - 3, y - 3, x + 3, y + 3], fill=colour, outline=BACKGROUND)


def _draw_objects(drawing: ImageDraw.ImageDraw, objects: Annotations, grid: MapGrid) -> None:
    """Draw the footprint of each object, and a line from its middle to its front."""
    for corners, category in zip(objects.boxes.footprints(), objects.categories, strict=True):
        pixels = _on_map(grid, corners)
        drawing.polygon([*map(tuple, pixels)], outline=name_colour(category))
        middle, front = pixels.mean(axis=0), pixels[[0, 3]].mean(axis=0)
        drawing.line([tuple(middle), tuple(front)], fill=name_colour(category))


def _on_map(grid: MapGrid, points: np.ndarray) -> np.ndarray:
    """Return the pixels (x, y) of the map of world points: (n, 2)."""
    cells = grid.cells_from_world(points)
    pixels: np.ndarray = cells[:, ::-1] * (MAP_PIXELS / np.array([grid.columns, grid.rows]))
    return pixels


def _scale_bar(drawing: ImageDraw.ImageDraw, grid: MapGrid) -> None:
    metres = grid.columns * grid.resolution
    length = 10.0 ** np.floor(np.log10(metres / 3))
    length *= next(factor for factor in (5, 2, 1) if length * factor <= metres / 3)
    pixels = length / metres * MAP_PIXELS
    drawing.rectangle([8, MAP_PIXELS - 14, 8 + pixels, MAP_PIXELS - 11], fill=FOREGROUND)
    drawing.text((8, MAP_PIXELS - 28), f"{length:g} m, north up", fill=FOREGROUND)
