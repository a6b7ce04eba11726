"""The numbers that determine a backbone."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from skyweave.backbone.band_encoder import KindColumns
from skyweave.backbone.positions import GroundSampleDistanceMode
from skyweave.core.errors import ConfigError

CONDITIONING = ("band_contrast", "pixel_contrast", "radar_pixel_contrast", "kernel_scale")
"""Fields that say how the spectral tokenizer's weights are read; at 1 they are read as they are."""


@dataclass(frozen=True)
class BackboneConfig:
    """All that determines a backbone's function besides its weights.

    Attributes:
        width: channels of a token.
        depth: blocks.
        heads: attention heads.
        patch_size: nominal pixels per patch side.
        tokenizer: ``spectral`` (any sensor) or ``per_sensor`` (OFA-Net: only the sensors it was built with).
        mixes: response functions of the spectral tokenizer.
        band_contrast: of the spectral tokenizer, see ``SpectralTokenizer``; 1 for none.
        pixel_contrast: likewise.
        radar_pixel_contrast: likewise.
        kernel_scale: likewise.
        ground_sample_distance: how positions use it, see ``Positions``.
        whitened: a learned whitening follows the final norm.
        band_kinds: kinds of bands that other packages add and these weights have columns for, with their number.
    """

    width: int
    depth: int
    heads: int
    patch_size: int
    tokenizer: Literal["spectral", "per_sensor"] = "spectral"
    mixes: int = 32
    band_contrast: float = 1.0
    pixel_contrast: float = 1.0
    radar_pixel_contrast: float = 1.0
    kernel_scale: float = 1.0
    ground_sample_distance: GroundSampleDistanceMode = "embedded"
    whitened: bool = False
    band_kinds: KindColumns = ()

    def __post_init__(self) -> None:
        kinds = tuple((str(name), int(columns)) for name, columns in self.band_kinds)  # JSON has lists
        object.__setattr__(self, "band_kinds", kinds)
        for name in CONDITIONING:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be above 0; 1 leaves everything as it is")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, for card and fingerprint; fields that change nothing are left out."""
        values = asdict(self)
        for name in ("band_kinds", "whitened"):
            if not values[name]:
                del values[name]
        return {key: value for key, value in values.items() if key not in CONDITIONING or value != 1.0}
