"""A perceiver that tells coded features: the collaborative model of `skyweave.collaboration`, moment by moment.

It does what that room's evaluation does with cached maps: the same functions encode, decode, fuse and read.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.collaboration.boxes import box_list_from_detections, detections_from_box_list, extrapolate_boxes
from skyweave.collaboration.cache import MARGIN_CELLS, MIN_SHARED_SCORE, ego_grid, translate_map
from skyweave.collaboration.evaluation import merge_received_boxes
from skyweave.collaboration.messages import INTERLEAVED_CHUNKS, build_message, decode_received, request_map
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.pose_alignment import PoseAligners, PoseError
from skyweave.core.errors import FleetError
from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.perception.prediction import ScenePrediction, decode_maps
from skyweave.perception.results import Detections
from skyweave.perception.views import View, Views
from skyweave.recordings.recording import Frame, RecordedScene
from skyweave.wire import BoxList, EntropyTables, FrameContent

MAX_TIME_OFFSET_INTERVALS = 0.25  # of the interval, by which a past moment's time may be off


@dataclass(frozen=True)
class EgoMap:
    """What a platform has of one moment.

    Attributes:
        time: capture, UTC nanoseconds.
        grid: its map, larger than the model's on each side, so that others find what they need.
        features: (channels, rows, columns); visible: (rows, columns) bool.
        alone: (1, channels, rows, columns) its own map, fused with nobody's.
        boxes: that it finds alone, the most certain first.
        place: where it is.
    """

    time: int
    grid: MapGrid
    features: Tensor
    visible: Tensor
    alone: Tensor
    boxes: BoxList
    place: WorldFrame


class IntermediateFusionPerceiver:
    """A collaborative model on one platform.

    Args:
        model: with frozen tables where features travel.

    Raises:
        ValueError: a strategy whose features have no coded form, or tables that are not frozen.
    """

    def __init__(self, model: CollaborativeModel) -> None:
        shares = model.strategy.shares
        if shares == "everything":
            raise FleetError(f"strategy {model.config.strategy!r} sends uncoded features, which do not travel")
        if model.sends_features and model.tables is None:
            raise FleetError("the model's entropy tables are not frozen; finish its training")
        self.model = model.eval()
        config = model.perception.config
        self.categories, self.interval, self.resolution = config.categories, config.interval, config.map.resolution
        self.tables: Sequence[EntropyTables] = () if model.tables is None else (model.tables,)
        self.fingerprint = 0 if model.tables is None else model.tables.fingerprint
        self.interleave = INTERLEAVED_CHUNKS
        self._alone: deque[EgoMap] = deque(maxlen=2 * config.history)
        self._fused: deque[tuple[int, MapGrid, Tensor]] = deque(maxlen=2 * config.history)
        self._aligners = PoseAligners()
        self._asked: list[FrameContent] = []  # requests of the moment before

    @property
    def pose_errors(self) -> Mapping[int, PoseError]:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return self._aligners.known

    @torch.inference_mode()
    def observe(self, frame: Frame, place: WorldFrame) -> EgoMap:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        perception = self.model.perception
        captures = list(frame.captures.values())
        scene = RecordedScene("live", [], place.crs, ground=place.ground)
        grid = ego_grid(perception, captures[0].geometry, scene)
        views = [View(capture.load(), capture.geometry, 0, 0) for capture in captures]
        with torch.autocast("cpu", torch.bfloat16):
            found = perception.observe(Views.from_views(views, [grid], 1, [place.ground]))
        features, visible = found.features[0, 0].float(), found.visible[0, 0]
        alone = perception.fusion(features[None, None], visible[None, None])
        own = EgoMap(frame.time, grid, features, visible, alone, BoxList(*_no_boxes()), place)
        self._alone.append(own)
        if self.model.strategy.shares in ("boxes", "both"):
            own = replace(own, boxes=self._boxes(own))
        return own

    def ego_detections(self, own: EgoMap) -> Detections:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        return detections_from_box_list(own.boxes, self.categories, own.place.crs, own.time)

    def compose(self, own: EgoMap, budget_bytes: int) -> FrameContent:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        wanted = request_map(self._asked, own.grid)
        return build_message(
            self.model, own.features, own.visible, own.grid, own.time, own.boxes, budget_bytes, wanted
        )  # fmt: skip

    @torch.inference_mode()
    def fuse(self, own: EgoMap, received: Sequence[FrameContent]) -> ScenePrediction:
        """See `skyweave.fleet.perceivers.base.Perceiver`."""
        model, config = self.model, self.model.perception.config
        self._asked = [frame for frame in received if frame.request is not None]
        grid = own.grid.subgrid(MARGIN_CELLS, MARGIN_CELLS, config.map.cells, config.map.cells)
        features, visible = (
            part[..., MARGIN_CELLS:-MARGIN_CELLS, MARGIN_CELLS:-MARGIN_CELLS] for part in (own.features, own.visible)
        )
        errors = self._aligners.errors(own.boxes, received, own.time) if model.strategy.aligns else []
        came = decode_received(model, features, visible, grid, received, own.time, errors, own.place.ground)
        now = model.strategy.fuse(came.told)
        self._fused.append((own.time, grid, now.float()))
        moments = [self._before(own.time, back, grid) for back in range(config.history)][::-1]
        with torch.autocast("cpu", torch.bfloat16):
            present = torch.tensor([[moment is not None for moment in moments]])
            outputs = model.perception.perceive([torch.zeros_like(now) if m is None else m for m in moments], present)
        scene = decode_maps(model.perception, outputs, [grid], [own.place.ground], [own.time])[0]
        if not model.strategy.merges_boxes:
            return scene
        return merge_received_boxes(scene, came.boxes, model, outputs, grid, own.time, beyond=True)

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """See `skyweave.fleet.perceivers.base.Perceiver`. Features stay: the strategy knows how old they are."""
        if content.boxes is None:
            return content
        return replace(content, boxes=extrapolate_boxes(content.boxes, (time - content.time) / 1e9))

    def _boxes(self, own: EgoMap) -> BoxList:
        """What the platform finds alone."""
        perception = self.model.perception
        moments: list[Tensor | None] = []
        for back in range(perception.config.history):
            past = min(self._alone, key=lambda one: abs(one.time - self._time(own.time, back)))
            near = self._near(past.time, self._time(own.time, back))
            moments.append(translate_map(past.alone, *past.grid.offset_to(own.grid), own.grid.shape) if near else None)
        moments = moments[::-1]
        with torch.autocast("cpu", torch.bfloat16):
            present = torch.tensor([[moment is not None for moment in moments]])
            outputs = perception.perceive([torch.zeros_like(own.alone) if m is None else m for m in moments], present)
        kept = {"detection": outputs["detection"]} if "detection" in outputs else {}
        found = decode_maps(perception, kept, [own.grid], [own.place.ground], [own.time], MIN_SHARED_SCORE)[
            0
        ].detections
        return box_list_from_detections(found, self.categories)

    def _before(self, time: int, back: int, grid: MapGrid) -> Tensor | None:
        """The fused map of so many intervals ago, on today's grid."""
        wanted = self._time(time, back)
        when, before, fused = min(self._fused, key=lambda moment: abs(moment[0] - wanted))
        return translate_map(fused, *before.offset_to(grid), grid.shape) if self._near(when, wanted) else None

    def _time(self, time: int, back: int) -> int:
        return time - round(back * self.interval * 1e9)

    def _near(self, time: int, wanted: int) -> bool:
        return abs(time - wanted) <= MAX_TIME_OFFSET_INTERVALS * self.interval * 1e9


def _no_boxes() -> tuple[np.ndarray, ...]:
    none = np.zeros((0, 3))
    return none, none, none[:, 0], np.zeros(0, int), none[:, 0], none[:, :2]
