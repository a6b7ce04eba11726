"""A contact sheet: the pictures of a few frames with their boxes, and beside them the map from above."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.outlines import camera_footprint, name_colour, project_box_edges
from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.recordings.recording import Frame, RecordedScene
from skyweave.viewing.ground_mosaic import frame_map_grid, render_ground_mosaic

MAX_IMAGES_PER_ROW = 5  # pictures beside each other
MIN_THUMBNAIL_PIXELS, MAX_THUMBNAIL_PIXELS = 200, 450  # pixels across a picture
MAP_PIXELS = 420
GAP_PIXELS, LINE_PIXELS = 6, 16
BACKGROUND, FOREGROUND, FAINT = (24, 26, 30), (235, 235, 235), (150, 150, 150)
MAX_FOOTPRINT_M = 400.0  # metres to which a view is outlined


def write_contact_sheet(
    path: str | Path, scene: RecordedScene, numbers: Sequence[int], channels: Sequence[str] | None = None
) -> list[str]:
    """Draw some frames of a scene into one PNG, one below the other.

    Args:
        path: of the PNG.
        scene: whose frames to draw.
        numbers: of the frames.
        channels: cameras to draw; default: all.

    Returns:
        What could not be loaded, and why: such a picture is an empty field that says so.
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
    """One frame: a title, its pictures in rows, the map on the right."""
    frame = scene.frames[number]
    names = sorted(frame.captures if channels is None else set(frame.captures) & set(channels))
    pictures: dict[str, Observation] = {}
    for name in names:
        try:
            pictures[name] = frame.captures[name].load()
        except (ValueError, OSError) as error:
            problems.append(f"frame {number}, {name}: {error}")
    across = next(
        columns for columns, most in ((1, 1), (2, 4), (3, 9), (MAX_IMAGES_PER_ROW, 10**9)) if len(names) <= most
    )
    width = int(np.clip(900 // across, MIN_THUMBNAIL_PIXELS, MAX_THUMBNAIL_PIXELS))
    thumbnails = [_thumbnail(frame, name, pictures.get(name), width) for name in names]
    height = max((image.height for image in thumbnails), default=0)
    rows = -(-len(names) // across)
    tall = LINE_PIXELS + GAP_PIXELS + max(rows * (height + GAP_PIXELS), MAP_PIXELS + GAP_PIXELS)
    strip = Image.new("RGB", (GAP_PIXELS + across * (width + GAP_PIXELS) + MAP_PIXELS + GAP_PIXELS, tall), BACKGROUND)
    drawing = ImageDraw.Draw(strip)
    time = datetime.fromtimestamp(frame.time / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    count = len(frame.annotations.boxes) if frame.annotations else "no"
    drawing.text(
        (GAP_PIXELS, 3), f"{scene.name}  frame {number}  {time} UTC  {count} objects annotated", fill=FOREGROUND
    )
    for index, thumbnail in enumerate(thumbnails):
        row, column = divmod(index, across)
        strip.paste(
            thumbnail,
            (GAP_PIXELS + column * (width + GAP_PIXELS), LINE_PIXELS + GAP_PIXELS + row * (height + GAP_PIXELS)),
        )
    strip.paste(_map(scene, frame, pictures), (strip.width - MAP_PIXELS - GAP_PIXELS, LINE_PIXELS + GAP_PIXELS))
    return strip


def draw_capture(frame: Frame, name: str, width: int = 448) -> Image.Image:
    """One camera's picture with the boxes of the frame's objects. Raises as the capture's ``load``."""
    return _thumbnail(frame, name, frame.captures[name].load(), width)


def draw_map(scene: RecordedScene, number: int, grid: MapGrid | None = None) -> Image.Image:
    """One frame from above: its pictures on the ground, its objects, its views. Raises as the captures' ``load``."""
    frame = scene.frames[number]
    return _map(scene, frame, {name: capture.load() for name, capture in frame.captures.items()}, grid)


def _thumbnail(frame: Frame, name: str, observation: Observation | None, width: int) -> Image.Image:
    geometry = frame.captures[name].geometry
    camera = geometry.camera
    scale = width / camera.columns
    height = max(round(camera.rows * scale), 1)
    if observation is None:
        image = Image.new("RGB", (width, height), (60, 30, 30))
        ImageDraw.Draw(image).text((4, height // 2), "cannot be loaded", fill=FOREGROUND)
    else:
        image = Image.fromarray(true_color_image(observation)).resize((width, height), Image.Resampling.BILINEAR)
    drawing = ImageDraw.Draw(image)
    if (objects := frame.annotations) is not None and len(objects.boxes):
        for outline, category in zip(project_box_edges(geometry, objects.boxes), objects.categories, strict=True):
            for start, end in outline * (scale, height / camera.rows):
                drawing.line([tuple(start), tuple(end)], fill=name_colour(category), width=1)
    drawing.rectangle([0, 0, drawing.textlength(name) + 6, 12], fill=BACKGROUND)
    drawing.text((3, 1), name, fill=name_colour(frame.captures[name].platform))
    return image


def _map(
    scene: RecordedScene, frame: Frame, pictures: dict[str, Observation], grid: MapGrid | None = None
) -> Image.Image:
    """The ground from above, objects with their headings, and the views."""
    grid = grid or frame_map_grid(frame, scene.ground, MAP_PIXELS, scene.crs)
    image = Image.fromarray(render_ground_mosaic(frame, scene.ground, grid, pictures)).resize((MAP_PIXELS, MAP_PIXELS))
    drawing = ImageDraw.Draw(image)
    for name in sorted(frame.captures):
        capture = frame.captures[name]
        colour = name_colour(capture.platform)
        outline = _on_map(grid, camera_footprint(capture.geometry, scene.ground, MAX_FOOTPRINT_M))
        drawing.line([*map(tuple, outline), tuple(outline[0])], fill=colour, width=1)
        x, y = _on_map(grid, capture.geometry.position[None])[0]
        drawing.ellipse([x - 3, y - 3, x + 3, y + 3], fill=colour, outline=BACKGROUND)
    if (objects := frame.annotations) is not None and len(objects.boxes):
        for corners, category in zip(objects.boxes.footprints(), objects.categories, strict=True):
            pixels = _on_map(grid, corners)
            drawing.polygon([*map(tuple, pixels)], outline=name_colour(category))
            middle, front = pixels.mean(axis=0), pixels[[0, 3]].mean(axis=0)
            drawing.line([tuple(middle), tuple(front)], fill=name_colour(category))
    _scale_bar(drawing, grid)
    return image


def _on_map(grid: MapGrid, points: np.ndarray) -> np.ndarray:
    """(n, 2) pixels (x, y) of the map of world points."""
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
