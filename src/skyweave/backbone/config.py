"""The numbers that determine a backbone."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from skyweave.backbone.positions import GroundSampleDistanceMode


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
        ground_sample_distance: how positions use it, see ``Positions``.
    """

    width: int
    depth: int
    heads: int
    patch_size: int
    tokenizer: Literal["spectral", "per_sensor"] = "spectral"
    mixes: int = 32
    ground_sample_distance: GroundSampleDistanceMode = "embedded"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the card."""
        return asdict(self)
