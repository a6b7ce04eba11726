"""A ground station: what a satellite or an aircraft saw of a place, as coded features in the messages of a platform.

A peer that has no base map on board receives it like any other peer's frame: the same codec, the same entropy tables,
the same budgets, the most salient cells first.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from skyweave.collaboration.boxes import empty_box_list
from skyweave.collaboration.entropy_tables import imagery_tables
from skyweave.collaboration.messages import build_message, encode_message
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import MARGIN_CELLS, SNAP_CELLS, EgoMaps
from skyweave.collaboration.precision import inference_autocast, module_device
from skyweave.core.errors import ConfigError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.perception.carried_maps import CarriedMaps
from skyweave.recordings.recording import BaseMap
from skyweave.wire import FrameContent, Pose

IDENTITY_QUATERNION = np.array([1.0, 0.0, 0.0, 0.0])


class GroundStation:
    """Sends coded features of orthorectified images of one place.

    Several images of it are fused before they are sent, as a receiver would fuse them. They are features of another
    time: receivers read them as base maps, not as what a platform sees, and tell them by their fingerprint.

    Args:
        model: with frozen tables, whose perception model reads rasters.
        base_maps: of the place; at least one.

    Raises:
        ConfigError: there are none, or the model reads cameras only.
    """

    def __init__(self, model: CollaborativeModel, base_maps: Sequence[BaseMap]) -> None:
        if not base_maps:
            raise ConfigError("base_maps is empty: a ground station needs an image to tell of; name at least one")
        self.model = model.eval()
        self._carried = CarriedMaps(model.perception, base_maps)
        self._tables = imagery_tables(model)

    @torch.inference_mode()
    def observe(self, centre: tuple[float, float], ground: Ground, crs: str | None, time: int) -> EgoMaps | None:
        """Return the map of the images about a place; None where they show nothing of it.

        Args:
            centre: of the map, metres.
            ground: under it.
            crs: reference system of the world frame; None for a local frame.
            time: of the frame, UTC nanoseconds.
        """
        device, grid = module_device(self.model), self._grid(centre, crs)
        with inference_autocast(device):
            placed = self._carried.place(grid, ground, time)
        if placed is None:
            return None
        features = self.model.perception.fuse_base_maps(placed)[0].float()
        pose = Pose(np.array([*centre, 0.0]), IDENTITY_QUATERNION)
        return EgoMaps(features, placed.visible[0].any(0), grid, empty_box_list(), time, pose)

    def compose(
        self, ego: EgoMaps, budget_bytes: int | None = None, platform: int = 0, sequence: int = 0
    ) -> FrameContent:
        """Compose the message of one pass; it holds neither boxes nor a request, and nobody's pose.

        Args:
            ego: of `observe`.
            budget_bytes: of the frame on the wire; None: everything.
            platform: number of the station.
            sequence: number of the frame.

        Raises:
            WeightsError: the model's tables are not frozen.
        """
        message = build_message(self.model, ego, budget_bytes, None, None, platform, sequence)
        fingerprint = message.fingerprint if self._tables is None else self._tables.fingerprint
        return replace(message, fingerprint=fingerprint, request=None)

    def encode(self, message: FrameContent, budget_bytes: int | None = None, mtu: int = 1200) -> list[bytes]:
        """Encode a message as chunks within a budget.

        Args:
            message: as composed.
            budget_bytes: of all chunks; None: everything is sent.
            mtu: bytes of the largest chunk.
        """
        tables = () if self._tables is None else (self._tables,)
        return encode_message(message, tables, budget_bytes, mtu)

    def _grid(self, centre: tuple[float, float], crs: str | None) -> MapGrid:
        """Return the map about a place, snapped to the codec's blocks, as large as a platform's."""
        config = self.model.perception.config.map
        step = SNAP_CELLS * config.resolution
        x, y = np.round(np.array(centre) / step) * step
        size = config.size + 2 * MARGIN_CELLS * config.resolution
        return MapGrid.around(float(x), float(y), size, config.resolution, crs)
