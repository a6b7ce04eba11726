"""Augmentation that keeps the geometry right: cameras, images and objects change together."""

from dataclasses import dataclass, field, replace

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import make_transform, rotation_about_z, transform_points
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.core.images.resampling import resample
from skyweave.core.observation import GeoTransform, Observation
from skyweave.perception.photometric import PhotometricConfig
from skyweave.perception.targets import ObjectTargets
from skyweave.perception.views import View


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes that keep the geometry right, and of light and cameras.

    Attributes:
        rotate: rotate the world about the map's centre by any angle: cameras and objects move together.
        mirror: mirror the world and the images.
        shift: move the map by up to so many metres each way.
        zoom: enlarge a random window of each image by up to this factor; its camera follows.
        photometric: effects of light and cameras, one draw for all images of a platform.
        base_maps_only: share of the samples with base maps of which no camera is read: they take a fraction of the
            time, and teach what imagery alone can tell.
    """

    rotate: bool = True
    mirror: bool = True
    shift: float = 8.0
    zoom: float = 1.25
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    base_maps_only: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.base_maps_only <= 1:
            raise ConfigError(f"augmentation.base_maps_only is {self.base_maps_only}; use a share from 0 to 1")


@dataclass(frozen=True)
class WorldTransform:
    """A rigid motion about the vertical, perhaps after mirroring y, of everything in a sample.

    Attributes:
        matrix: (4, 4) from the old world to the new one.
        mirrored: whether y is mirrored before.
        moved: whether it changes anything.
    """

    matrix: np.ndarray
    mirrored: bool
    moved: bool

    @classmethod
    def identity(cls) -> "WorldTransform":
        """Return the transform that changes nothing."""
        return cls(np.eye(4), False, False)

    @classmethod
    def random(
        cls, augmentation: AugmentationConfig, centre: np.ndarray, ground: Ground, generator: np.random.Generator
    ) -> "WorldTransform":
        """Return a random rotation about the map's centre, which comes to lie at the origin.

        Args:
            augmentation: what may be changed.
            centre: (2,) world position of the map's centre, metres.
            ground: terrain cannot be rotated with the rest: over it nothing is changed.
            generator: of the angle and of the mirroring.
        """
        if not isinstance(ground, GroundPlane):
            return cls.identity()
        angle = generator.uniform(0, 2 * np.pi) if augmentation.rotate else 0.0
        mirrored = bool(augmentation.mirror and generator.random() < 0.5)
        centre = centre * (1, -1) if mirrored else centre
        rotation = rotation_about_z(angle)
        return cls(make_transform(rotation, rotation @ -np.append(centre, 0.0)), mirrored, True)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Return transformed world positions.

        Args:
            points: (..., 3) metres.
        """
        return transform_points(self.matrix, points * (1, -1, 1) if self.mirrored else points)

    def camera(self, geometry: CameraGeometry) -> CameraGeometry:
        """Return a camera at its transformed pose.

        Args:
            geometry: camera and pose.
        """
        if not self.moved:
            return geometry
        geometry = geometry.flipped() if self.mirrored else geometry
        return replace(geometry, world_from_camera=self.matrix @ geometry.world_from_camera, crs=None)

    def raster(self, geometry: GeoTransform) -> GeoTransform:
        """Return where a raster lies in the transformed world; its pixels stay as they are.

        Args:
            geometry: of a raster in the same reference system as the cameras.
        """
        if not self.moved:
            return geometry
        mirror = np.diag([1.0, -1.0 if self.mirrored else 1.0])
        turn = self.matrix[:2, :2] @ mirror
        a, b, c, d, e, f = geometry.affine
        (a, b, c), (d, e, f) = (turn @ np.array([[a, b, c], [d, e, f]])).tolist()
        x, y = self.matrix[:2, 3].tolist()
        return GeoTransform(None, (a, b, c + x, d, e, f + y))

    def image(self, observation: Observation) -> Observation:
        """Return the image that the transformed camera takes of the transformed world.

        Args:
            observation: the image.
        """
        observation = replace(observation, geometry=None)
        if not self.mirrored:
            return observation
        pixels, valid = observation.pixels[..., ::-1], observation.valid[..., ::-1]
        return replace(observation, pixels=np.ascontiguousarray(pixels), valid=np.ascontiguousarray(valid))

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """Return the depth of `image`.

        Args:
            depth: (rows, columns) metres along the optical axis.
        """
        return np.ascontiguousarray(depth[:, ::-1]) if self.mirrored else depth

    def objects(self, objects: ObjectTargets) -> ObjectTargets:
        """Return transformed objects.

        Args:
            objects: of a sample; its grid and ground are left as they are.
        """
        if not self.moved:
            return objects
        sign = np.array([1, -1]) if self.mirrored else np.array([1, 1])
        rotation = self.matrix[:2, :2]
        angle = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        boxes = objects.boxes
        flat = np.concatenate([objects.future, np.zeros_like(objects.future[..., :1])], -1)
        return replace(
            objects,
            boxes=Boxes(self.points(boxes.centres), boxes.sizes, sign[1] * boxes.yaws + angle),
            velocities=(objects.velocities * sign) @ rotation.T,
            future=self.points(flat)[..., :2],
            future_yaws=sign[1] * objects.future_yaws + angle,
        )


def zoom_view(view: View, max_zoom: float, generator: np.random.Generator) -> View:
    """Return a random window of an image, enlarged to the image's size.

    Args:
        view: the image, its camera and its depth.
        max_zoom: largest factor.
        generator: of the factor and of the window's position.
    """
    observation, depth = view.observation, view.depth
    rows, columns = observation.shape
    zoom = max_zoom ** generator.random()
    height, width = round(rows / zoom), round(columns / zoom)
    row, column = int(generator.integers(rows - height + 1)), int(generator.integers(columns - width + 1))
    pixels, valid = resample(observation.pixels, observation.valid, (rows, columns), (row, column, height, width))
    if depth is not None:  # taken, not mixed: between a roof and the ground there is nothing
        down = row + ((np.arange(rows) + 0.5) * height / rows).astype(int)
        across = column + ((np.arange(columns) + 0.5) * width / columns).astype(int)
        depth = depth[down[:, None], across]
    camera = view.geometry.camera.cropped(row, column, height, width).resized(rows, columns)
    observation, geometry = replace(observation, pixels=pixels, valid=valid), replace(view.geometry, camera=camera)
    return replace(view, observation=observation, geometry=geometry, depth=depth)
