"""Pictures of a world: what a camera sees of the ground and of what stands on it, in the bands of its sensor.

Everything is rasterised first (depth, which face, which object) and lit afterwards, so a sensor with other bands is
another table of reflectances. Faces are flat and lit by the sun, the sky and the haze between; shadows fall on the
ground only.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from skyweave.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.geometry.ground import Ground, GroundPlane
from skyweave.sensors import Sensor
from skyweave.world.ground import PaintedGround
from skyweave.world.materials import INDEX, reflectances, warmth
from skyweave.world.rasterise import clip_near, count_alone, fill, nearest
from skyweave.world.things import Solids

SKY, GROUND, BUILDING, TREE, OBJECT = range(5)
SURFACES = ("sky", "ground", "building", "vegetation", "object")
GAMMA = 2.2
EXPOSURE = 1.5  # reflectance 0.67 in the sun is white
NIGHT_LIGHT = 0.03
LEVELS = 5


@dataclass(frozen=True)
class Faces:
    """Flat quadrilaterals of everything that stands.

    Attributes:
        corners: (n, 4, 3) metres. normals: (n, 3) outwards.
        material: (n,). owner: (n,) object, -1 for none. surface: (n,).
    """

    corners: np.ndarray
    normals: np.ndarray
    material: np.ndarray
    owner: np.ndarray
    surface: np.ndarray


@dataclass(frozen=True)
class Light:
    """Sun and air of a scene.

    Attributes:
        sun: (3,) unit vector towards it. ambient: share of the sky. haze: extinction per metre.
        air: kelvin. noise: of the sensors.
    """

    sun: np.ndarray
    ambient: float
    haze: float
    air: float
    noise: float

    @property
    def night(self) -> bool:
        """The sun is down."""
        return bool(self.sun[2] <= 0)


@dataclass(frozen=True)
class Picture:
    """What one camera sees.

    Attributes:
        pixels: (bands, rows, columns) float32 in the sensor's units.
        depth: (rows, columns) float32 metres along the optical axis; infinity for the sky.
        instances: (rows, columns) int32 object, -1 for none.
        surfaces: (rows, columns) uint8 index into ``SURFACES``.
        visibility: (objects,) visible share of each one's pixels; 0 out of view.
    """

    pixels: np.ndarray
    depth: np.ndarray
    instances: np.ndarray
    surfaces: np.ndarray
    visibility: np.ndarray


def to_faces(solids: Solids) -> Faces:
    """Boxes as five faces each (nobody sees the bottom), balls as faceted gems."""
    boxes, balls = ~solids.balls, solids.balls
    parts = [_placed(solids, boxes, *_BOX), _placed(solids, balls, *_GEM)]
    return Faces(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("corners", "normals")),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("material", "owner", "surface")),
    )


class Renderer:
    """Renders one scene; what depends on the ground alone is made once.

    Args:
        painted: the ground's materials.
        ground: its shape.
        light: sun and air.
    """

    def __init__(self, painted: PaintedGround, ground: Ground, light: Light) -> None:
        self.painted, self.ground, self.light = painted, ground, light
        self._textures: dict[str, list[np.ndarray]] = {}

    def render(
        self,
        geometry: CameraGeometry,
        sensor: Sensor,
        faces: Faces,
        objects: int,
        shadow: tuple[np.ndarray, float],
        warm: np.ndarray,
        generator: np.random.Generator,
    ) -> Picture:
        """One picture.

        Args:
            objects: how many there are; ``faces.owner`` points into them.
            shadow: (rows, columns) bool over the painted ground's bounds, and its cell's size.
            warm: (objects,) kelvin that an object is warmer than its material.
            generator: of the sensor's noise.
        """
        camera = geometry.camera
        rows, columns = camera.rows, camera.columns
        rays = (_rays(camera).reshape(-1, 3) @ geometry.world_from_camera[:3, :3].T.astype(np.float32)).reshape(
            rows, columns, 3
        )
        inverse_ground = self._ground(geometry, rays)
        polygons, source, planes = _projected(geometry, faces)
        pixels = fill(polygons, rows, columns)
        a, b, c = (planes[:, i].astype(np.float32)[pixels.polygon] for i in range(3))
        inverse = a * (pixels.column + np.float32(0.5)) + b * (pixels.row + np.float32(0.5)) + c
        shown = nearest(pixels, inverse, inverse_ground)
        depth = np.full(rows * columns, np.inf, np.float32)
        base = inverse_ground.ravel()
        np.divide(1.0, base, out=depth, where=base > 0)
        place = pixels.row * columns + pixels.column
        front = pixels.polygon == shown.ravel()[place]
        depth[place[front]] = 1.0 / inverse[front]
        depth = depth.reshape(rows, columns)
        face = np.where(shown >= 0, source[np.maximum(shown, 0)] if len(source) else 0, -1)
        instances = np.where(face >= 0, faces.owner[np.maximum(face, 0)] if len(source) else -1, -1).astype(np.int32)
        surfaces = np.where(np.isfinite(depth), GROUND, SKY).astype(np.uint8)
        if len(source):
            surfaces = np.where(face >= 0, faces.surface[np.maximum(face, 0)], surfaces).astype(np.uint8)
        alone = count_alone(pixels, faces.owner[source] if len(source) else source, objects)
        seen = np.bincount(instances[instances >= 0], minlength=objects)
        values = self._light(geometry, sensor, rays, depth, face, faces, instances, shadow, warm)
        return Picture(
            pixels=_expose(values, sensor, self.light, generator),
            depth=depth,
            instances=instances,
            surfaces=surfaces,
            visibility=np.where(alone > 0, seen / np.maximum(alone, 1), 0.0),
        )

    def _ground(self, geometry: CameraGeometry, rays: np.ndarray) -> np.ndarray:
        """(rows, columns) float32 inverse depth of the ground; 0 for the sky."""
        if isinstance(self.ground, GroundPlane):
            above = geometry.position[2] - self.ground.z
            return np.asarray(np.maximum(-rays[..., 2], 0) / np.float32(max(above, 1e-3)), np.float32)
        depth = self.ground.depth(geometry.position, rays.astype(np.float64))
        return np.where(np.isfinite(depth), 1 / np.maximum(depth, 1e-3), 0).astype(np.float32)

    def _light(
        self,
        geometry: CameraGeometry,
        sensor: Sensor,
        rays: np.ndarray,
        depth: np.ndarray,
        face: np.ndarray,
        faces: Faces,
        instances: np.ndarray,
        shadow: tuple[np.ndarray, float],
        warm: np.ndarray,
    ) -> np.ndarray:
        """(bands, rows, columns) light at the sensor: reflectance times illumination, or kelvin."""
        table = reflectances(sensor)
        if self.light.night or any(band.kind == "thermal" for band in sensor.bands):
            thermal = [i for i, band in enumerate(sensor.bands) if band.kind == "thermal"]
            table[:, thermal] = warmth(self.light.night)[:, None]
        thermal_band = np.array([band.kind == "thermal" for band in sensor.bands])
        sun, ambient = self.light.sun, self.light.ambient
        out = np.empty((len(sensor), *depth.shape), np.float32)
        on_ground = (face < 0) & np.isfinite(depth)
        row, column = np.nonzero(on_ground)
        distance = depth[row, column]
        x = np.float32(geometry.position[0]) + distance * rays[row, column, 0]
        y = np.float32(geometry.position[1]) + distance * rays[row, column, 1]
        ground, material = self._sample(sensor, table, x, y, distance / np.float32(geometry.camera.intrinsics[0, 0]))
        shaded = self._shaded(x, y, shadow)
        lit = np.where(shaded, ambient, ambient + (1 - ambient) * max(float(sun[2]), 0.0)).astype(np.float32)
        out[:, row, column] = np.where(
            thermal_band[:, None],
            ground * np.where(shaded & (not self.light.night), np.float32(0.5), np.float32(1)),
            ground * (NIGHT_LIGHT if self.light.night else lit),
        )
        del material
        row, column = np.nonzero(face >= 0)
        which = face[row, column]
        if len(which):
            towards = np.clip(faces.normals @ sun, 0, 1)
            shade = np.float32(NIGHT_LIGHT) if self.light.night else (ambient + (1 - ambient) * towards)[which]
            own = table[faces.material[which]].T
            heat = (
                np.where(instances[row, column] >= 0, warm[np.maximum(instances[row, column], 0)], 0)
                if len(warm)
                else 0
            )
            out[:, row, column] = np.where(thermal_band[:, None], own + heat, own * shade)
        row, column = np.nonzero((face < 0) & ~np.isfinite(depth))
        sky = table[INDEX["sky"]]
        out[:, row, column] = np.where(thermal_band, sky, sky * (NIGHT_LIGHT if self.light.night else 1))[:, None]
        if self.light.haze and not self.light.night:
            veil = np.exp(-self.light.haze * np.where(np.isfinite(depth), depth, 1e4)).astype(np.float32)
            hazed = out * veil + 0.5 * (1 - veil)
            out = np.where(thermal_band[:, None, None], out, hazed)
        return out

    def _sample(
        self, sensor: Sensor, table: np.ndarray, x: np.ndarray, y: np.ndarray, metres: np.ndarray
    ) -> tuple[np.ndarray, None]:
        """(bands, points) of the ground at a level of detail that fits the size of a pixel on it."""
        key = "|".join(f"{sensor.name}.{band.name}" for band in sensor.bands)
        if key not in self._textures:
            self._textures[key] = self._pyramid(sensor, table)
        textures, grid = self._textures[key], self.painted.grid
        level = np.clip(np.log2(np.maximum(metres / grid.resolution, 1e-6)), 0, len(textures) - 1).astype(np.int8)
        west, _, _, north = grid.bounds
        out = np.empty((len(sensor), len(x)), np.float32)
        for k, texture in enumerate(textures):
            own = level == k
            if not own.any():
                continue
            size = np.float32(grid.resolution * 2**k)
            i = np.clip((north - y[own]) / size, 0, texture.shape[0] - 1).astype(np.int32)
            j = np.clip((x[own] - west) / size, 0, texture.shape[1] - 1).astype(np.int32)
            out[:, own] = texture[i, j].T
        return out, None

    def _pyramid(self, sensor: Sensor, table: np.ndarray) -> list[np.ndarray]:
        painted = self.painted
        base = table[painted.material]
        optical = np.array([band.kind != "thermal" for band in sensor.bands])
        base = np.where(optical, base * painted.brightness[..., None], base).astype(np.float32)
        if painted.colour is not None:
            street = np.isin(painted.material, [INDEX[name] for name in ("asphalt", "marking", "pavement")])
            for i, band in enumerate(sensor.bands):
                if optical[i]:
                    channel = int(np.argmin(np.abs(np.array([650, 550, 450]) - (band.wavelength or 0))))
                    base[..., i] = np.where(street, base[..., i], painted.colour[..., channel])
        levels = [base]
        while len(levels) < LEVELS:
            last = levels[-1]
            even = last[: last.shape[0] // 2 * 2, : last.shape[1] // 2 * 2]
            levels.append((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
        return levels

    def _shaded(self, x: np.ndarray, y: np.ndarray, shadow: tuple[np.ndarray, float]) -> np.ndarray:
        mask, size = shadow
        west, _, _, north = self.painted.grid.bounds
        i = np.clip((north - y) / size, 0, mask.shape[0] - 1).astype(np.int32)
        j = np.clip((x - west) / size, 0, mask.shape[1] - 1).astype(np.int32)
        return np.asarray(mask[i, j])


def _expose(values: np.ndarray, sensor: Sensor, light: Light, generator: np.random.Generator) -> np.ndarray:
    """Light to the units of the bands, with noise."""
    noise = generator.standard_normal(values.shape, np.float32) * np.float32(light.noise)
    out = np.empty_like(values)
    for i, band in enumerate(sensor.bands):
        if band.kind == "thermal":
            out[i] = light.air + values[i] + 10 * noise[i]
        elif band.unit == "reflectance":
            out[i] = np.clip(values[i] + noise[i], 0, 2)
        elif band.unit == "uint8":
            encoded = np.clip(values[i] * EXPOSURE, 0, 1) ** np.float32(1 / GAMMA)
            out[i] = np.clip(np.round(255 * (encoded + noise[i])), 0, 255)
        else:
            raise ValueError(f"sensor {sensor.name}: band {band.name} in {band.unit} cannot be simulated")
    return out


@lru_cache(maxsize=16)
def _cached_rays(intrinsics: bytes, rows: int, columns: int, distortion: tuple[float, ...]) -> np.ndarray:
    matrix = np.frombuffer(intrinsics).reshape(3, 3)
    camera = PinholeCamera(matrix, rows, columns, distortion)  # type: ignore[arg-type]
    return camera.rays(camera.pixel_centres()).astype(np.float32)


def _rays(camera: PinholeCamera) -> np.ndarray:
    if any(camera.distortion):
        raise ValueError("the simulator renders undistorted cameras; leave distortion at 0")
    return _cached_rays(camera.intrinsics.tobytes(), camera.rows, camera.columns, camera.distortion)


def _projected(geometry: CameraGeometry, faces: Faces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces turned to the camera: (m, 4, 2) pixels, (m,) face, and (m, 3) by which 1 / depth = a u + b v + c."""
    towards = ((geometry.position - faces.corners[:, 0]) * faces.normals).sum(-1) > 1e-6
    index = np.flatnonzero(towards)
    rotation = geometry.world_from_camera[:3, :3]
    corners = (faces.corners[index] - geometry.position) @ rotation
    normals = faces.normals[index] @ rotation
    offset = (normals * corners[:, 0]).sum(-1)
    quads, part = clip_near(corners)
    k = geometry.camera.intrinsics
    u = k[0, 0] * quads[..., 0] / quads[..., 2] + k[0, 2]
    v = k[1, 1] * quads[..., 1] / quads[..., 2] + k[1, 2]
    n = normals[part] / offset[part][:, None]
    a, b = n[:, 0] / k[0, 0], n[:, 1] / k[1, 1]
    c = n[:, 2] - a * k[0, 2] - b * k[1, 2]
    outside = (u.max(1) < 0) | (u.min(1) > geometry.camera.columns) | (v.max(1) < 0) | (v.min(1) > geometry.camera.rows)
    keep = ~outside
    return np.stack([u, v], -1)[keep], index[part][keep], np.stack([a, b, c], -1)[keep]


