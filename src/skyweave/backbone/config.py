"""The numbers that determine a backbone."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from skyweave.backbone.band_encoder import KindColumns
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
        band_kinds: kinds of bands that other packages add and these weights have columns for, with their number.
    """

    width: int
    depth: int
    heads: int
    patch_size: int
    tokenizer: Literal["spectral", "per_sensor"] = "spectral"
    mixes: int = 32
    ground_sample_distance: GroundSampleDistanceMode = "embedded"
    band_kinds: KindColumns = ()

    def __post_init__(self) -> None:
        kinds = tuple((str(name), int(columns)) for name, columns in self.band_kinds)  # JSON has lists
        object.__setattr__(self, "band_kinds", kinds)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, for card and fingerprint; without further kinds of bands, nothing tells of them."""
        values = asdict(self)
        if not self.band_kinds:
            del values["band_kinds"]
        return values
