"""TerraTorch: our encoders under names in its backbone registry, for its necks, decoders and factories.

    from skyweave.interop.terratorch import register

    register()
    BACKBONE_REGISTRY.build("skyweave_tiny", pretrained=True, sensor="sentinel2-l2a", bands=["BLUE", "GREEN", "RED"])

TerraTorch hands a backbone a tensor and expects a list of feature maps and ``out_channels``; its necks make pyramids.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from skyweave.backbone import Encoder, list_weights, load_encoder
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import get_sensor
from skyweave.core.sensors.sensor import Sensor
from skyweave.interop.sensor_module import SensorModule
from skyweave.interop.timm_model import initialised_encoder


class TerraTorchBackbone(nn.Module):
    """The four levels of an encoder as maps (batch, channels, patch rows, patch columns), shallow to deep.

    Args:
        features: the encoder for one sensor.
    """

    def __init__(self, features: SensorModule) -> None:
        super().__init__()
        self.features = features
        self.patch_size = features.patch_size  # TerraTorch looks for it, and pads images to twice as many pixels
        self.out_channels = [features.width] * 4

    def forward(self, images: Tensor, **_: Any) -> list[Tensor]:
        """Return the levels as maps.

        Raises `ConfigError` for other shapes.

        Args:
            images: (batch, bands, rows, columns).
        """
        if images.ndim == 5:
            raise ConfigError("images of several dates need backbone_use_temporal: true; this backbone sees one date")
        return self.features.encode(images).level_maps()


def register_terratorch_backbone(name: str = "skyweave", encoder: Encoder | None = None) -> None:
    """Put ``NAME`` into TerraTorch's registry, and for the default name ``skyweave_NAME`` of every shipped weights.

    Their arguments are those of `build`; in a TerraTorch configuration with the prefix ``backbone_``.

    Args:
        name: to register under.
        encoder: a module with the interface of `Backbone`, such as a published encoder; default: by ``weights``.

    Raises:
        ModuleNotFoundError: TerraTorch is not installed.
    """
    from terratorch.registry import TERRATORCH_BACKBONE_REGISTRY

    def add(registered: str, weights: str | Encoder | None) -> None:
        def create(pretrained: bool = False, **options: Any) -> TerraTorchBackbone:
            chosen = options.pop("weights", None) or weights
            if chosen is None:
                raise ConfigError(
                    f"backbone {registered} needs backbone_weights: a shipped name or a .safetensors file"
                )
            return build(chosen, pretrained=pretrained, **options)

        create.__name__ = create.__qualname__ = registered
        registering: Callable[[Any], Any] = TERRATORCH_BACKBONE_REGISTRY.register
        registering(create)

    add(name, encoder)
    if encoder is None and name == "skyweave":
        for shipped in list_weights():
            add(f"skyweave_{shipped}", shipped)


def build(
    weights: str | Path | Encoder,
    sensor: str | Sensor,
    pretrained: bool = False,
    bands: Sequence[Any] | None = None,
    unit: str | None = None,
    ground_sample_distance: float | None = None,
    patch_size: int | None = None,
) -> TerraTorchBackbone:
    """Build a backbone as TerraTorch wants it.

    Args:
        weights: a shipped name, a ``.safetensors`` file, or a module.
        sensor: a name from the catalogue, a YAML file, or a sensor.
        pretrained: with the weights; else the same architecture at random, as everywhere in TerraTorch.
        bands: the dataset's bands, in its order, by any of their names (``B04``, ``RED``, TerraTorch's enumerations).
        unit: of the dataset's values, see `SensorModule`. TerraTorch's data modules must not normalise: ``means`` of 0
            and ``stds`` of 1.
        ground_sample_distance: metres a pixel; default: the sensor's.
        patch_size: pixels along a patch's side; default: the weights'.
    """
    chosen = sensor if isinstance(sensor, Sensor) else get_sensor(sensor)
    if bands is not None:
        chosen = chosen.select([str(getattr(band, "value", band)) for band in bands])
    encoder = load_encoder(weights) if isinstance(weights, str | Path) else weights
    module = SensorModule(initialised_encoder(encoder, pretrained), chosen, unit, ground_sample_distance, patch_size)
    return TerraTorchBackbone(module)
