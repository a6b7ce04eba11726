"""The perception model: images of one or several platforms to one map, and from that map every head's outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from skyweave.backbone import Backbone, Features, ModelCard, build_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.mapping import BEVFeatures, Lift, plan_lift
from skyweave.mapping.fusion import build_fusion
from skyweave.perception.balance import balance_images
from skyweave.perception.base_map_fusion import BaseMapFusion
from skyweave.perception.bev_encoder import BEVEncoder, TemporalFusion
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.domain import TrainingDomain
from skyweave.perception.heads.base import HeadOutputs, build_heads
from skyweave.perception.neck import Neck
from skyweave.perception.raster_encoder import RasterEncoder
from skyweave.perception.views import Views

RAY_FREQUENCIES = 6  # octaves in which a ray's direction is encoded (NeRF, arXiv 2003.08934)
RasterPart = TypeVar("RasterPart", RasterEncoder, BaseMapFusion)
MAP_MULTIPLE = 4  # that rows and columns of a map are of: the encoder halves it twice
RESOLUTION_TOLERANCE_M = 1e-9


@dataclass(frozen=True)
class PlatformMaps:
    """What every platform observed, lifted to the map: the features that platforms share.

    Attributes:
        features: (samples, platforms, channels, rows, columns); zero for absent platforms and where nothing fell.
        visible: (samples, platforms, rows, columns) bool.
        depth: for each group of images the logits over the bins (images, bins, rows, columns), for supervision.
        novelty: (samples, platforms) of the least familiar image of each platform, see `TrainingDomain.novelty`, 0 for
            absent platforms; None where a model does not know what it was trained on.
    """

    features: Tensor
    visible: Tensor
    depth: list[Tensor]
    novelty: Tensor | None = None

    def drop_platforms(self, dropped: Tensor) -> "PlatformMaps":
        """Return the maps as if some platforms were absent.

        Args:
            dropped: (samples, platforms) bool.
        """
        keep = ~dropped[..., None, None]
        return replace(self, features=self.features * keep.unsqueeze(2), visible=self.visible & keep)

    def joined(self, others: "PlatformMaps | None") -> "PlatformMaps":
        """Return the maps of these platforms and of others, the others last.

        Args:
            others: of the same samples; None: there are none.
        """
        if others is None:
            return self
        features = torch.cat([self.features, others.features.to(self.features.dtype)], 1)
        return replace(self, features=features, visible=torch.cat([self.visible, others.visible], 1))

    def without_margin(self, cells: int) -> "PlatformMaps":
        """Return the inner part of the maps.

        Args:
            cells: that are cut off along each side, more than 0.
        """
        inner = (..., slice(cells, -cells), slice(cells, -cells))
        return replace(self, features=self.features[inner], visible=self.visible[inner])

    def followed_by(self, others: "PlatformMaps") -> "PlatformMaps":
        """Return the maps of these samples and of others of as many platforms.

        Args:
            others: whose samples come after these.
        """
        features, visible = (
            torch.cat(pair) for pair in ((self.features, others.features), (self.visible, others.visible))
        )
        return replace(self, features=features, visible=visible)


class PerceptionModel(nn.Module):
    """One shared model for all heads.

    ``observe`` is what a platform does alone, ``fuse`` what it does with the maps of others, ``perceive`` what it reads
    off the fused map. Training and deployment call the same three.

    Args:
        config: sizes, map and heads.
        backbone: pretrained, or None for random weights.
        seed: of the random weights.

    Attributes:
        card: what is known of the weights; set where they were loaded from a file.
        domain: what it was trained on, where that was measured.
    """

    card: ModelCard
    domain: TrainingDomain | None = None

    def __init__(self, config: PerceptionConfig, backbone: Backbone | None = None, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = backbone or build_backbone(config.backbone, seed=seed)
            width, levels = self.backbone.config.width, len(self.backbone.encoder.taps)
            self.neck = Neck(width, levels, config.neck, config.patch_size // config.stride)
            self.lift = Lift(
                config.neck + 4 * RAY_FREQUENCIES * config.lift.rays, config.lift.channels, config.lift.build()
            )
            self.fusion = build_fusion(config.fusion, config.lift.channels)
            self.memory = TemporalFusion(config.lift.channels, config.history, config.trunk[0])
            self.trunk = BEVEncoder(config.trunk)
            self.heads = build_heads(config)
            self.rasters = self.base_map_fusion = None
            if config.rasters is not None:
                self.rasters = RasterEncoder(config.rasters, width, levels, config.lift.channels)
                self.base_map_fusion = BaseMapFusion(config.lift.channels, config.trunk[0])

    def forward(self, frames: Sequence[Views], present: Tensor | None = None) -> dict[str, HeadOutputs]:
        """Perceive a batch.

        Args:
            frames: ``history`` frames, the oldest first; all on the same grids.
            present: (samples, frames) bool: which frames there are; default all.

        Returns:
            each head's raw outputs by its name.
        """
        return self.perceive([self.fuse(self.observe(views)) for views in frames], present)

    def observe(self, views: Views) -> PlatformMaps:
        """Encode every observation and bring it onto the map of its sample: cameras are lifted, rasters resampled.

        Args:
            views: all observations of one frame of a batch.

        Raises:
            DataError: a map of another resolution than the model's, or one that cannot be quartered; or rasters, and
                the model reads cameras only.
        """
        self._check_grids(views.grids)
        samples, platforms = len(views.grids), views.platforms
        features, visible, depth = None, None, []
        novelty = torch.zeros(samples * platforms)
        for batch, cameras, maps in zip(views.images, views.cameras, views.maps, strict=True):
            seen = self.features(batch)
            if self.domain is not None:
                of_images = self.domain.novelty(seen.pooled.detach()).cpu()
                novelty.scatter_reduce_(0, torch.tensor(maps), of_images, "amax")
            lifted, logits = self._lift_images(seen, cameras, maps, views)
            depth.append(logits)
            features = lifted.features if features is None else features + lifted.features
            visible = lifted.visible if visible is None else visible | lifted.visible
        features, visible = self._empty_maps(features, visible, views, samples, platforms)
        features, visible = self._add_rasters(features, visible, views)
        shape = (samples, platforms)
        known = None if self.domain is None else torch.unflatten(novelty, 0, shape)
        return PlatformMaps(torch.unflatten(features, 0, shape), torch.unflatten(visible, 0, shape), depth, known)

    def _empty_maps(
        self, features: Tensor | None, visible: Tensor | None, views: Views, samples: int, platforms: int
    ) -> tuple[Tensor, Tensor]:
        """Return maps on which nothing is seen."""
        if features is None or visible is None:
            rows, columns = views.grids[0].shape
            like = self.lift.head.weight
            features = like.new_zeros(samples * platforms, self.config.lift.channels, rows, columns)
            visible = torch.zeros(samples * platforms, rows, columns, dtype=torch.bool, device=like.device)
        return features, visible

    def _add_rasters(self, features: Tensor, visible: Tensor, views: Views) -> tuple[Tensor, Tensor]:
        """Return maps (samples * platforms, ...) to which rasters were added."""
        if not views.rasters:
            return features, visible
        encoder = self._raster_part(self.rasters)
        for group in views.rasters:
            grids = [views.grids[index // views.platforms] for index in group.maps]
            placed = encoder(self.backbone, group, grids, self.config.balance)
            index = torch.tensor(group.maps, device=features.device)
            added = torch.stack([one.features for one in placed])
            features = features.index_add(0, index, added.to(features.dtype))
            seen = torch.stack([one.visible for one in placed])
            visible = visible.index_put((index,), visible[index] | seen)
        return features, visible

    @staticmethod
    def _raster_part(part: RasterPart | None) -> RasterPart:
        """Return a part that only models with rasters have."""
        if part is None:
            raise DataError(
                "this model reads cameras only, and got rasters; leave base maps out, or train one with model.rasters"
            )
        return part

    def _check_grids(self, grids: Sequence[MapGrid]) -> None:
        resolution = self.config.map.resolution
        for grid in grids:
            other_resolution = abs(grid.resolution - resolution) > RESOLUTION_TOLERANCE_M
            if other_resolution or grid.rows % MAP_MULTIPLE or grid.columns % MAP_MULTIPLE:
                raise DataError(
                    f"a map of {grid.rows} x {grid.columns} cells of {grid.resolution} m: this model was trained on "
                    f"cells of {resolution} m, and needs rows and columns that are multiples of {MAP_MULTIPLE}"
                )

    def _lift_images(
        self, seen: Features, cameras: Sequence[CameraGeometry], maps: Sequence[int], views: Views
    ) -> tuple[BEVFeatures, Tensor]:
        """Features of (samples * platforms) maps in the encoder's precision, and the depth logits."""
        encoded: Tensor = self.neck(seen)
        grids = [grid for grid in views.grids for _ in range(views.platforms)]
        grounds = [views.grounds[index // views.platforms] for index in maps]
        shape = (encoded.shape[-2], encoded.shape[-1])
        plan = plan_lift(cameras, grids, self.lift.bins, shape, grounds, maps, encoded.device)
        if self.config.lift.rays:
            encoded = torch.cat([encoded, _encode_rays(cameras, shape).to(encoded)], 1)
        lifted, logits = self.lift(encoded, plan)
        return replace(lifted, features=lifted.features.to(encoded.dtype)), logits

    def encode(self, batch: SensorBatch) -> Tensor:
        """Return (images, channels, rows, columns) feature maps at the model's stride.

        Args:
            batch: images of one sensor and size.
        """
        encoded: Tensor = self.neck(self.features(batch))
        return encoded

    def features(self, batch: SensorBatch) -> Features:
        """Return what the backbone makes of images, exposure and colour evened out as the model has it.

        An oblique image has no one ground sample distance, and features that know it change with the altitude: the
        backbone gets the sensor's nominal one.

        Args:
            batch: images of one sensor and size.
        """
        config = self.config
        nominal = torch.full_like(batch.ground_sample_distance, batch.sensor.ground_sample_distance)
        batch = balance_images(replace(batch, ground_sample_distance=nominal), config.balance)
        features: Features = self.backbone(batch, config.patch_size, config.stride, self.neck.detail)
        return features

    def fuse(self, maps: PlatformMaps) -> Tensor:
        """Return (samples, channels, rows, columns): the maps of all platforms as one.

        Args:
            maps: of one frame, from `observe`.
        """
        fused: Tensor = self.fusion(maps.features, maps.visible)
        return fused

    def fuse_base_maps(self, base_maps: PlatformMaps) -> Tensor:
        """Return (samples, channels, rows, columns): what base maps say, as one.

        Args:
            base_maps: of one frame, from `observe`.

        Raises:
            DataError: the model reads cameras only.
        """
        prior: Tensor = self._raster_part(self.base_map_fusion).fusion(base_maps.features, base_maps.visible)
        return prior

    def perceive(
        self,
        fused: list[Tensor],
        present: Tensor | None = None,
        gradient_scale: Mapping[str, float] | None = None,
        base_maps: PlatformMaps | None = None,
    ) -> dict[str, HeadOutputs]:
        """Return every head's outputs from fused maps of consecutive frames.

        Args:
            fused: of each frame (batch, channels, rows, columns), the oldest first.
            present: (batch, frames) bool: which frames there are; default all.
            gradient_scale: by head, the share of its gradient that reaches what the heads have in common; default 1.
            base_maps: of the place, from `observe`; None: there are none.

        Raises:
            ValueError: another number of frames than the model's history.
            DataError: there are base maps, and the model reads cameras only.
        """
        if len(fused) != self.config.history:
            raise ValueError(f"the model sees {self.config.history} frames, got {len(fused)}; repeat or pad with zeros")
        if present is None:
            present = torch.ones(len(fused[0]), len(fused), dtype=torch.bool, device=fused[0].device)
        maps = self.trunk(self.memory(fused, present))
        if base_maps is not None:
            maps = self._raster_part(self.base_map_fusion)(maps, base_maps.features, base_maps.visible)
        scales = {} if gradient_scale is None else gradient_scale
        return {name: head(_scale_gradient(maps, scales.get(name, 1.0))) for name, head in self.heads.items()}


def _scale_gradient(maps: Tensor, scale: float) -> Tensor:
    """The same values, of whose gradient a share goes on."""
    return maps if scale == 1 or not maps.requires_grad else scale * maps + (1 - scale) * maps.detach()


def _encode_rays(cameras: Sequence[CameraGeometry], shape: tuple[int, int]) -> Tensor:
    """(cameras, 4 * RAY_FREQUENCIES, rows, columns): sines and cosines of x and y of each feature's ray of depth 1.

    In its camera's frame. A plain x and y would need large weights, and long training, to tell near depths apart.
    """
    rays = np.stack([geometry.camera.rays(geometry.camera.pixel_centres(*shape))[..., :2] for geometry in cameras])
    angles = np.pi * rays[..., None] * 2.0 ** np.arange(RAY_FREQUENCIES)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], -1).reshape(*rays.shape[:3], -1)
    return torch.from_numpy(waves.transpose(0, 3, 1, 2)).float()