def _placed(solids: Solids, which: np.ndarray, corners: np.ndarray, normals: np.ndarray, upper: np.ndarray) -> Faces:
    """A unit shape (faces, 4, 3) with sides of 2, once for each of some solids."""
    centres, halves, yaws = solids.centres[which], solids.halves[which], solids.yaws[which]
    count, faces = len(centres), len(corners)
    c, s = np.cos(yaws)[:, None, None], np.sin(yaws)[:, None, None]
    local = corners[None] * halves[:, None, None]
    turned = np.stack([c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1], local[..., 2]], -1)
    scaled = normals[None] / halves[:, None]
    scaled = scaled / np.maximum(np.linalg.norm(scaled, axis=-1, keepdims=True), 1e-12)
    c, s = c[..., 0], s[..., 0]
    outward = np.stack(
        [c * scaled[..., 0] - s * scaled[..., 1], s * scaled[..., 0] + c * scaled[..., 1], scaled[..., 2]], -1
    )
    material = np.where(upper, solids.top[which][:, None], solids.side[which][:, None])
    return Faces(
        (turned + centres[:, None, None]).reshape(count * faces, 4, 3),
        outward.reshape(count * faces, 3),
        material.reshape(-1),
        np.repeat(solids.owner[which], faces),
        np.repeat(solids.surface[which], faces),
    )


