"""The files of a recording: images, and what is known of their pixels.

- Image: PNG or JPEG, 8 bits, three colours.
- Pixels of any other sensor: ``.npz`` with ``pixels`` (bands, rows, columns) and, unless all are valid, ``valid``.
- Depth: 16-bit PNG, metres divided by the step that the file's text entry ``metres_per_unit`` states; the largest
  value is infinity. The step is a power of two of a millimetre, the finest that holds the image's largest depth.
- Instances: 16-bit PNG, index into the frame's annotations plus one, 0 for none.
- Classes: 8-bit PNG, index into the recording's surfaces.
- Ground that is not level: ``.npz`` with ``heights`` in metres.
"""

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from skyweave.core.array_header import read_array_header
from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane
from skyweave.core.images.decoding import decode_upright, open_image, upright_size
from skyweave.core.inner_path import path_below
from skyweave.core.observation import Observation
from skyweave.recordings.nuscenes.tables import SceneExtras
from skyweave.recordings.recording import RecordedScene

MIN_DEPTH_STEP_M = 0.001
INFINITE_DEPTH = 65535
MAX_VALUES = 1 << 28  # of one array: 1 GiB as 32-bit floats; a few kilobytes of an archive can say any number
JPEG_QUALITY = 95


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image as PNG or JPEG, by the suffix.

    Args:
        path: ``.png`` or ``.jpg``.
        image: (rows, columns, 3) uint8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        Image.fromarray(image).save(path, quality=JPEG_QUALITY, subsampling=0)
    else:
        Image.fromarray(image).save(path, compress_level=1)


def read_image(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read an image as viewers show it, turned as its EXIF orientation asks.

    Args:
        path: the file.

    Returns:
        (rows, columns, 3) uint8; and the mask (rows, columns) of pixels that are not transparent, None where all are.

    Raises:
        DataError: the file is missing, damaged, or has more than 8 bits.
    """
    try:
        with open_image(path, str(path)) as image:
            return decode_upright(image, "RGB")
    except (OSError, SyntaxError) as error:
        raise DataError(_damaged(path, error)) from None


def image_size(path: Path) -> tuple[int, int]:
    """Return (rows, columns) of an image file as viewers show it, from its header.

    Args:
        path: the file.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with open_image(path, str(path)) as image:
            return upright_size(image)
    except (OSError, SyntaxError) as error:
        raise DataError(_damaged(path, error)) from None


def write_pixels(path: Path, observation: Observation) -> None:
    """Write values in the bands' units, exactly; 8-bit values as such.

    Args:
        path: ``.npz``.
        observation: with pixels and validity.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = observation.pixels
    if pixels.min() >= 0 and pixels.max() <= 255:
        small = pixels.astype(np.uint8)
        pixels = small if np.array_equal(small, pixels) else pixels
    if observation.valid.all():
        np.savez_compressed(path, pixels=pixels)
    else:
        np.savez_compressed(path, pixels=pixels, valid=observation.valid)


def read_pixels(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read pixels in the bands' units.

    Args:
        path: ``.npz``.

    Returns:
        (bands, rows, columns) float32, and the mask of the same shape, None where all are valid.

    Raises:
        DataError: the file is missing or damaged.
    """
    arrays = _read_arrays(path, "pixels", "valid")
    if arrays.get("pixels") is None:
        raise DataError(_damaged(path, "it holds no pixels"))
    return arrays["pixels"].astype(np.float32), arrays.get("valid")


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write a depth image.

    Args:
        path: ``.png``.
        depth: (rows, columns) metres > 0; infinity or NaN where nothing is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    finite = np.isfinite(depth)
    largest = float(depth[finite].max()) if finite.any() else 0.0
    step = MIN_DEPTH_STEP_M
    while largest / step > INFINITE_DEPTH - 1:
        step *= 2
    units = np.where(finite, np.round(np.where(finite, depth, 0) / step), INFINITE_DEPTH).clip(0, INFINITE_DEPTH)
    text = PngInfo()
    text.add_text("metres_per_unit", repr(step))
    Image.fromarray(units.astype(np.uint16)).save(path, compress_level=1, pnginfo=text)


def read_depth(path: Path) -> np.ndarray:
    """Read a depth image.

    Args:
        path: ``.png``.

    Returns:
        (rows, columns) float32 metres, infinity where nothing is.

    Raises:
        DataError: the file is missing, damaged or no depth image.
    """
    image = _opened(path, None)
    try:
        step = float(image.info["metres_per_unit"])
    except (KeyError, ValueError):
        raise DataError(f"{path} does not say its metres_per_unit; it is no depth image of a recording") from None
    units = np.asarray(image)
    return np.where(units == INFINITE_DEPTH, np.float32(np.inf), units * np.float32(step)).astype(np.float32)


def write_instances(path: Path, instances: np.ndarray) -> None:
    """Write an instance raster.

    Args:
        path: ``.png``.
        instances: (rows, columns) index into the frame's annotations, -1 for none.

    Raises:
        DataError: more objects than 16 bits can count.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if instances.max(initial=-1) >= 65535:
        raise DataError(f"{path}: {int(instances.max())} is more objects than a frame can hold (65535)")
    Image.fromarray((instances + 1).astype(np.uint16)).save(path, compress_level=1)


def read_instances(path: Path) -> np.ndarray:
    """Read an instance raster.

    Args:
        path: ``.png``.

    Returns:
        (rows, columns) int32 index into the frame's annotations, -1 for none.

    Raises:
        DataError: the file is missing or damaged.
    """
    return np.asarray(_opened(path, None)).astype(np.int32) - 1


def write_classes(path: Path, classes: np.ndarray) -> None:
    """Write a raster of surface classes.

    Args:
        path: ``.png``.
        classes: (rows, columns) index into the recording's surfaces, below 256.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(classes, np.uint8)).save(path, compress_level=1)


def read_classes(path: Path) -> np.ndarray:
    """Read a raster of surface classes.

    Args:
        path: ``.png``.

    Returns:
        (rows, columns) uint8.

    Raises:
        DataError: the file is missing or damaged.
    """
    return np.asarray(_opened(path, None)).astype(np.uint8)


def write_ground(folder: Path, file: str, scene: RecordedScene) -> SceneExtras:
    """Write what is known of a scene's ground; heights go to a file.

    Args:
        folder: of the recording.
        file: path in the folder for heights, where the ground is not level.
        scene: whose ground it is.

    Raises:
        DataError: a ground that is neither level nor a raster of heights.
    """
    if isinstance(scene.ground, GroundPlane):
        return SceneExtras(scene.crs, scene.ground.z)
    if not isinstance(scene.ground, ElevationModel):
        raise DataError(f"scene {scene.name}: a ground of type {type(scene.ground).__name__} cannot be stored")
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / file, heights=scene.ground.heights)
    grid = scene.ground.grid
    return SceneExtras(scene.crs, None, file, grid.west, grid.north, grid.resolution)


