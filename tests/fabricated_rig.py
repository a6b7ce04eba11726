"""Captures of fabricated rigs: a known ground through known lenses, stored as MicaSense and Parrot store it."""

import base64
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from skyweave.core.geometry.frames import rotation_from_vector
from skyweave.rigs.warp import sample

ROWS, COLUMNS, FOCAL = 144, 192, 240.0
PIXELS_PER_MM = 60.0
EXPOSURE, GAIN, BLACK = 0.002, 2.0, 4800.0
CALIBRATION = (1.5e-3, 1e-8, 2e-5)
IRRADIANCE = 1.2  # W/m2/nm
NAMESPACES = (
    'xmlns:Camera="http://pix4d.com/camera/1.0" xmlns:MicaSense="http://micasense.com/MicaSense/1.0/" '
    'xmlns:DLS="http://micasense.com/DLS/1.0/"'
)


@dataclass
class RigBand:
    """One camera of a rig: where it looks by its file and in truth, and what the ground reflects in it."""

    name: str
    wavelength: float
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)  # degrees
    bent: tuple[float, float, float] = (0.0, 0.0, 0.0)  # degrees by which the truth differs
    dark: float = 0.1
    bright: float = 0.5
    xmp: dict[str, str | None] = field(default_factory=dict)
    tags: dict[int, Any] = field(default_factory=dict)