def _box_shape() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sides = []
    for normal, across in (
        ((1, 0, 0), (0, 1, 0)),
        ((-1, 0, 0), (0, -1, 0)),
        ((0, 1, 0), (-1, 0, 0)),
        ((0, -1, 0), (1, 0, 0)),
    ):
        n, a, up = np.array(normal, float), np.array(across, float), np.array([0, 0, 1.0])
        sides.append([n - a - up, n + a - up, n + a + up, n - a + up])
    top = [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]
    normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1.0]])
    return np.array([*sides, top], float), normals, np.array([False] * 4 + [True])


def _gem_shape(around: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ball of radius 1 as rings of quadrilaterals, widened so that its silhouette has the ball's area."""
    angles = np.arange(around + 1) * 2 * np.pi / around
    levels = np.array([-1.0, -0.55, 0.1, 0.7, 1.0])
    radii = np.sqrt(np.maximum(1 - levels**2, 0)) * 1.05
    faces, normals = [], []
    for k in range(len(levels) - 1):
        for i in range(around):
            quad = [
                [radii[ring] * np.cos(angles[j]), radii[ring] * np.sin(angles[j]), levels[ring]]
                for ring, j in ((k, i), (k, i + 1), (k + 1, i + 1), (k + 1, i))
            ]
            faces.append(quad)
            d1, d2 = np.subtract(quad[2], quad[0]), np.subtract(quad[3], quad[1])
            normals.append(np.cross(d1, d2))
    outward = np.array(normals)
    return np.array(faces), outward / np.linalg.norm(outward, axis=1, keepdims=True), np.array([False] * len(faces))


_BOX = _box_shape()
_GEM = _gem_shape()
