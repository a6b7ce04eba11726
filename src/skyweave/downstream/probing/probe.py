"""Score frozen features against baselines: same samples, same folds, same classifiers, one table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.probing.baseline_rows import CLASSIFIERS, probe_baselines
from skyweave.downstream.probing.config import ProbeConfig
from skyweave.downstream.probing.prepared import PreparedProbe, compare_to_baselines, prepare_probe, score_features
from skyweave.downstream.probing.result import ProbeResult, ProbeRow

if TYPE_CHECKING:
    from skyweave.backbone import Encoder

MODEL_ROW = "backbone"


def run_probe(
    config: ProbeConfig | str | Path | PreparedProbe,
    data: str | Path | None = None,
    backbone: "Encoder | None" = None,
    *,
    test_data: str | Path | None = None,
    seeds: int | None = None,
    patch_size: int | None = None,
    with_baselines: bool = True,
    baseline_rows: Sequence[ProbeRow] | None = None,
    weights: str | None = None,
    classifiers: Sequence[str] = CLASSIFIERS,
    progress: Callable[[str], None] | None = None,
) -> ProbeResult:
    """Run one probe.

    Args:
        config: a probe, its YAML file, or the result of `prepare_probe`, which saves reading the data again.
        data: folder that the configuration's paths are relative to.
        backbone: the model under test; None scores the baselines alone.
        test_data: folder of the same layout to test on; ``data`` is then only trained on.
        seeds: repetitions with other folds, default the configuration's.
        patch_size: pixels per patch side, default the configuration's.
        with_baselines: compute the baseline rows.
        baseline_rows: rows of an earlier result of the same probe and seeds, instead of computing them again.
        weights: name of the model's weights, for the result.
        classifiers: that read the model's features.
        progress: called with the name of each row before it is computed.

    Raises:
        FileNotFoundError: no image or label.
        ConfigError: no valid configuration, or a baseline that does not exist.
        DataError: no folder of data, labels that do not fit, or too few groups.
    """
    if not isinstance(config, PreparedProbe):
        if data is None:
            raise DataError("a probe needs the directory of its data")
        config = prepare_probe(config, data, test_data=test_data, seeds=seeds)
    prepared, progress = config, progress or (lambda name: None)
    rows: list[ProbeRow] = []
    fingerprint = None
    if backbone is not None:
        rows = _model_rows(prepared, backbone, patch_size, classifiers, progress)
        fingerprint = _fingerprint(backbone)
    if baseline_rows is not None:
        rows += list(baseline_rows)
    elif with_baselines:
        rows += _baseline_rows(prepared, backbone, patch_size, progress)
    return ProbeResult(
        config=prepared.config,
        rows=rows,
        comparisons=compare_to_baselines(prepared, rows),
        samples=len(prepared.samples),
        groups=len(np.unique(prepared.samples.group)),
        class_counts=_count_classes(prepared),
        weights=weights,
        fingerprint=fingerprint,
        notes=prepared.notes,
    )


def _count_classes(prepared: PreparedProbe) -> dict[str, int]:
    target, classes = prepared.samples.target, prepared.samples.classes
    return {name: int((target == i).sum()) for i, name in enumerate(classes)}


def _model_rows(
    prepared: PreparedProbe,
    backbone: "Encoder",
    patch_size: int | None,
    classifiers: Sequence[str],
    progress: Callable[[str], None],
) -> list[ProbeRow]:
    from skyweave.downstream.probing.features import encode_probe_samples, feature_candidates

    progress(MODEL_ROW)
    size = patch_size or prepared.config.patch_size
    candidates = encode_probe_samples(backbone, prepared.samples, feature_candidates(prepared.config), size)
    return [score_features(prepared, MODEL_ROW, [candidates], kind, baseline=False) for kind in classifiers]


def _baseline_rows(
    prepared: PreparedProbe, backbone: "Encoder | None", patch_size: int | None, progress: Callable[[str], None]
) -> list[ProbeRow]:
    rows = []
    for baseline in probe_baselines(prepared, backbone, patch_size):
        progress(baseline.name)
        features = baseline.features(len(prepared.folds))
        rows += [score_features(prepared, baseline.name, features, kind, True) for kind in baseline.classifiers]
    return rows


def _fingerprint(backbone: "Encoder") -> str:
    from skyweave.backbone import fingerprint

    return fingerprint(backbone)
