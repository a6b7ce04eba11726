"""From what a pixel shows to what a sensor measures there."""

from typing import Any

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.simulator.light import Illumination, ShadowMap
from skyweave.simulator.scene_objects import Faces
from skyweave.simulator.shapes import FACADE, LEAVES, ROOF
from skyweave.simulator.texture import SensorResponse, TexturePyramid
from skyweave.simulator.visibility import GROUND, SKY, RenderedView

EXPOSURE = 1.6  # of 8-bit cameras: reflectance 1 / EXPOSURE is white
GAMMA = 1 / 2.2
NOISE = {"uint8": 2.0, "kelvin": 0.15, "reflectance": 1.5}  # usual deviation: steps, kelvin, thousandths
MAX_GAIN = 16.0  # of 8-bit cameras in the dark
NOISE_PER_GAIN = 0.25  # by which noise grows with each unit of gain
SKY_COOLING_K = 35.0  # kelvin below the air
_STEPS = 4096
_CURVE = (255 * np.clip(np.arange(_STEPS) / (_STEPS - 1), 0, 1) ** GAMMA).astype(np.float32)


def shade(
    view: RenderedView,
    faces: Faces,
    lit_owners: np.ndarray,
    geometry: CameraGeometry,
    response: SensorResponse,
    texture: TexturePyramid,
    shadows: ShadowMap,
    ground_height: float,
) -> np.ndarray:
    """Compute an image without noise: reflectance as seen through the air, or kelvin.

    Args:
        view: what each pixel shows.
        faces: that it refers to.
        lit_owners: (owners,) whether the sun reaches each object.
        geometry: of the camera, in local axes.
        response: of the sensor.
        texture: the ground as the sensor sees it.
        shadows: on the ground.
        ground_height: metres, about.

    Returns:
        (bands, rows, columns) float32.
    """
    light, camera = shadows.light, geometry.camera
    rows, columns = view.face.shape
    optical, channels = len(response.optical), response.table.shape[1]
    rays = _pixel_rays(geometry, rows, columns)
    with np.errstate(divide="ignore"):
        depth = np.where(view.inverse_depth > 0, 1 / view.inverse_depth, 0).astype(np.float32)
    values = np.zeros((rows * columns, channels), np.float32)
    sun = np.ones(rows * columns, np.float32)  # how much of what the sun adds; for objects it is in the values
    height = float(geometry.position[2]) - ground_height

    ground = np.flatnonzero(view.face.ravel() == GROUND)
    if ground.size:
        far = depth.ravel().take(ground)
        east, north, fall = (ray.ravel().take(ground) for ray in rays)
        x, y = np.float32(geometry.position[0]) + far * east, np.float32(geometry.position[1]) + far * north
        length = np.sqrt(east * east + north * north + fall * fall)
        footprint = far / np.float32(camera.intrinsics[0, 0]) * np.sqrt(length / np.maximum(-fall, 1e-4))
        values[ground] = texture.read(x, y, footprint)
        lit = shadows.lit(x, y).astype(np.float32)
        sun[ground] = lit * np.float32(light.sun[2])
        values[ground, :optical] *= light.on_ground(lit, response.wavelengths).astype(np.float32)

    shown = np.flatnonzero(view.face.ravel() >= 0)
    if shown.size:
        face = view.face.ravel()[shown]
        used = np.flatnonzero(np.bincount(face))
        place = np.searchsorted(used, face)
        values[shown] = _face_values(faces, used, lit_owners, response, light).take(place, axis=0)
        sun[shown] = (np.maximum(faces.normals[used] @ light.sun, 0) * lit_owners[faces.owner[used]])[place]
        patterned = faces.pattern[face] > 0
        if patterned.any() and optical:
            at = shown[patterned]
            points = geometry.position + np.stack([ray.ravel()[at] for ray in rays], 1) * depth.ravel()[at][:, None]
            values[at, :optical] *= _patterns(faces, face[patterned], points)[:, None]

    _shade_sky(view, response, values, optical, light, channels)
    planes = values.T.reshape(channels, rows, columns)
    image = np.empty((len(response.sensor), rows, columns), np.float32)
    if optical:
        hazy = _through_air(planes[:optical], view, depth, rays, response, light, height)
        image[list(response.optical)] = hazy * np.float32(light.level)
    if response.thermal:
        temperature = planes[optical] + planes[optical + 1] * sun.reshape(rows, columns) * np.float32(light.shines)
        image[list(response.thermal)] = temperature
    return image


def _shade_sky(
    view: RenderedView, response: SensorResponse, values: np.ndarray, optical: int, light: Illumination, channels: Any
) -> None:
    """Shade the pixels that show sky."""
    sky = np.flatnonzero(view.face.ravel() == SKY)
    if sky.size:
        values[sky, :optical] = _sky(response.wavelengths)
        values[sky, optical:] = (light.air - SKY_COOLING_K, 0.0)[: channels - optical]


def _pixel_rays(geometry: CameraGeometry, rows: int, columns: int) -> list[np.ndarray]:
    """Return three (rows, columns) float32: the ray of each pixel in local axes, of depth 1."""
    per_pixel = (geometry.world_from_camera[:3, :3] @ np.linalg.inv(geometry.camera.intrinsics)).astype(np.float32)
    u, v = np.arange(columns, dtype=np.float32) + 0.5, np.arange(rows, dtype=np.float32)[:, None] + np.float32(0.5)
    return [per_pixel[i, 0] * u + (per_pixel[i, 1] * v + per_pixel[i, 2]) for i in range(3)]


