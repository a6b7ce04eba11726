"""The configurations of perceivers: what a node observes and fuses with.

Other packages add perceivers as kinds of `PerceiverConfig` (docs/fleet.md).
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from skyweave.core.config import TaggedConfig
from skyweave.core.malloc import keep_freed_memory
from skyweave.core.registry import Registry
from skyweave.fleet.perceivers.base import Perceiver
from skyweave.fleet.perceivers.base_map_files import BaseMapConfig, open_base_maps
from skyweave.locating.pose_filter import NavigationErrorConfig


class PerceiverConfig(TaggedConfig):
    """Base of the configurations of perceivers: the section ``perceiver`` of a node's YAML."""

    kinds: "ClassVar[Registry[type[PerceiverConfig]]]" = Registry(
        "perceivers",
        "perceiver",
        {
            "intermediate_fusion": "skyweave.fleet.perceivers.config:IntermediateFusionConfig",
            "late_fusion": "skyweave.fleet.perceivers.config:LateFusionConfig",
            "boxes": "skyweave.fleet.perceivers.config:BoxConfig",
            "ground_truth": "skyweave.fleet.perceivers.config:GroundTruthConfig",
            "self_locating": "skyweave.fleet.perceivers.config:SelfLocatingConfig",
        },
    )
    default_kind = "late_fusion"

    @abstractmethod
    def build(self, interval: float) -> Perceiver[Any]:
        """Make the perceiver.

        Args:
            interval: seconds between the frames of its source.

        Raises:
            WeightsError: weights that are damaged, or of another model.
        """

    def prepare_process(self) -> None:
        """Settle what a whole process shares, such as its threads; called only in a process of the node's own."""


@dataclass(frozen=True)
class IntermediateFusionConfig(PerceiverConfig):
    """A collaborative model, which sends what its strategy shares; ``kind: intermediate_fusion``.

    Attributes:
        weights: name or file of the model's weights.
        strategy: name of the fusion strategy; None: the one that it was trained for.
        threads: of the processor.
        full_resolution: read images as they are; else large ones are reduced to what the model's map can hold.
        base_maps: orthorectified images on board, for a model that reads rasters; they are never sent.
    """

    weights: str
    strategy: str | None = None
    threads: int = 1
    full_resolution: bool = False
    base_maps: list[BaseMapConfig] = field(default_factory=list)

    def prepare_process(self) -> None:
        """Give the process its threads, and let it keep the memory that the model frees."""
        _prepare_for_model(self.threads)

    def build(self, interval: float) -> Perceiver[Any]:
        """Load the model.

        Args:
            interval: without effect: the model has its own.

        Raises:
            WeightsError: weights that are damaged, or of another model.
            ConfigError: there are base maps, and the model reads cameras only.
        """
        from skyweave.collaboration.weights import load_collaborative_model
        from skyweave.fleet.perceivers.intermediate_fusion import IntermediateFusionPerceiver

        model = load_collaborative_model(self.weights, self.strategy)
        return IntermediateFusionPerceiver(model, self.full_resolution, open_base_maps(self.base_maps))


@dataclass(frozen=True)
class LateFusionConfig(PerceiverConfig):
    """A perception model, which sends boxes; ``kind: late_fusion``.

    Attributes:
        weights: name or file of the model's weights.
        threads: of the processor.
        full_resolution: read images as they are; else large ones are reduced to what the model's map can hold.
        base_maps: orthorectified images on board, for a model that reads rasters; they are never sent.
    """

    weights: str
    threads: int = 1
    full_resolution: bool = False
    base_maps: list[BaseMapConfig] = field(default_factory=list)

    def prepare_process(self) -> None:
        """Give the process its threads, and let it keep the memory that the model frees."""
        _prepare_for_model(self.threads)

    def build(self, interval: float) -> Perceiver[Any]:
        """Load the model.

        Args:
            interval: without effect: the model has its own.

        Raises:
            WeightsError: weights that are damaged, or of another model.
            ConfigError: there are base maps, and the model reads cameras only.
        """
        from skyweave.fleet.perceivers.late_fusion import LateFusionPerceiver
        from skyweave.perception.weights import load_perception

        return LateFusionPerceiver(
            load_perception(self.weights),
            full_resolution=self.full_resolution,
            base_maps=open_base_maps(self.base_maps),
        )


