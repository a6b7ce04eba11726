"""A parametrisation of depth from a package of its own: one file, which configurations and the lift then know."""

import pytest
import torch

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at
from skyweave.core.geometry.grid import MapGrid
from skyweave.mapping import BINS, Lift, build_bins, plan_lift
from skyweave.perception import LiftConfig, PerceptionConfig

PACKAGE = '''
"""Nodes at inverse depths: bins for Skyweave."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class InverseBins:
    near: float = 4.0
    count: int = 8

    def depths(self, rays):
        share = torch.linspace(0, 1, self.count, dtype=torch.float64, device=rays.directions.device)
        return 1 / (share / self.near + (1 - share) / rays.ground_depth[:, None])

    def reach(self, clearance):
        return clearance - self.near
'''


def test_bins_of_a_package_are_configured_and_lifted(install_package: object) -> None:
    install_package("inverse_bins", PACKAGE, "[skyweave.bins]\ninverse = inverse_bins:InverseBins\n")  # type: ignore[operator]
    assert "inverse" in BINS and PerceptionConfig(lift=LiftConfig("inverse", {"count": 6})).lift.build().count == 6
    camera = PinholeCamera.from_field_of_view(1.0, 32, 48)
    geometry = CameraGeometry(camera, look_at((0.0, -20.0, 30.0), (0.0, 0.0, 0.0)))
    lift = Lift(4, 3, build_bins("inverse", near=5.0))
    plan = plan_lift([geometry], MapGrid.around(0, 0, 32, 1.0), lift.bins, (8, 12))
    lifted, logits = lift(torch.rand(1, 4, 8, 12), plan)
    assert logits.shape == (1, 8, 8, 12) and lifted.visible.any() and bool(lifted.features.any())
    with pytest.raises(ConfigError, match=r"lift\.bins: no bins 'inverze', did you mean 'inverse'"):
        PerceptionConfig(lift=LiftConfig("inverze"))
