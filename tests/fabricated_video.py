"""A flight over a drawn ground: a video rendered ray by ray, and its log as subtitles, with errors that are known."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.conventions import pose_from_dji
from skyweave.core.geometry.frames import make_transform, rotation_from_vector
from skyweave.core.geometry.geodesy import grid_convergence, unproject_lon_lat

CRS, EAST, NORTH = "EPSG:32632", 650_000.0, 5_330_000.0
ROWS, COLUMNS, RATE = 180, 320, 10
CELL, SIZE = 0.25, 1024  # metres and cells of the ground's texture, which repeats
CAMERA = PinholeCamera.from_field_of_view(np.radians(70), ROWS, COLUMNS)


@dataclass(frozen=True)
class Flight:
    """A flight east with swings; what its log says is late and its camera is turned against it.

    Attributes:
        seconds: of the video.
        delay: seconds to add to the time of an image to find its pose in the log.
        boresight: (3,) rotation vector of the camera against what the log says, radians.
        height: metres above the ground.
        car: whether a red car drives along.
    """

    seconds: float = 12.0
    delay: float = 0.0
    boresight: tuple[float, float, float] = (0.0, 0.0, 0.0)
    height: float = 60.0
    car: bool = False

    def angles(self, time: float) -> tuple[float, float]:
        """Yaw (compass) and pitch (above the horizon) of the gimbal in degrees."""
        return 90 + 12 * np.sin(1.3 * time) + 5 * np.sin(2.9 * time), -55 + 4 * np.sin(1.9 * time)

    def position(self, time: float) -> np.ndarray:
        return np.array([EAST + 6 * time + 4 * np.sin(0.9 * time), NORTH + 5 * np.sin(0.7 * time), self.height])

    def logged(self, time: float) -> np.ndarray:
        """The pose that the log has at a time of its clock: (4, 4)."""
        convergence = grid_convergence(48.1, 11.0, CRS)
        return pose_from_dji(self.position(time), *self.angles(time), convergence=convergence)

    def geometry(self, time: float) -> CameraGeometry:
        """The true camera at a time of the video."""
        pose = self.logged(time + self.delay)
        turned = pose[:3, :3] @ rotation_from_vector(np.array(self.boresight))
        return CameraGeometry(CAMERA, make_transform(turned, pose[:3, 3]), CRS, "UAV_1")

    def car_at(self, time: float) -> np.ndarray:
        return np.array([EAST + 35 + 8 * time, NORTH + 2.0])


def draw_texture() -> np.ndarray:
    """(cells, cells, 3) uint8: blotches of several sizes."""
    random = np.random.default_rng(0)
    texture = np.zeros((SIZE, SIZE))
    for cells in (32, 64, 128, 256, 512):
        texture += np.kron(random.normal(size=(cells, cells)), np.ones((SIZE // cells,) * 2)) / np.log2(cells)
    scaled = (texture - texture.min()) / np.ptp(texture)
    return (255 * np.stack([scaled, scaled * 0.9 + 0.1, scaled * 0.8], -1)).astype(np.uint8)


def render(flight: Flight, time: float, texture: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) uint8 of level ground at height 0."""
    geometry = flight.geometry(time)
    rays = geometry.world_rays(CAMERA.pixel_centres())
    points = geometry.position + (-geometry.position[2] / rays[..., 2])[..., None] * rays
    cells = np.floor(points[..., :2] / CELL).astype(np.int64) % SIZE
    pixels = texture[cells[..., 1], cells[..., 0]].copy()
    if flight.car:
        offset = np.abs(points[..., :2] - flight.car_at(time))
        pixels[(offset[..., 0] < 2.3) & (offset[..., 1] < 0.97)] = (230, 20, 20)
    return pixels


def write_video(path: Path, flight: Flight) -> Path:
    texture = draw_texture()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE, options={"qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuv420p"
        for number in range(round(flight.seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(render(flight, number / RATE, texture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_subtitles(path: Path, flight: Flight, gimbal: bool = True, rate: int = 5) -> Path:
    """The log: a subtitle ``rate`` times a second, from two seconds before the video to two after."""
    cues = []
    for number in range(round((flight.seconds + 4) * rate)):
        time = number / rate
        (longitude, latitude), (yaw, pitch) = (
            unproject_lon_lat(flight.position(time)[None], CRS)[0],
            flight.angles(time),
        )
        text = f"[latitude: {latitude:.7f}] [longitude: {longitude:.7f}] [rel_alt: {flight.height:.3f} abs_alt: 580.0]"
        text += f" [gb_yaw: {yaw:.2f} gb_pitch: {pitch:.2f} gb_roll: 0.0]" if gimbal else ""
        cues.append(f"{number + 1}\n{_stamp(time)} --> {_stamp(time + 1 / rate)}\n{text}\n")
    path.write_text("\n".join(cues), encoding="utf-8")
    return path


def _stamp(time: float) -> str:
    milliseconds = round(time * 1000)
    return f"00:{milliseconds // 60_000:02d}:{milliseconds // 1000 % 60:02d},{milliseconds % 1000:03d}"
