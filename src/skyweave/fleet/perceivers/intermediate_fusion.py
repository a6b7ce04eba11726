"""A perceiver that sends coded features: an agent of `skyweave.collaboration`, driven by a network frame by frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skyweave.collaboration.agent import Agent, compensate
from skyweave.collaboration.boxes import detections_from_box_list
from skyweave.collaboration.messages import SORT_WINDOW_CHUNKS
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import EgoMaps
from skyweave.collaboration.pose_alignment import PoseError
from skyweave.core.errors import FleetError
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.image_reduction import ImageReducer
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.recordings.recording import BaseMap, Frame
from skyweave.wire import EntropyTables, FrameContent


@dataclass(frozen=True)
class EgoFrame:
    """What a platform has of one frame, and where it is.

    Attributes:
        maps: larger than the model's map on each side, so that others find what they need.
        place: where the fleet works.
    """

    maps: EgoMaps
    place: WorldFrame


class IntermediateFusionPerceiver:
    """A collaborative model on one platform.

    Args:
        model: with frozen tables where features travel.
        full_resolution: read images as they are, however large they are.
        base_maps: on board.

    Raises:
        ConfigError: there are base maps, and the model reads cameras only.
        FleetError: a strategy whose features have no coded form, or tables that are not frozen.
    """

    def __init__(
        self, model: CollaborativeModel, full_resolution: bool = False, base_maps: Sequence[BaseMap] = ()
    ) -> None:
        if model.strategy.sends_uncoded:
            raise FleetError(f"strategy {model.config.strategy!r} sends uncoded features, which do not travel")
        if model.sends_features and model.tables is None:
            raise FleetError("the model's entropy tables are not frozen; finish its training")
        self.agent = Agent(model, base_maps)
        config = model.perception.config
        self.categories, self.interval, self.resolution = config.categories, config.interval, config.map.resolution
        self._reducer = ImageReducer(self.resolution, not full_resolution)
        self.tables: Sequence[EntropyTables] = self.agent.tables
        self.fingerprint = 0 if model.tables is None else model.tables.fingerprint
        self.sort_window = SORT_WINDOW_CHUNKS

    @property
    def pose_errors(self) -> Mapping[int, PoseError]:
        """Return the errors of peers' poses, by platform number, as far as they are estimated."""
        return self.agent.aligners.known

    def observe(self, frame: Frame, place: WorldFrame) -> EgoFrame:
        """Map the images of one frame, and detect boxes where the strategy sends them.

        Args:
            frame: with the platform's own captures only.
            place: where the fleet works.
        """
        views = self._reducer.views(frame, place.ground)
        images, geometries = [view.observation for view in views], [view.geometry for view in views]
        return EgoFrame(self.agent.observe(images, geometries, frame.time, place.ground, place.crs), place)

    def ego_detections(self, ego: EgoFrame) -> Detections:
        """Return what the platform detected by itself.

        Args:
            ego: of `observe`.
        """
        return detections_from_box_list(ego.maps.boxes, self.categories, ego.place.crs, ego.maps.time)

    def compose(self, ego: EgoFrame, budget_bytes: int) -> FrameContent:
        """Compose the message of one frame.

        Args:
            ego: of `observe`.
            budget_bytes: of the frame on the wire.
        """
        return self.agent.compose(ego.maps, budget_bytes)

    def fuse(self, ego: EgoFrame, received: Sequence[FrameContent]) -> ScenePrediction:
        """Fuse and read out one frame.

        Args:
            ego: of `observe`.
            received: what came, moved to the ego's time.
        """
        return self.agent.step(ego.maps, received, ego.place.ground)

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """Move the boxes of a frame on; features stay, and the strategy knows how old they are.

        Args:
            content: as received.
            time: UTC nanoseconds.
        """
        return compensate(content, time)
