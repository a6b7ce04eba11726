"""The baselines of a probe: names, classifiers and features of each row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError
from skyweave.downstream.baselines.cell_features import random_convolution_maps, statistics_maps
from skyweave.downstream.baselines.texture import texture_maps
from skyweave.downstream.probing.blocks import FeatureValues
from skyweave.downstream.probing.prepared import PreparedProbe

if TYPE_CHECKING:
    from skyweave.backbone import Encoder

CLASSIFIERS = ("linear", "knn")
RANDOM_INITIALISATION = "random initialisation"
FIRST_RANDOM_SEED = 1000
"""Of the weights of the random initialisation, so that they are not those of a model that is tested."""


@dataclass(frozen=True)
class ProbeBaseline:
    """One baseline.

    Attributes:
        name: in the table.
        classifiers: that read it.
        compute: features of a seed: candidates, (samples, values) each.
        is_random: other features for every seed.
    """

    name: str
    classifiers: tuple[str, ...]
    compute: Callable[[int], Sequence[FeatureValues]]
    is_random: bool = False

    def features(self, seeds: int) -> list[Sequence[FeatureValues]]:
        """Return the features of each seed; once where they are the same for all.

        Args:
            seeds: how many.
        """
        return [self.compute(seed) for seed in range(seeds if self.is_random else 1)]


def probe_baselines(prepared: PreparedProbe, backbone: "Encoder | None", patch_size: int | None) -> list[ProbeBaseline]:
    """Return the baselines that a probe is compared with.

    Args:
        prepared: samples and folds.
        backbone: the model under test, whose architecture is one of them with random weights.
        patch_size: pixels per patch side; None: the configuration's.

    Raises:
        ConfigError: the configuration names a baseline that does not exist.
    """
    baselines = _untrained(prepared)
    if backbone is not None:
        baselines += _random_initialisation(prepared, backbone, patch_size)
    chosen = prepared.config.baselines
    if chosen is None:
        return baselines
    names = [baseline.name for baseline in baselines]
    if unknown := sorted(set(chosen) - set(names) - {RANDOM_INITIALISATION}):
        raise ConfigError(f"no baseline {unknown[0]!r}; valid: {', '.join(sorted(names))}")
    return [baseline for baseline in baselines if baseline.name in chosen]


def _untrained(prepared: PreparedProbe) -> list[ProbeBaseline]:
    config, samples = prepared.config, prepared.samples
    cell = samples.cell_size

    def statistics(extended: bool = False, around: bool = False) -> Sequence[FeatureValues]:
        return [samples.gather_features(lambda images: statistics_maps(images, cell, extended, around))]

    def texture(seed: int) -> Sequence[FeatureValues]:
        return [samples.gather_features(lambda images: texture_maps(images, cell))]

    def convolutions(seed: int) -> Sequence[FeatureValues]:
        filters, size = config.random_filters, config.random_filter_size
        return [samples.gather_features(lambda images: random_convolution_maps(images, cell, filters, size, seed))]

    all_classifiers = (*CLASSIFIERS, "forest")
    baselines = [ProbeBaseline("statistics", all_classifiers, lambda seed: statistics())]
    if cell != 1:  # of a single pixel, every statistic is its value
        baselines.append(ProbeBaseline("statistics+", all_classifiers, lambda seed: statistics(extended=True)))
    if cell:
        baselines.append(ProbeBaseline("statistics 3x3 cells", CLASSIFIERS, lambda seed: statistics(around=True)))
    baselines.append(ProbeBaseline("texture", (*all_classifiers, "boosting"), texture))
    return [*baselines, ProbeBaseline("random convolutions", CLASSIFIERS, convolutions, is_random=True)]


def _random_initialisation(prepared: PreparedProbe, backbone: "Encoder", patch_size: int | None) -> list[ProbeBaseline]:
    """Return the same architecture with random weights; none for encoders by others, whose start is unknown."""
    from skyweave.backbone import Backbone, build_backbone
    from skyweave.downstream.probing.features import encode_probe_samples, feature_candidates

    if not isinstance(backbone, Backbone):
        return []
    config, sensors = prepared.config, list(backbone.sensors.values())
    device = next(backbone.parameters()).device

    def features(seed: int) -> Sequence[FeatureValues]:
        random = build_backbone(backbone.config, sensors, seed=FIRST_RANDOM_SEED + seed).to(device)
        return encode_probe_samples(
            random, prepared.samples, feature_candidates(config), patch_size or config.patch_size
        )

    return [ProbeBaseline(RANDOM_INITIALISATION, CLASSIFIERS, features, is_random=True)]