def read_ground(folder: Path, known: SceneExtras) -> Ground:
    """Read the ground of a scene.

    Args:
        folder: of the recording.
        known: what lies beside the tables of the scene.

    Raises:
        DataError: the file of heights is missing or damaged.
    """
    if known.heights is None:
        return GroundPlane(known.ground or 0.0)
    path = path_below(folder, known.heights)
    heights = _read_arrays(path, "heights").get("heights")
    if heights is None or heights.ndim != 2:
        raise DataError(_damaged(path, "it holds no heights (rows, columns)"))
    rows, columns = heights.shape
    return ElevationModel(heights, MapGrid(known.west, known.north, known.resolution, rows, columns, known.crs))


def _opened(path: Path, mode: str | None) -> Image.Image:
    try:
        with open_image(path, str(path), eight_bit=False) as image:
            image.load()
            return image if mode is None or image.mode == mode else image.convert(mode)
    except (OSError, SyntaxError) as error:
        raise DataError(_damaged(path, error)) from None


def _read_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Return those arrays of an archive that are there; how large each is stands before it, and is bounded first."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_array(archive, name, path) for name in names if f"{name}.npy" in archive.NameToInfo}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(_damaged(path, error)) from None


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        shape = read_array_header(stream)[0]
        if math.prod(shape) > MAX_VALUES:
            raise DataError(
                f"{path}: {name} has shape {shape}, more than the {MAX_VALUES} values that are read; if that is "
                "meant, write it in parts"
            )
    with archive.open(f"{name}.npy") as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _damaged(path: Path, error: Exception | str) -> str:
    if not path.exists():
        return f"{path} is missing; copy it back, or leave this picture out"
    return f"{path} cannot be read: {error}"
