"""Flights over a drawn ground with known poses: pictures rendered ray by ray, written with EXIF and XMP."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import rasterio
from PIL import ExifTags, Image

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.orthomosaic.map_zone import MapZone
from skyweave.orthomosaic.photo import world_from_camera
from skyweave.telemetry.image_metadata.attitude import Attitude

ZONE = MapZone("EPSG:32633")
EAST, NORTH = 370_000.0, 5_800_000.0
CELL = 0.05
LEVEL = GroundPlane(100.0)
RENDERED: dict[object, np.ndarray] = {}
FOCAL, COLUMNS, ROWS = 275.0, 320, 240  # at 30 m: 35 m x 26 m on the ground, 11 cm a pixel


@dataclass(frozen=True)
class Shot:
    """One picture: where the camera truly is, and what its metadata shall say."""

    name: str
    position: tuple[float, float, float]
    yaw: float  # compass, of the picture's top
    pitch: float = -90.0  # above the horizon
    roll: float = 0.0
    upside_down: bool = False  # pixels turned, metadata not
    said_shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    said_yaw: float = 0.0
    leave_out: frozenset[str] = field(default_factory=frozenset)  # of gps, gimbal, relative, focal, altitude


@dataclass(frozen=True)
class Hills:
    """Gentle analytic relief, met by rays in a few fixed-point steps: independent of the elevation model's march."""

    base: float = 100.0
    amplitude: float = 3.0

    def height(self, points: np.ndarray) -> np.ndarray:
        x, y = points[..., 0] - EAST, points[..., 1] - NORTH
        return self.base + self.amplitude * (np.sin(x / 12) + np.cos(y / 15))

    def depth(self, position: np.ndarray, rays: np.ndarray) -> np.ndarray:
        depth = (self.base - position[2]) / rays[..., 2]
        for _ in range(25):
            depth = (self.height(position + depth[..., None] * rays) - position[2]) / rays[..., 2]
        return depth

    def write(self, path: Path, size: float = 300.0, cell: float = 1.0) -> Path:
        grid = MapGrid.around(EAST, NORTH, size, cell, ZONE.crs)
        profile = {"driver": "GTiff", "height": grid.rows, "width": grid.columns, "count": 1, "dtype": "float32"}
        with rasterio.open(path, "w", **profile, crs=grid.crs, transform=rasterio.Affine(*grid.affine)) as target:
            target.write(self.height(grid.cell_centres()).astype(np.float32), 1)
        return path


@dataclass(frozen=True)
class Drawn:
    """A drawn orthophoto: (rows, columns, 3) uint8 on a grid."""

    pixels: np.ndarray
    grid: MapGrid

    def at(self, points: np.ndarray) -> np.ndarray:
        cells = self.grid.cells_from_world(points) - 0.5
        known = np.isfinite(cells).all(-1)
        cells = np.clip(np.where(known[..., None], cells, 0), 0, np.array(self.grid.shape) - 1.001)
        low = cells.astype(int)
        fr, fc = np.moveaxis((cells - low)[..., None, :], -1, 0)
        r, c = low[..., 0], low[..., 1]
        p = self.pixels
        top, bottom = p[r, c] * (1 - fc) + p[r, c + 1] * fc, p[r + 1, c] * (1 - fc) + p[r + 1, c + 1] * fc
        return np.where(known[..., None], top * (1 - fr) + bottom * fr, 0)


def draw_ground(size: float = 110.0, seed: int = 0) -> Drawn:
    """Texture at every scale and some hundred bright and dark rectangles."""
    random = np.random.default_rng(seed)
    grid = MapGrid.around(EAST, NORTH, size, CELL, ZONE.crs)
    n = grid.rows
    total = np.zeros((n, n), np.float32)
    for blocks in (12, 40, 130, 420, 1100):
        coarse = random.normal(0, 1, (blocks, blocks)).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((n, n), Image.Resampling.BICUBIC))
    pixels = np.repeat((128 + 22 * total)[..., None], 3, -1)
    for _ in range(500):
        r, c = random.integers(0, n - 60, 2)
        h, w = random.integers(8, 60, 2)
        pixels[r : r + h, c : c + w] = random.integers(20, 235, 3)
    return Drawn(pixels.clip(0, 255).astype(np.uint8), grid)


def lawnmower(
    strips: int = 2, each: int = 3, height: float = 30.0, along: float = 9.0, across: float = 16.0
) -> list[Shot]:
    """Strips flown there and back, heading east and west, straight down."""
    shots = []
    for strip in range(strips):
        for k in range(each):
            place = k if strip % 2 == 0 else each - 1 - k
            x = EAST + (place - (each - 1) / 2) * along
            y = NORTH + (strip - (strips - 1) / 2) * across
            shots.append(Shot(f"P{len(shots):04d}.JPG", (x, y, 100.0 + height), 90.0 if strip % 2 == 0 else 270.0))
    return shots


def noisy(shots: list[Shot], metres: float, yaw: float, seed: int = 1) -> list[Shot]:
    """Metadata that are off: positions by ``metres`` east and north, headings by ``yaw`` degrees, both Gaussian."""
    random = np.random.default_rng(seed)
    return [
        replace(shot, said_shift=(*random.normal(0, metres, 2), 0.0), said_yaw=float(random.normal(0, yaw)))
        for shot in shots
    ]


