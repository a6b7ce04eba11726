"""One small photograph with any EXIF and XMP."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from fabricated_flight import packet

NAMESPACES = {
    "drone-dji": "http://www.dji.com/drone-dji/1.0/",
    "drone-parrot": "http://www.parrot.com/drone-parrot/1.0/",
    "drone-yuneec": "http://www.yuneec.com/drone-yuneec/1.0/",
    "Camera": "http://pix4d.com/camera/1.0",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
}
DOWN = {"GimbalYawDegree": 30.0, "GimbalPitchDegree": -90.0, "GimbalRollDegree": 0.0}
RELATIVE = {"RelativeAltitude": 60.0, "AbsoluteAltitude": 500.0}


def xmp_of(prefix: str, values: dict[str, object]) -> str:
    """An XMP packet of one vendor's attributes."""
    attributes = " ".join(f'{prefix}:{name}="{value}"' for name, value in values.items())
    return packet(attributes, f'xmlns:{prefix}="{NAMESPACES[prefix]}"')


def write_photo(
    path: Path,
    latitude: float = 46.5,
    longitude: float = 7.5,
    xmp: str = "",
    *,
    make: str = "DJI",
    model: str = "FC6310",
    references: tuple[str, str] | None = ("", ""),
    altitude: float | None = 500.0,
    size: tuple[int, int] = (60, 40),
    camera: dict[int, Any] | None = None,
    base: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
    pixels: np.ndarray | None = None,
    **options: Any,
) -> Path:
    """Write an image of noise; ``references`` None leaves the hemispheres out, empty ones are the right ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tag, exif = ExifTags.Base, Image.Exif()
    exif[tag.Make], exif[tag.Model] = make, model
    exif.update(base or {})
    written = exif.get_ifd(ExifTags.IFD.Exif)
    written.update({tag.FocalLength: 8.8, tag.ExifImageWidth: size[0], tag.ExifImageHeight: size[1]} | (camera or {}))
    for absent in [key for key, value in written.items() if value is None]:
        del written[absent]
    fields: dict[int, Any] = {2: degrees_minutes(latitude), 4: degrees_minutes(longitude)}
    if references is not None:
        fields[1] = references[0] or ("S" if latitude < 0 else "N")
        fields[3] = references[1] or ("W" if longitude < 0 else "E")
    if altitude is not None:
        fields |= {5: b"\x01" if altitude < 0 else b"\x00", 6: abs(altitude)}
    exif[tag.GPSInfo] = fields | (gps or {})
    if pixels is None:
        pixels = np.random.default_rng(zlib.crc32("/".join(path.parts[-2:]).encode())).integers(
            0, 255, (size[1], size[0], 3), np.uint8
        )
    Image.fromarray(pixels).save(path, exif=exif, xmp=xmp.encode() if xmp else None, **options)
    return path


def degrees_minutes(degrees: float) -> tuple[float, float, float]:
    """Degrees, minutes and seconds without a sign."""
    whole, rest = divmod(abs(degrees) * 60, 60)
    return whole, float(int(rest)), round((rest - int(rest)) * 60, 7)
