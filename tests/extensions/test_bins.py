"""A parametrisation of depth from a package of its own: one file, which configurations and the lift then know."""

import pytest
import torch

from recipes import entry_points, recipe
from skyweave.core.errors import ConfigError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at
from skyweave.core.geometry.grid import MapGrid
from skyweave.mapping import BINS, Lift, build_bins, plan_lift
from skyweave.perception import LiftConfig, PerceptionConfig

PACKAGE = recipe("inverse_bins.py")


def test_bins_of_a_package_are_configured_and_lifted(install_package: object) -> None:
    install_package("inverse_bins", PACKAGE, entry_points("inverse_bins"))  # type: ignore[operator]
    assert "inverse" in BINS and PerceptionConfig(lift=LiftConfig("inverse", {"count": 6})).lift.build().count == 6
    camera = PinholeCamera.from_field_of_view(1.0, 32, 48)
    geometry = CameraGeometry(camera, look_at((0.0, -20.0, 30.0), (0.0, 0.0, 0.0)))
    lift = Lift(4, 3, build_bins("inverse", near=5.0))
    plan = plan_lift([geometry], MapGrid.around(0, 0, 32, 1.0), lift.bins, (8, 12))
    lifted, logits = lift(torch.rand(1, 4, 8, 12), plan)
    assert logits.shape == (1, 8, 8, 12) and lifted.visible.any() and bool(lifted.features.any())
    with pytest.raises(ConfigError, match=r"lift\.bins: no bins 'inverze', did you mean 'inverse'"):
        PerceptionConfig(lift=LiftConfig("inverze"))