def ground(directions: np.ndarray) -> np.ndarray:
    """Texture from 0 to 1 at directions (..., 2), x and y at z = 1."""
    generator = np.random.default_rng(5)
    values = sum(
        np.kron(generator.random((480 // step, 640 // step)), np.ones((step, step))) * step for step in (4, 8, 32)
    )
    return sample(values / 44.0, directions * 300.0 + (320.0, 240.0))


def rays(band: RigBand) -> np.ndarray:
    """Directions (rows, columns, 3) of a band's pixels in the rig's frame, in truth."""
    u, v = np.meshgrid(np.arange(COLUMNS) + 0.5, np.arange(ROWS) + 0.5)
    in_camera = np.stack([(u - COLUMNS / 2) / FOCAL, (v - ROWS / 2) / FOCAL, np.ones_like(u)], -1)
    rotation = np.eye(3)
    for axis in np.diag(np.radians(np.add(band.angles, band.bent))):
        rotation = rotation @ rotation_from_vector(axis)
    return in_camera @ rotation.T


def reflectance(band: RigBand) -> np.ndarray:
    """What the ground reflects at a band's pixels: (rows, columns)."""
    directions = rays(band)
    return band.dark + (band.bright - band.dark) * ground(directions[..., :2] / directions[..., 2:])


def dimming() -> np.ndarray:
    """The vignetting that the files state."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    return 1 - 1e-5 * np.hypot(x - 90, y - 70) ** 2


def micasense_values(band: RigBand, values: np.ndarray) -> np.ndarray:
    """Raw values of a reflectance, by the maker's model read backwards."""
    a1, a2, a3 = CALIBRATION
    row = np.arange(ROWS)[:, None]
    radiance = values * IRRADIANCE / np.pi
    share = radiance * GAIN * EXPOSURE * (1 + a2 * row / EXPOSURE - a3 * row) * dimming() / a1
    return np.clip(np.round(share * 65536 + BLACK), 0, 65520).astype(np.uint16)


def write_micasense(
    folder: Path, bands: list[RigBand], number: int = 1, stored: np.ndarray | None = None
) -> list[Path]:
    """Write one capture, a file a band; ``stored`` replaces the values of every band."""
    return [
        write_band(
            folder / f"IMG_{number:04d}_{index}.tif",
            micasense_values(band, reflectance(band)) if stored is None else stored,
            ("MicaSense", "Altum" if band.name == "LWIR" else "RedEdge-M"),
            {
                "Camera:BandName": band.name,
                "Camera:CentralWavelength": f"{band.wavelength}",
                "Camera:WavelengthFWHM": "20" if band.wavelength > 100 else "6",
                "Camera:RigRelatives": ",".join(map(str, band.angles)),
                "Camera:PrincipalPoint": f"{COLUMNS / 2 / PIXELS_PER_MM},{ROWS / 2 / PIXELS_PER_MM}",
                "Camera:PerspectiveFocalLength": f"{FOCAL / PIXELS_PER_MM}",
                "Camera:PerspectiveFocalLengthUnits": "mm",
                "Camera:PerspectiveDistortion": "0,0,0,0,0",
                "Camera:VignettingCenter": "90,70",
                "Camera:VignettingPolynomial": "0,-1e-5",
                "MicaSense:RadiometricCalibration": ",".join(map(str, CALIBRATION)),
                "MicaSense:CaptureId": f"capture{number}",
                "DLS:HorizontalIrradiance": f"{IRRADIANCE * 100}",
                **band.xmp,
            },
            band.tags,
        )
        for index, band in enumerate(bands, 1)
    ]


def write_band(
    path: Path, stored: np.ndarray, camera: tuple[str, str], xmp: dict[str, str | None], tags: dict[int, Any]
) -> Path:
    """Write raw values as TIFF with EXIF and XMP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    attributes = " ".join(f'{name}="{value}"' for name, value in xmp.items() if value is not None)
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {NAMESPACES} {attributes}/></rdf:RDF></x:xmpmeta>'
    )
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[271], directory[272] = camera
    directory[700] = packet.encode()
    directory.tagtype[700] = 1
    directory[50714] = (int(BLACK),) * 4
    directory.tagtype[50714] = 3
    plane = {41486: PIXELS_PER_MM, 41487: PIXELS_PER_MM, 41488: 4}
    camera_tags = {33434: EXPOSURE, 33437: 2.2, 34855: round(GAIN * 100), **plane, **tags}
    directory.tagtype[34665] = 4
    directory[34665] = {tag: value for tag, value in camera_tags.items() if value is not None}
    Image.fromarray(stored).save(path, tiffinfo=directory)
    return path


def sunshine_readings(*readings: tuple[float, int, int, int]) -> str:
    """An IrradianceList of (seconds, count, gain, milliseconds)."""
    records = [(round(seconds * 1e6), count, 1, gain, ms, 0, 0, 0) for seconds, count, gain, ms in readings]
    packed = b"".join(struct.pack("<QHHHHfff", *record) for record in records)
    return base64.b64encode(packed).decode()


SEQUOIA_MODEL = (250.0, 5000.0, 30.0)


def write_sequoia(folder: Path, bands: list[RigBand], light: int = 500, stored: np.ndarray | None = None) -> list[Path]:
    """Write one capture of a Sequoia with a fisheye; the middle of its image is that of the pinhole."""
    a, b, c = SEQUOIA_MODEL
    written = []
    for band in bands:
        signal = reflectance(band) * 4000 if stored is None else stored
        values = np.clip(np.round(signal * (a * EXPOSURE * 200 + c) / 2.2**2 + b), 0, 65535).astype(np.uint16)
        xmp: dict[str, str | None] = {
            "Camera:BandName": band.name,
            "Camera:CentralWavelength": f"{band.wavelength}",
            "Camera:WavelengthFWHM": "40",
            "Camera:RigRelatives": ",".join(map(str, band.angles)),
            "Camera:ModelType": "fisheye",
            "Camera:PrincipalPoint": f"{COLUMNS / 2 / PIXELS_PER_MM},{ROWS / 2 / PIXELS_PER_MM}",
            "Camera:FisheyeAffineMatrix": f"{FOCAL * np.pi / 2},0,0,{FOCAL * np.pi / 2}",
            "Camera:FisheyePolynomial": "0,1,0,0",
            "Camera:SensorModel": ",".join(map(str, SEQUOIA_MODEL)),
            "Camera:VignettingPolynomial2DName": "0,0,1,0",
            "Camera:VignettingPolynomial2D": "1,0",
            "Camera:IrradianceList": sunshine_readings((300, 9, 1, 100), (341.5, light, 1, 100)),
            **band.xmp,
        }
        tags = {36868: "1970:01:01 00:05:41", 37522: "600000", **band.tags}
        path = folder / f"IMG_161122_163338_0011_{band.name[:3].upper()}.TIF"
        written.append(write_band(path, values, ("Parrot", "Sequoia"), xmp, tags))
    return written
