"""Pictures of one or several platforms to one map, and from that map every task's outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skyweave.backbone import Backbone, ModelCard, build_backbone
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.data.batch import SensorBatch
from skyweave.mapping import Lift, plan_lift
from skyweave.perception.bev_encoder import BEVEncoder, TemporalFusion
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.fusion import make_fusion
from skyweave.perception.heads import HEADS
from skyweave.perception.neck import Neck
from skyweave.perception.views import Views

RAY_FREQUENCIES = 6


@dataclass(frozen=True)
class PlatformMaps:
    """What every platform placed on the map: the thing that platforms share.

    Attributes:
        features: (samples, platforms, channels, rows, columns); zero for absent platforms and where nothing fell.
        visible: (samples, platforms, rows, columns) bool.
        depth: for each group of pictures the logits over the bins (pictures, bins, rows, columns), for supervision.
    """

    features: Tensor
    visible: Tensor
    depth: list[Tensor]

    def without(self, dropped: Tensor) -> "PlatformMaps":
        """The maps as if some platforms, (samples, platforms) bool, were not there."""
        keep = ~dropped[..., None, None]
        return replace(self, features=self.features * keep.unsqueeze(2), visible=self.visible & keep)


class PerceptionModel(nn.Module):
    """One shared model for three tasks.

    ``observe`` is what a platform does alone, ``fuse`` what it does with the maps of others, ``perceive`` what it reads
    off the fused map. Training and deployment call the same three.

    Args:
        config: see `PerceptionConfig`.
        backbone: pretrained, or None for random weights.
        seed: of the random weights.

    Attributes:
        card: what is known of the weights; set where they were loaded from a file.
    """

    card: ModelCard

    def __init__(self, config: PerceptionConfig, backbone: Backbone | None = None, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = backbone or build_backbone(config.backbone, seed=seed)
            width, levels = self.backbone.config.width, len(self.backbone.encoder.taps)
            self.neck = Neck(width, levels, config.neck, config.patch_size // config.stride)
            self.lift = Lift(
                config.neck + 4 * RAY_FREQUENCIES * config.lift.rays, config.lift.channels, config.lift.make()
            )
            self.fusion = make_fusion(config.fusion, config.lift.channels)
            self.memory = TemporalFusion(config.lift.channels, config.history, config.trunk[0])
            self.trunk = BEVEncoder(config.trunk)
            self.heads = nn.ModuleDict({task: HEADS[task](config) for task in config.tasks})

    def forward(self, frames: Sequence[Views], present: Tensor | None = None) -> dict[str, Any]:
        """Perceive a batch.

        Args:
            frames: ``history`` moments, the oldest first; all on the same grids.
            present: (samples, frames) bool: moments that are there; default all.

        Returns:
            each task's raw outputs, as its head documents them.
        """
        fused = []
        for views in frames:
            maps = self.observe(views)
            fused.append(self.fuse(maps))
        return self.perceive(fused, present)

    def observe(self, views: Views) -> PlatformMaps:
        """Encode every picture and place it on the map of its sample.

        Raises:
            ValueError: a map of another resolution than the model's, or one that cannot be quartered.
        """
        for grid in views.grids:
            if abs(grid.resolution - self.config.map.resolution) > 1e-9 or grid.rows % 4 or grid.columns % 4:
                raise ValueError(
                    f"a map of {grid.rows} x {grid.columns} cells of {grid.resolution} m: this model was trained on "
                    f"cells of {self.config.map.resolution} m, and needs rows and columns that are multiples of 4"
                )
        samples, platforms = len(views.grids), views.platforms
        grids = [grid for grid in views.grids for _ in range(platforms)]
        features, visible, depth = None, None, []
        for batch, cameras, maps in zip(views.images, views.cameras, views.maps, strict=True):
            encoded = self.encode(batch)
            grounds = [views.grounds[m // platforms] for m in maps]
            shape = (encoded.shape[-2], encoded.shape[-1])
            plan = plan_lift(cameras, grids, self.lift.bins, shape, grounds, maps, encoded.device)
            if self.config.lift.rays:
                encoded = torch.cat([encoded, _directions(cameras, shape).to(encoded)], 1)
            placed, logits = self.lift(encoded, plan)
            depth.append(logits)
            lifted = placed.features.to(encoded.dtype)
            features = lifted if features is None else features + lifted
            visible = placed.visible if visible is None else visible | placed.visible
        if features is None or visible is None:
            rows, columns = views.grids[0].shape
            like = self.lift.head.weight
            features = like.new_zeros(samples * platforms, self.config.lift.channels, rows, columns)
            visible = torch.zeros(samples * platforms, rows, columns, dtype=torch.bool, device=like.device)
        return PlatformMaps(
            features.unflatten(0, (samples, platforms)), visible.unflatten(0, (samples, platforms)), depth
        )

    def encode(self, batch: SensorBatch) -> Tensor:
        """(pictures, channels, rows, columns) feature maps at the model's stride.

        An oblique picture has no one ground sample distance, and features that know it are other ones at another
        altitude: the backbone is told the sensor's nominal one.
        """
        config = self.config
        nominal = torch.full_like(batch.ground_sample_distance, batch.sensor.ground_sample_distance)
        batch = replace(batch, ground_sample_distance=nominal)
        encoded: Tensor = self.neck(self.backbone(batch, config.patch_size, detail=config.stride))
        return encoded

    def fuse(self, maps: PlatformMaps) -> Tensor:
        """(samples, channels, rows, columns): all platforms' maps as one."""
        fused: Tensor = self.fusion(maps.features, maps.visible)
        return fused

    def perceive(
        self, fused: list[Tensor], present: Tensor | None = None, shares: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """Every task's outputs from fused maps of consecutive moments, the oldest first.

        Args:
            fused: of each moment (batch, channels, rows, columns).
            present: (batch, moments) bool: which of them there are.
            shares: of each task's gradient, that reaches what the tasks share; default 1.
        """
        if len(fused) != self.config.history:
            raise ValueError(f"the model sees {self.config.history} frames, got {len(fused)}; repeat or pad with zeros")
        if present is None:
            present = torch.ones(len(fused[0]), len(fused), dtype=torch.bool, device=fused[0].device)
        maps = self.trunk(self.memory(fused, present))
        shares = {} if shares is None else shares
        return {task: head(_with_gradient(maps, shares.get(task, 1.0))) for task, head in self.heads.items()}


def _with_gradient(maps: Tensor, share: float) -> Tensor:
    """The same, of whose gradient a share goes on."""
    return maps if share == 1 or not maps.requires_grad else share * maps + (1 - share) * maps.detach()


def _directions(cameras: Sequence[CameraGeometry], shape: tuple[int, int]) -> Tensor:
    """(cameras, 4 * RAY_FREQUENCIES, rows, columns): sines and cosines of x and y of each feature's ray of depth 1.

    In its camera's frame. A plain x and y would need large weights, and long, to tell near depths apart.
    """
    rays = np.stack([geometry.camera.rays(geometry.camera.pixel_centres(*shape))[..., :2] for geometry in cameras])
    angles = np.pi * rays[..., None] * 2.0 ** np.arange(RAY_FREQUENCIES)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], -1).reshape(*rays.shape[:3], -1)
    return torch.from_numpy(waves.transpose(0, 3, 1, 2)).float()
