"""A fleet's state as the live page draws it, for pages that cannot run one."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from skyweave.core.geometry.outlines import name_colour
from skyweave.core.images.decoding import open_image

SIZE, PANEL = (1120, 640), 320  # pixels of the figure, and of the panel on its right
FINE = 2  # it is drawn so many times as large
BACK, SIDE, RULE, TEXT, DIM = (16, 21, 28), (24, 32, 42), (44, 58, 74), (227, 234, 242), (147, 164, 184)
PLATFORMS = ((108, 182, 255), (255, 180, 84), (126, 224, 129), (255, 138, 200), (200, 160, 255), (255, 224, 102))
LINK = (94, 181, 118)
MARGIN = 56.0  # pixels around what is shown

Points = list[tuple[float, float]]
Projection = Callable[[Any], Points]
"""From metres on the map to pixels of the figure."""


def draw_fleet(state: Mapping[str, Any], jpeg: Callable[[str, str], bytes | None], size: tuple[int, int] = SIZE) -> Any:
    """Draw what `skyweave.fleet.dashboard.state.DashboardState.to_json` returns.

    Args:
        state: of the fleet; the scene with the most boxes is shown.
        jpeg: gives a camera's image, by platform and channel.
        size: (width, height) in pixels.

    Returns:
        (height, width, 3) uint8.
    """
    platforms: Mapping[str, Any] = state["platforms"]
    image = Image.new("RGB", (size[0] * FINE, size[1] * FINE), BACK)
    drawing = ImageDraw.Draw(image, "RGBA")
    names = sorted(platforms)
    if names:
        shown = max(names, key=lambda name: len(platforms[name]["boxes"]))
        _map(drawing, platforms, shown, ((size[0] - PANEL) * FINE, size[1] * FINE))
    drawing.rectangle([(size[0] - PANEL) * FINE, 0, size[0] * FINE, size[1] * FINE], fill=SIDE)
    image = image.resize(size, Image.Resampling.LANCZOS)
    _panel(image, state, names, jpeg)
    return np.asarray(image)


def _map(drawing: ImageDraw.ImageDraw, platforms: Mapping[str, Any], shown: str, size: tuple[int, int]) -> None:
    scene = platforms[shown]
    positions = _positions(platforms)
    corners = [box["centre"][:2] for box in scene["boxes"]] + list(positions.values())
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    scale = float(((np.array(size) - 2 * MARGIN * FINE) / np.maximum(high - low, 10.0)).min())
    middle = (low + high) / 2

    def at(points: Any) -> Points:
        moved = (np.asarray(points, float).reshape(-1, 2) - middle) * (scale, -scale) + np.array(size) / 2
        return [(float(x), float(y)) for x, y in moved]

    colours = {name: PLATFORMS[i % len(PLATFORMS)] for i, name in enumerate(sorted(platforms))}
    for name, one in platforms.items():
        _draw_views(drawing, one["views"], colours[name], at)
    for name, one in platforms.items():
        _draw_links(drawing, name, one["peer_frames"], positions, at)
    for forecast in scene["forecasts"]:
        _draw_forecast(drawing, forecast, at)
    for box in scene["boxes"]:
        _draw_box(drawing, box, at)
    font = ImageFont.load_default(12 * FINE)
    for name, position in positions.items():
        ((x, y),) = at(position)
        drawing.regular_polygon((x, y, 7 * FINE), 3, fill=colours[name])
        drawing.text((x + 10 * FINE, y - 12 * FINE), name, fill=colours[name], font=font)
    _scale_bar(drawing, scale, size, font)


def _positions(platforms: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the platforms are that have views."""
    return {name: one["views"][0]["position"][:2] for name, one in platforms.items() if one["views"]}


def _draw_views(drawing: ImageDraw.ImageDraw, views: Any, colour: tuple[int, int, int], at: Projection) -> None:
    """Draw the ground that each camera of a platform sees."""
    for view in views:
        if len(view["footprint"]) > 2:
            drawing.polygon(at(view["footprint"]), fill=(*colour, 22), outline=(*colour, 150))


def _draw_links(
    drawing: ImageDraw.ImageDraw, name: str, peers: Any, positions: Mapping[str, Any], at: Projection
) -> None:
    """Draw a line to each peer whose frames a platform fused; each pair once."""
    for other in peers:
        if name < other and other in positions and name in positions:
            drawing.line(at([positions[name], positions[other]]), fill=(*LINK, 170), width=FINE)