def apply_sensor_noise(
    image: np.ndarray, response: SensorResponse, noise: float | None, generator: np.random.Generator, level: float = 1.0
) -> np.ndarray:
    """Turn what `shade` returns into what the sensor measures, with noise.

    In the dark (``level`` of light below 1) 8-bit cameras amplify as far as they can, and their noise with it.

    Args:
        image: (bands, rows, columns) float32; it is changed in place.
        response: of the sensor.
        noise: standard deviation in 8-bit steps, kelvin or thousandths of reflectance; None for what is usual.
        generator: of random numbers.
        level: of light, 1 by day.

    Returns:
        (bands, rows, columns) float32 in each band's unit.
    """
    gain = min(1 / level, MAX_GAIN)
    units = [band.unit for band in response.sensor.bands]
    grain = generator.standard_normal(image.shape, np.float32)
    for band, unit in enumerate(units):
        deviation = np.float32(NOISE[unit] if noise is None else noise)
        image[band] = _measure(image[band], unit, grain[band], deviation, gain)
    return image


def _measure(plane: np.ndarray, unit: str, grain: np.ndarray, deviation: np.float32, gain: float) -> np.ndarray:
    """Return one band in its unit, with noise of that deviation."""
    if unit == "uint8":
        steps = np.clip(plane * np.float32(gain * EXPOSURE * (_STEPS - 1)), 0, _STEPS - 1).astype(np.int16)
        amplified = deviation * np.float32(1 + (gain - 1) * NOISE_PER_GAIN)
        return np.asarray(np.clip(np.rint(_CURVE[steps] + grain * amplified), 0, 255))
    if unit == "reflectance":
        return np.asarray(np.maximum(plane + grain * (deviation / 1000), 0))
    return np.asarray(plane + grain * deviation)


def reflectance_from_uint8(steps: np.ndarray) -> np.ndarray:
    """Return the reflectance that an 8-bit camera of this simulator would have seen.

    Args:
        steps: 0 to 255, of any shape.
    """
    return np.asarray((steps / np.float32(255)) ** (1 / GAMMA) / EXPOSURE, np.float32)


def _face_values(
    faces: Faces, used: np.ndarray, lit_owners: np.ndarray, response: SensorResponse, light: Illumination
) -> np.ndarray:
    """(faces, channels): the light that each sends out; its temperature in the shade and what the sun adds."""
    values = response.table[faces.material[used]]
    optical = len(response.optical)
    lit = lit_owners[faces.owner[used]]
    illumination = light.on_faces(faces.normals[used], lit, response.wavelengths)
    values[:, :optical] *= (illumination * faces.brightness[used][:, None]).astype(np.float32)
    if response.thermal:
        values[:, optical] += faces.heat[used]
    return np.asarray(values)


def _patterns(faces: Faces, face: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(p,) factor on the reflectance within a face: windows, leaves, tiles."""
    pattern, normal = faces.pattern[face], faces.normals[face]
    factor = np.ones(len(face), np.float32)
    walls = pattern == FACADE
    if walls.any():
        window = _windows(points[walls], normal[walls], faces.base[face][walls])
        factor[walls] = np.where(window, 0.22, 1.0)
    for kind, cell, low, high in ((LEAVES, 0.4, 0.55, 1.35), (ROOF, 0.6, 0.86, 1.1)):
        which = pattern == kind
        if which.any():
            factor[which] = low + (high - low) * _hashed(np.floor(points[which] / cell))
    return factor


def _windows(points: np.ndarray, normals: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(p,) whether points on walls are in a window, by the height of the ground below them."""
    along = (points[:, 1] * normals[:, 0] - points[:, 0] * normals[:, 1]) / 2.7 % 1.0
    up = points[:, 2] - base
    storey = up / 2.9 % 1.0
    return np.asarray((along > 0.3) & (along < 0.72) & (storey > 0.32) & (storey < 0.8) & (up > 0.5))


def _hashed(cells: np.ndarray) -> np.ndarray:
    """(p,) in [0, 1), the same for the same cell (p, 3) of space."""
    x, y, z = cells.astype(np.int64).T
    mixed = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return np.asarray(((mixed >> 7) & 1023).astype(np.float32) / np.float32(1024))


def _sky(wavelengths: np.ndarray) -> np.ndarray:
    return (0.55 * (550.0 / wavelengths) ** 1.2).clip(0.05, 0.9).astype(np.float32)


def _through_air(
    planes: np.ndarray,
    view: RenderedView,
    depth: np.ndarray,
    rays: list[np.ndarray],
    response: SensorResponse,
    light: Illumination,
    height: float,
) -> np.ndarray:
    """Haze over 8-bit pictures; products in reflectance have it removed."""
    hazy = [i for i, channel in enumerate(response.optical) if response.sensor.bands[channel].unit == "uint8"]
    if not hazy or light.extinction == 0:
        return planes
    path = depth * np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
    path = np.where(view.face == SKY, np.float32(1e5), path)
    kept = light.clearness(response.wavelengths[hazy], path, height)
    veil = (0.42 * (550.0 / response.wavelengths[hazy]) ** 0.4).astype(np.float32)[:, None, None]
    image = planes.copy()
    image[hazy] = (planes[hazy] - veil) * kept + veil
    return image
