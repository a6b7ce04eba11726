"""How a scene is embedded, and what comes out."""

from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from skyweave.core.errors import ConfigError
from skyweave.embedding.combining import COMBINATIONS
from skyweave.inference import InferenceConfig
from skyweave.inference.scene_arguments import read_inference_config

PATCHES_PER_TILE = 16
"""Patches a side of a window: near to the views that encoders are trained on, and of least time a pixel."""


@dataclass(frozen=True)
class EmbeddingConfig:
    """How a scene is embedded and how its features are stored.

    Attributes:
        patch_size: pixels per patch side; None: the encoder's. The output is that much coarser than the scene.
        inference: how the scene is cut and computed; by default in windows of 16 patches a side.
        storage: how values are stored, one of the format's: ``float32``; ``float16``; or ``int8``, each channel scaled
            to its range.
        format: name of the output format, see `skyweave.inference.WRITERS`; None: by the file's suffix.
        combine: how the features of several scenes become one map: ``mean`` or ``median`` over those in which a patch
            is valid, or ``concatenate``: all channels of all scenes, where all see the patch.
        flips: average the features of four mirror images.

    Raises:
        ConfigError: a patch without pixels, or no such way to combine.
    """

    patch_size: int | None = None
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    storage: str = "float16"
    format: str | None = None
    combine: str = "mean"
    flips: bool = False

    def __post_init__(self) -> None:
        if self.patch_size is not None and self.patch_size < 1:
            raise ConfigError(f"a patch of {self.patch_size} pixels is not possible; choose 1 or more")
        if self.combine not in COMBINATIONS:
            raise ConfigError(f"combine {self.combine!r}: choose one of {', '.join(COMBINATIONS)}")


def read_embedding_config(args: Namespace) -> EmbeddingConfig:
    """Return the configuration of the command's arguments.

    Args:
        args: as parsed.

    Raises:
        ConfigError: numbers that are not possible.
    """
    return EmbeddingConfig(
        patch_size=args.patch_size,
        inference=read_inference_config(args),
        storage=args.dtype,
        format=args.format,
        combine=args.combine,
        flips=args.flips,
    )


@dataclass(frozen=True)
class CatalogConfig:
    """Where an output is described as a STAC item.

    Attributes:
        folder: of the collection; it is made if it is not there.
        acquired: when the scene was taken, as `skyweave.inference.stac.item.Acquisition` reads it; None: the scene's
            own time.
        licence: SPDX identifier of the collection; None: as it is.
        sources: addresses of the scene, in place of its file.
    """

    folder: Path
    acquired: str | None = None
    licence: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class EmbeddedScene:
    """What was written.

    Attributes:
        path: the file.
        rows: of the file; a pixel is a patch of the scene.
        columns: of the file.
        channels: of the file.
        ground_sample_distance: metres per pixel of the file.
        valid_fraction: share of its pixels that hold features.
        notes: what the user should know, such as a missing coordinate reference system.
        failures: parts of the scene that could not be read, where the file holds no data.
        item: STAC item that describes the file, if one was asked for.
    """

    path: Path
    rows: int
    columns: int
    channels: int
    ground_sample_distance: float
    valid_fraction: float
    notes: tuple[str, ...]
    failures: tuple[str, ...] = ()
    item: Path | None = None
