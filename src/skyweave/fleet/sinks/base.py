"""What a node needs of a sink: somewhere to write its fused scenes.

Other packages add sinks as kinds of `SinkConfig` (docs/fleet.md).
"""

from abc import abstractmethod
from typing import ClassVar, Protocol

from skyweave.core.config import TaggedConfig
from skyweave.core.registry import Registry
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.scene_content import PublishedScene


class Sink(Protocol):
    """Takes the fused scenes of a node, in a thread of its own: one that is slow skips scenes, one that fails goes on.

    What it raises is counted and logged, and the node flies on.
    """

    def write(self, published: PublishedScene) -> None:
        """Take a scene.

        Args:
            published: the scene, whose objects are followed over time.
        """

    def close(self) -> None:
        """Finish: no scene will follow."""


class SinkConfig(TaggedConfig):
    """Base of the configurations of sinks: the list ``sinks`` of a node's YAML."""

    kinds: "ClassVar[Registry[type[SinkConfig]]]" = Registry(
        "sinks",
        "sink",
        {
            "scene": "skyweave.fleet.sinks.messages:SceneSinkConfig",
            "geojson": "skyweave.fleet.sinks.messages:GeoJsonSinkConfig",
            "ros": "skyweave.fleet.sinks.messages:RosSinkConfig",
            "cameras": "skyweave.fleet.sinks.cameras:CameraSinkConfig",
            "cot": "skyweave.fleet.sinks.cursor_on_target:CursorOnTargetSinkConfig",
            "klv": "skyweave.fleet.sinks.motion_imagery:KlvSinkConfig",
            "file": "skyweave.fleet.sinks.scene_file:FileSinkConfig",
        },
    )

    @abstractmethod
    def build(self, node: Node) -> Sink:
        """Make the sink.

        Args:
            node: whose scenes it will take, and that publishes messages for it.

        Raises:
            FleetError: it does not fit the node.
        """
