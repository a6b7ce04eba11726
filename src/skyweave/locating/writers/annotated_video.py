"""The images with the tracks drawn into them, and the map beside them, as a video."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.locating.image_sequence import TimedImage
from skyweave.locating.track_table import TrackTable
from skyweave.locating.writers.base import TrackOutput, TrackPlace, file_of_camera, places_by_image
from skyweave.locating.writers.colours import colour_of

PANEL_ROWS = 720
MAP_COLUMNS = 540
TAIL_S = 5.0  # of a track that is drawn behind it on the map
VISIBLE_S = 0.5  # for which a track stays on the map unseen


def write_annotated_video(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``annotated.mp4``, or ``annotated-CAMERA.mp4`` of several.

    Args:
        output: what to write.
        folder: where.

    Raises:
        DataError: there are no images.
    """
    paths = []
    for platform, sequence in enumerate(output.sequences):
        if sequence.size is None:
            raise DataError("an annotated video needs images; give the video, not a list of its frames")
        paths.append(_write_one(output, platform, folder / file_of_camera(output, platform, "annotated", ".mp4")))
    return paths


def _write_one(output: TrackOutput, platform: int, path: Path) -> Path:
    import av

    sequence = output.sequences[platform]
    rows, columns = sequence.size or (PANEL_ROWS, PANEL_ROWS)
    width = int(PANEL_ROWS * columns / rows) // 2 * 2
    schedule = sequence.schedule()
    step = np.median(np.diff([seconds for _, seconds, _ in schedule])) if len(schedule) > 1 else 0.1
    places = places_by_image(output, platform)
    start = output.result.streams[platform].images[0].time + output.result.streams[platform].start
    panel = _MapPanel(output.tables)
    with write_aside(path) as aside, av.open(str(aside), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(1 / float(step)).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width + MAP_COLUMNS, PANEL_ROWS, "yuv420p"
        for image in sequence.images(0, True):
            time = start + round(image.seconds * 1e9)
            shown = [(place, _box(output, platform, image.frame, place)) for place in places[image.frame]]
            frame = np.hstack([_draw_image(image, shown, width), panel.draw(time)])
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def _box(output: TrackOutput, platform: int, frame: int, place: TrackPlace) -> np.ndarray:
    """Return the box of one point in its image: (4,) pixels."""
    return np.asarray(output.result.located[platform, frame].detections.boxes[place.table.rows[place.row]])


def _draw_image(image: TimedImage, shown: Sequence[tuple[TrackPlace, np.ndarray]], width: int) -> np.ndarray:
    from PIL import Image, ImageDraw

    assert image.pixels is not None
    scale = PANEL_ROWS / image.pixels.shape[0]
    canvas = Image.fromarray(image.pixels).resize((width, PANEL_ROWS), Image.Resampling.BILINEAR, reducing_gap=2)
    draw = ImageDraw.Draw(canvas)
    for place, box in shown:
        table = place.table
        left, top, right, bottom = box * scale
        colour = colour_of(table.category)
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        text = f"{table.number} {table.speeds[place.row] * 3.6:.0f} km/h"
        draw.text((left + 2, max(top - 13, 0)), text, fill=colour, stroke_width=1, stroke_fill="black")
    return np.asarray(canvas)


class _MapPanel:
    """Draws the tracks on a map, north up."""

    def __init__(self, tables: Sequence[TrackTable]) -> None:
        self.tables = tables
        points = np.concatenate([table.points for table in tables]) if tables else np.zeros((1, 2))
        low, high = points.min(0), points.max(0)
        size = np.maximum((high - low) * 1.15, 20.0)
        self.scale = float(min(MAP_COLUMNS / size[0], PANEL_ROWS / size[1]))
        self.middle = (low + high) / 2

    def draw(self, time: int) -> np.ndarray:
        """Return the map at a time: (PANEL_ROWS, MAP_COLUMNS, 3) uint8."""
        from PIL import Image, ImageDraw

        canvas = Image.new("RGB", (MAP_COLUMNS, PANEL_ROWS), "#141b22")
        draw = ImageDraw.Draw(canvas)
        for table in self.tables:
            rows = np.flatnonzero((table.times <= time) & (table.times > time - TAIL_S * 1e9))
            if not len(rows) or time - table.times[rows[-1]] > VISIBLE_S * 1e9:
                continue
            pixels = (table.points[rows] - self.middle) * np.array([self.scale, -self.scale])
            pixels = pixels + np.array([MAP_COLUMNS / 2, PANEL_ROWS / 2])
            colour = colour_of(table.category)
            if len(pixels) > 1:
                draw.line([tuple(pixel) for pixel in pixels.tolist()], fill=colour, width=2)
            draw.polygon([tuple(pixel) for pixel in self._ellipse(table, rows[-1]).tolist()], outline=colour)
            x, y = pixels[-1]
            draw.text((x + 5, y - 6), str(table.number), fill="#dbe4ec")
        draw.text((8, 8), "N up", fill="#dbe4ec")
        return np.asarray(canvas)

    def _ellipse(self, table: TrackTable, row: int) -> np.ndarray:
        major, minor, angle = table.ellipses[row]
        around, turn = np.linspace(0, 2 * np.pi, 25), np.radians(angle)
        local = np.stack([major * np.cos(around), minor * np.sin(around)], 1)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        pixels = (table.points[row] + local @ rotation - self.middle) * np.array([self.scale, -self.scale])
        return np.asarray(pixels + np.array([MAP_COLUMNS / 2, PANEL_ROWS / 2]))