def write_flight(
    folder: Path,
    shots: list[Shot],
    drawn: Drawn,
    ground: Ground = LEVEL,
    xmp: Callable[[Shot, float], str] | None = None,
) -> Path:
    """Render and write every shot."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, shot in enumerate(shots):
        write_shot(folder / shot.name, shot, render(shot, drawn, ground), index, xmp or dji_xmp)
    return folder


def geometry_of(shot: Shot) -> CameraGeometry:
    """The true camera."""
    camera = PinholeCamera(np.array([[FOCAL, 0, COLUMNS / 2], [0, FOCAL, ROWS / 2], [0, 0, 1]]), ROWS, COLUMNS)
    (place,) = ZONE.degrees(np.array([shot.position[:2]]))
    attitude = Attitude(shot.yaw, shot.pitch, shot.roll)
    return CameraGeometry(camera, world_from_camera(np.array(shot.position), attitude, ZONE.convergence(*place)))


def render(shot: Shot, drawn: Drawn, ground: Ground) -> np.ndarray:
    """(rows, columns, 3) uint8; four rays a pixel against aliasing. What was rendered before is not rendered again."""
    truth = Shot("", shot.position, shot.yaw, shot.pitch, shot.roll)
    key = (truth, id(drawn), repr(ground))
    if key not in RENDERED:
        RENDERED[key] = _render(truth, drawn, ground)
    return RENDERED[key][::-1, ::-1] if shot.upside_down else RENDERED[key]


def _render(shot: Shot, drawn: Drawn, ground: Ground) -> np.ndarray:
    geometry = geometry_of(shot)
    total = np.zeros((ROWS, COLUMNS, 3))
    for du, dv in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):
        rays = geometry.world_rays(geometry.camera.pixel_centres() + np.array([du, dv]))
        points = geometry.position + ground.depth(geometry.position, rays)[..., None] * rays
        total += drawn.at(points[..., :2]) / 4
    return total.round().astype(np.uint8)


def write_shot(
    path: Path, shot: Shot, pixels: np.ndarray, index: int, xmp: Callable[[Shot, float], str], quality: int = 95
) -> None:
    x, y, z = np.array(shot.position) + shot.said_shift
    ((longitude, latitude),) = ZONE.degrees(np.array([[x, y]]))
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "DJI", "FC0000"
    camera = exif.get_ifd(ExifTags.IFD.Exif)
    camera[ExifTags.Base.DateTimeOriginal] = f"2026:05:01 12:{index // 60:02d}:{index % 60:02d}"
    if "focal" not in shot.leave_out:
        camera[ExifTags.Base.FocalLength] = 8.8
        camera[ExifTags.Base.FocalPlaneXResolution] = COLUMNS / (8.8 * COLUMNS / FOCAL) * 10  # a centimetre
        camera[ExifTags.Base.FocalPlaneResolutionUnit] = 3
    if "gps" not in shot.leave_out:
        exif[ExifTags.Base.GPSInfo] = gps_fields(
            latitude,
            longitude,
            None if "altitude" in shot.leave_out else z + 17.0,  # sea level is not the take-off
        )
    options = {}
    packet = xmp(shot, shot.position[2] - 100.0)
    if packet:
        options["xmp"] = packet.encode()
    Image.fromarray(pixels).save(path, "JPEG", quality=quality, exif=exif, **options)


def gps_fields(latitude: float, longitude: float, altitude: float | None) -> dict[int, object]:
    def parts(degrees: float) -> tuple[float, float, float]:
        whole, rest = divmod(abs(degrees) * 60, 60)
        return whole, float(int(rest)), round((rest - int(rest)) * 60, 7)

    tag = ExifTags.GPS
    fields: dict[int, object] = {
        tag.GPSLatitudeRef: "N" if latitude >= 0 else "S",
        tag.GPSLatitude: parts(latitude),
        tag.GPSLongitudeRef: "E" if longitude >= 0 else "W",
        tag.GPSLongitude: parts(longitude),
    }
    if altitude is not None:
        fields |= {tag.GPSAltitudeRef: b"\x01" if altitude < 0 else b"\x00", tag.GPSAltitude: abs(altitude)}
    return fields


def packet(attributes: str, namespaces: str, elements: str = "") -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {namespaces} {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>'
    )


DJI = 'xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"'


def dji_xmp(shot: Shot, height: float) -> str:
    values = {}
    if "gimbal" not in shot.leave_out:
        values |= {
            "GimbalYawDegree": shot.yaw + shot.said_yaw,
            "GimbalPitchDegree": shot.pitch,
            "GimbalRollDegree": shot.roll,
        }
    if "relative" not in shot.leave_out:
        values["RelativeAltitude"] = height + shot.said_shift[2]
    return packet(" ".join(f'drone-dji:{name}="{value:+.6f}"' for name, value in values.items()), DJI) if values else ""


def out_of_shape(found: np.ndarray, truth: np.ndarray) -> float:
    """Largest distance in metres of (n, 2) places from their true ones after the best shift, turn and scale.

    Those are what overlaps cannot tell: they come from the positions, as good as these are.
    """
    a, b = (places @ (1, 1j) - (places @ (1, 1j)).mean() for places in (found, truth))
    return float(np.abs(a * (a.conj() @ b) / (a.conj() @ a) - b).max())
