"""How fast a video becomes tracks: 1080 rows, 30 images a second, of which ten are looked at, by a small ONNX detector.

    python benchmarks/locating_speed.py MODEL.onnx --json results/locating/speed.json

The video is made here: ground with a texture under a drone that flies straight on. Wall time depends on what else the
machine does; processor time does not.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from result_file import write_result

from skyweave.cli.main import main as skyweave

ROWS, COLUMNS, VIDEO_RATE = 1080, 1920, 30
SPEED_PIXELS = 4  # a frame
EARTH_METRES_PER_DEGREE = 111_320.0
NOTE = (
    "1920 x 1080 at 30 images a second, of which ten are looked at; start of the command, decoding, YOLOX-nano at 416 "
    "pixels, tracking and writing."
)


def write_video(path: Path, seconds: float) -> None:
    """Write a video of ground that moves through the image, with patches as large as cars."""
    import av
    from PIL import Image

    draw = np.random.default_rng(0)
    count = int(seconds * VIDEO_RATE)
    coarse = draw.integers(60, 190, (ROWS + SPEED_PIXELS * count) // 8 * COLUMNS // 8 * 3).astype(np.uint8)
    height = (ROWS + SPEED_PIXELS * count) // 8
    texture = np.asarray(
        Image.fromarray(coarse[: height * (COLUMNS // 8) * 3].reshape(height, COLUMNS // 8, 3)).resize(
            (COLUMNS, height * 8), Image.Resampling.BICUBIC
        )
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=VIDEO_RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuv420p"
        for frame in range(count):
            top = len(texture) - ROWS - SPEED_PIXELS * frame
            window = np.ascontiguousarray(texture[max(top, 0) : max(top, 0) + ROWS])
            for packet in stream.encode(av.VideoFrame.from_ndarray(window, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def write_log(path: Path, seconds: float) -> None:
    """Write a log of ten poses a second: north at 8 m/s, 60 m high, 45 degrees down."""
    lines = ["seconds,latitude,longitude,height_above_ground(m),gimbal_heading,gimbal_pitch,fov"]
    for number in range(int((seconds + 1) * 10)):
        latitude = 48.9 + 0.8 * number / EARTH_METRES_PER_DEGREE
        lines.append(f"{number / 10:.1f},{latitude:.8f},13.8,60,0,-45,70")
    path.write_text("\n".join(lines) + "\n")


def measure(model: Path, seconds: float, rate: float) -> dict[str, Any]:
    """Make a video and a log, locate what a model sees, and return how long that took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder / "flight.mp4", seconds)
        write_log(folder / "flight.csv", seconds)
        arguments = ["locate", str(folder / "flight.mp4"), "--telemetry", str(folder / "flight.csv")]
        arguments += ["--detector", str(model), "--rate", str(rate), "-o", str(folder / "out"), "--json"]
        wall, processor, printed = time.perf_counter(), time.process_time(), io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = skyweave(arguments)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    cores = len(os.sched_getaffinity(0))
    return {
        "model": model.name,
        "exit_code": code,
        "video_seconds": seconds,
        "images_a_second": rate,
        "cores": cores,
        "load": round(os.getloadavg()[0], 1),
        "wall_seconds": round(wall, 2),
        "processor_seconds": round(processor, 2),
        "times_as_fast_as_the_video_wall": round(seconds / wall, 2),
        "times_as_fast_as_the_video_two_idle_cores": round(2 * seconds / processor, 2),
        "tracks": json.loads(printed.getvalue())["tracks"],
    }


def table_of(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the figures as rows of a table."""
    rows = {
        "seconds of video": f"{figures['video_seconds']:g}",
        "wall seconds": figures["wall_seconds"],
        "times as fast as the video": figures["times_as_fast_as_the_video_wall"],
        "processor seconds": figures["processor_seconds"],
        f"load when it ended, on {figures['cores']} cores": figures["load"],
    }
    return [{"figure": name, "value": value} for name, value in rows.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="ONNX detector")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the video")
    parser.add_argument("--rate", type=float, default=10.0, help="images a second that are looked at")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    figures = measure(arguments.model, arguments.seconds, arguments.rate)
    print(json.dumps(figures, indent=1))
    if arguments.json:
        write_result(arguments.json, "Speed of one command", table_of(figures), NOTE)


if __name__ == "__main__":
    main()