@dataclass(frozen=True)
class BoxConfig(PerceiverConfig):
    """A detector of anybody, whose boxes are located on the ground, tracked and sent; ``kind: boxes``.

    Attributes:
        detector: ONNX file of a detector; None: the source gives boxes, as a topic may.
        categories: names of the classes that count, as the fleet names them.
        names: the fleet's names of the detector's classes, where they differ.
        min_score: lowest score of a box.
        slice: side in pixels of the windows into which images are cut; None: images are taken as a whole.
        threads: of the processor.
        horizontal_std: of the camera's position, metres.
        heading_std: of its heading, degrees.
        pitch_std: of its pitch, degrees.
        height_std: of its height, metres.
        elevation_std: of the ground, metres.
        size: of the map, metres.
        resolution: of the map, metres a cell.
    """

    detector: str | None = None
    categories: tuple[str, ...] = ("car", "truck", "bus", "bicycle", "pedestrian")
    names: dict[str, str] = field(default_factory=lambda: {"person": "pedestrian"})
    min_score: float = 0.3
    slice: int | None = None
    threads: int = 1
    horizontal_std: float = 1.5
    heading_std: float = 3.0
    pitch_std: float = 1.0
    height_std: float = 2.0
    elevation_std: float = 2.0
    size: float = 128.0
    resolution: float = 0.5

    def build(self, interval: float) -> Perceiver[Any]:
        """Open the detector.

        Args:
            interval: seconds between the frames of its source.

        Raises:
            FileNotFoundError: no such model.
            WeightsError: it is no model of a detector.
            DataError: its outputs are those of no known family.
        """
        from pathlib import Path

        from skyweave.fleet.perceivers.boxes import BoxPerceiver
        from skyweave.locating import ImageLocator, PoseErrorConfig

        errors = PoseErrorConfig(
            self.horizontal_std, self.height_std, self.heading_std, self.pitch_std, elevation=self.elevation_std
        )
        if self.detector is None:
            locator = ImageLocator(None, errors, self.categories, self.names, self.min_score)
        else:
            locator = ImageLocator.from_model(
                Path(self.detector), errors, self.categories, self.names, self.min_score, self.slice, self.threads
            )
        return BoxPerceiver(locator, interval, self.size, self.resolution)


@dataclass(frozen=True)
class GroundTruthConfig(PerceiverConfig):
    """A stand-in detector that reads the ground truth and adds noise, to test networks; ``kind: ground_truth``.

    Attributes:
        categories: names of the classes that it detects.
        seed: with the frame's time it decides all noise.
        missed: share of the objects in view that it misses.
        noise: standard deviation of the positions, metres.
        size: of the map, metres.
        resolution: of the map, metres a cell.
    """

    categories: tuple[str, ...] = ("car", "truck", "bus", "bicycle", "pedestrian")
    seed: int = 0
    missed: float = 0.1
    noise: float = 0.2
    size: float = 128.0
    resolution: float = 0.5

    def build(self, interval: float) -> Perceiver[Any]:
        """Make the detector.

        Args:
            interval: seconds between the frames of its source.
        """
        from skyweave.fleet.perceivers.ground_truth import GroundTruthPerceiver

        return GroundTruthPerceiver(
            self.categories, self.seed, self.missed, self.noise, self.size, self.resolution, interval
        )


@dataclass(frozen=True)
class SelfLocatingConfig(PerceiverConfig):
    """Another perceiver, whose poses are corrected against a base map first; ``kind: self_locating``.

    Attributes:
        perceiver: that maps, detects and fuses.
        base_map: orthorectified image of the place, in the fleet's reference system, of any date.
        errors: of the navigation, and how fast they grow.
    """

    perceiver: PerceiverConfig
    base_map: BaseMapConfig
    errors: NavigationErrorConfig = field(default_factory=NavigationErrorConfig)

    def prepare_process(self) -> None:
        """Settle what the perceiver's process shares."""
        self.perceiver.prepare_process()

    def build(self, interval: float) -> Perceiver[Any]:
        """Build the perceiver and read the base map.

        Args:
            interval: seconds between the frames of its source.

        Raises:
            DataError: a base map that cannot be read, or has no place.
        """
        from skyweave.fleet.perceivers.self_locating import SelfLocatingPerceiver
        from skyweave.locating import PoseFilter, Reference

        base_map = open_base_maps([self.base_map])[0]
        reference = Reference.from_observation(base_map.load(), base_map.position_std or 0.0)
        return SelfLocatingPerceiver(self.perceiver.build(interval), PoseFilter(reference, self.errors))


def _prepare_for_model(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    keep_freed_memory()