def _draw_forecast(drawing: ImageDraw.ImageDraw, forecast: Mapping[str, Any], at: Projection) -> None:
    """Draw the path of an object, dashed: every other piece."""
    path = at(forecast["path"])
    for begin, end in zip(path[::2], path[1::2], strict=False):
        drawing.line([begin, end], fill=name_colour(forecast["category"]), width=FINE)


def _draw_box(drawing: ImageDraw.ImageDraw, box: Mapping[str, Any], at: Projection) -> None:
    """Draw the outline of an object, its front thicker."""
    outline = _footprint(box)
    drawing.polygon(at(outline), outline=name_colour(box["category"]), width=FINE + 1)
    drawing.line(at(outline[[0, 3]]), fill=name_colour(box["category"]), width=3 * FINE)


def _footprint(box: Mapping[str, Any]) -> np.ndarray:
    """(4, 2) corners on the ground, the first and the last in front."""
    length, width = box["size"][:2]
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (length / 2, width / 2)
    cosine, sine = np.cos(box["yaw"]), np.sin(box["yaw"])
    turned: np.ndarray = corners @ np.array([[cosine, sine], [-sine, cosine]]) + box["centre"][:2]
    return turned


def _scale_bar(drawing: ImageDraw.ImageDraw, scale: float, size: tuple[int, int], font: Any) -> None:
    x, y = size[0] - 20 * FINE, size[1] - 16 * FINE
    drawing.line([(x - 10 * scale, y), (x, y)], fill=DIM, width=2 * FINE)
    drawing.text((x - 10 * scale, y - 18 * FINE), "10 m", fill=DIM, font=font)


def _panel(
    image: Image.Image, state: Mapping[str, Any], names: list[str], jpeg: Callable[[str, str], bytes | None]
) -> None:
    drawing = ImageDraw.Draw(image)
    small, left = ImageFont.load_default(12), image.width - PANEL + 14
    columns = (left + 16, left + 92, left + 154, left + 210, left + 258)
    y = 12
    drawing.text((left, y), f"{state['fleet']}: {len(names)} platforms", fill=TEXT, font=ImageFont.load_default(15))
    y += 28
    for x, title in zip(columns, ("platform", "latency", "boxes", "fused", "kbit/s"), strict=True):
        drawing.text((x, y), title, fill=DIM, font=small)
    for number, name in enumerate(names):
        y += 20
        one = state["platforms"][name]
        kbits = 8 * sum(one.get("rates", {}).values()) / 1000
        values = (name, f"{1000 * one['latency']:.0f} ms", len(one["boxes"]), len(one["peer_frames"]), f"{kbits:.1f}")
        drawing.line([(left, y - 3), (image.width - 14, y - 3)], fill=RULE)
        drawing.ellipse([left, y + 3, left + 9, y + 12], fill=PLATFORMS[number % len(PLATFORMS)])
        for x, value in zip(columns, values, strict=True):
            drawing.text((x, y), str(value), fill=TEXT, font=small)
    _draw_thumbnails(image, state["cameras"][:6], jpeg, (left, y + 32), small)


def _draw_thumbnails(
    image: Image.Image,
    cameras: Sequence[Mapping[str, Any]],
    jpeg: Callable[[str, str], bytes | None],
    corner: tuple[int, int],
    font: Any,
) -> None:
    """Draw the cameras' images that there are, two a row below the upper left corner."""
    drawing = ImageDraw.Draw(image)
    left, y = corner
    width = (PANEL - 14 * 2 - 8) // 2
    for number, camera in enumerate(cameras):
        data = jpeg(camera["platform"], camera["channel"])
        if data is None:
            continue
        with open_image(io.BytesIO(data), camera["channel"]) as opened:
            thumbnail = opened.convert("RGB")
        thumbnail = thumbnail.resize((width, round(thumbnail.height * width / thumbnail.width)))
        place = (left + (number % 2) * (width + 8), y + (number // 2) * (thumbnail.height + 22))
        image.paste(thumbnail, place)
        drawing.text((place[0], place[1] + thumbnail.height + 2), camera["platform"], fill=DIM, font=font)
