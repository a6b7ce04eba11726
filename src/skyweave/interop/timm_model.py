"""An encoder in the form of timm's models, under a name in timm's registry: what most trainers ask for by name.

TorchGeo, segmentation-models-pytorch and many others build their backbone with ``timm.create_model(name)``. A name says
nothing about a sensor, so a name is registered for one:
``register_timm_encoder("skyweave_tiny_s2", "tiny", get_sensor(...))``.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from skyweave.backbone import Backbone, Encoder, build_backbone, load_encoder
from skyweave.core.errors import ConfigError
from skyweave.core.sensors.sensor import Sensor
from skyweave.interop.sensor_module import SensorModule, resample_pyramid

STRIDES = (4, 8, 16, 32)
"""Of the four feature maps that decoders for convolutional networks expect."""


def register_timm_encoder(
    name: str,
    encoder: str | Path | Encoder,
    sensor: Sensor,
    unit: str | None = None,
    ground_sample_distance: float | None = None,
    patch_size: int | None = None,
) -> None:
    """Make ``timm.create_model(name)`` give this encoder for this sensor; a name may be registered again.

    ``pretrained=True`` gives the weights, ``pretrained=False`` the same architecture at random, as timm's users expect.

    Args:
        name: a Python identifier; in segmentation-models-pytorch it is ``tu-`` and the name.
        encoder: a shipped name, a ``.safetensors`` file, or a module with the interface of `Backbone`.
        sensor: its bands in the dataset's order.
        unit: how the dataset stores its values, see `SensorModule`; a trainer or data module must not normalise them.
        ground_sample_distance: metres a pixel; default: the sensor's.
        patch_size: pixels along a patch's side; default: the weights'.

    Raises:
        ValueError: a name that timm cannot hold.
        ModuleNotFoundError: timm is not installed.
    """
    from timm.models import is_model, register_model

    if not name.isidentifier():
        raise ConfigError(f"{name!r} cannot be a timm model's name; use letters, digits and underscores")
    loaded = load_encoder(encoder) if isinstance(encoder, str | Path) else encoder

    def create(pretrained: bool = False, **options: Any) -> nn.Module:
        for ignored in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "output_stride"):
            options.pop(ignored, None)
        module = SensorModule(initialised_encoder(loaded, pretrained), sensor, unit, ground_sample_distance, patch_size)
        if options.pop("features_only", False):
            return FeaturePyramid(module, **options)
        return Classifier(module, **options)

    create.__name__ = create.__qualname__ = name
    if is_model(name):
        import timm.models._registry as registry

        registry._model_entrypoints[name] = create  # quietly: whoever registers a name again means it
    else:
        register_model(create)


class Classifier(nn.Module):
    """An encoder with a linear head, with the methods that trainers call on timm's Vision Transformers.

    Args:
        features: the encoder for one sensor.
        num_classes: outputs of the head; 0: none, and ``forward`` returns the embedding.
        in_chans: must be the number of the sensor's bands; default: that.
        drop_rate: dropout in front of the head.
    """

    num_prefix_tokens = 0
    has_cls_token = False

    def __init__(
        self, features: SensorModule, num_classes: int = 1000, in_chans: int | None = None, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        _check_channels(features, in_chans)
        self.features = features
        self.num_features = self.head_hidden_size = self.embed_dim = features.width
        self.patch_size = features.patch_size
        self.head_drop = nn.Dropout(drop_rate)
        self.feature_info = [
            {"module": f"level_{number}", "num_chs": features.width, "reduction": features.patch_size}
            for number in range(1, 5)
        ]
        self.pretrained_cfg = self.default_cfg = {
            "input_size": (len(features.sensor), 224, 224),
            "fixed_input_size": False,
            "mean": (0.0,) * len(features.sensor),  # normalisation is inside
            "std": (1.0,) * len(features.sensor),
            "classifier": "head",
        }
        self.reset_classifier(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes), or embeddings (batch, channels) without a head.

        Args:
            images: (batch, bands, rows, columns).
        """
        logits: Tensor = self.head(self.head_drop(self.features.encode(images).pooled))
        return logits

    def forward_features(self, images: Tensor) -> Tensor:
        """Return tokens (batch, patches, channels), zero where a patch is invalid.

        Args:
            images: (batch, bands, rows, columns).
        """
        return self.features.encode(images).tokens

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of tokens, or their mean.

        Args:
            tokens: (batch, patches, channels).
            pre_logits: return the mean.
        """
        pooled = self.head_drop(tokens.mean(1))
        result: Tensor = pooled if pre_logits else self.head(pooled)
        return result

    def forward_intermediates(
        self,
        images: Tensor,
        indices: int | Sequence[int] | None = None,
        return_prefix_tokens: bool = False,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """Return levels as maps (batch, channels, rows, columns), after the tokens unless only they are wanted.

        There are no prefix tokens and the levels are not normalised, as in `Features`.

        Args:
            images: (batch, bands, rows, columns).
            indices: which levels, or how many of the last; None: all.
            return_prefix_tokens: ignored: there are none.
            norm: ignored: levels are not normalised.
            stop_early: ignored.
            output_fmt: ``NCHW``.
            intermediates_only: leave the tokens out.
        """
        if output_fmt != "NCHW":
            raise ConfigError(f"output_fmt {output_fmt!r} is not supported; use NCHW")
        features = self.features.encode(images)
        maps = features.level_maps()
        chosen = _select_levels(maps, indices)
        return chosen if intermediates_only else (features.tokens, chosen)

    def get_classifier(self) -> nn.Module:
        """Return the head, as timm's models do."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the head by a new one.

        Args:
            num_classes: outputs; 0: no head.
            global_pool: ignored: tokens are averaged.
        """
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()


class FeaturePyramid(nn.Module):
    """The four levels as maps of strides 4 to 32: timm's ``features_only`` form, for U-Net and its kin.

    Args:
        features: the encoder for one sensor.
        out_indices: which of the four.
        in_chans: must be the number of the sensor's bands; default: that.
    """

    output_fmt = "NCHW"

    def __init__(
        self, features: SensorModule, out_indices: Sequence[int] = (0, 1, 2, 3), in_chans: int | None = None
    ) -> None:
        super().__init__()
        _check_channels(features, in_chans)
        self.features = features
        self.out_indices = tuple(out_indices)
        strides = [STRIDES[index] for index in self.out_indices]
        self.feature_info = SimpleNamespace(
            channels=lambda: [features.width] * len(strides), reduction=lambda: list(strides)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return maps (batch, channels, rows / stride, columns / stride).

        Args:
            images: (batch, bands, rows, columns).
        """
        maps = self.features.encode(images).level_maps()
        size = (images.shape[2], images.shape[3])
        return resample_pyramid([maps[i] for i in self.out_indices], size, [STRIDES[i] for i in self.out_indices])


def initialised_encoder(encoder: Encoder, pretrained: bool) -> Encoder:
    """Return a copy of an encoder, or the same architecture at random.

    Args:
        encoder: with its weights.
        pretrained: keep the weights.
    """
    if pretrained:
        return copy.deepcopy(encoder)
    if not isinstance(encoder, Backbone):
        raise ConfigError(f"{type(encoder).__name__} comes with its weights only; ask for pretrained=True")
    return build_backbone(encoder.config, list(encoder.sensors.values()))


def _check_channels(features: SensorModule, in_chans: int | None) -> None:
    if in_chans not in (None, len(features.sensor)):
        raise ConfigError(
            f"{in_chans} channels were asked for, but the model was registered for the {len(features.sensor)} bands of "
            f"{features.sensor.name}; register it with sensor.select([...]) of your dataset's bands"
        )


def _select_levels(maps: list[Tensor], indices: int | Sequence[int] | None) -> list[Tensor]:
    """Return the levels of these numbers, so many of the last, or all."""
    if indices is None:
        return maps
    return maps[-indices:] if isinstance(indices, int) else [maps[index] for index in indices]
