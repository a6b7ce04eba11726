"""A task of the suite on given folders; its images are read only where features are missing."""

import hashlib
import json
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.downstream.labels.image_files import NAME, find_image_files
from skyweave.downstream.probing.config import ProbeConfig
from skyweave.downstream.probing.folds import Fold, make_folds
from skyweave.downstream.probing.prepared import PreparedProbe, prepare_probe
from skyweave.downstream.probing.samples import ProbeSamples

PROTOCOL = 1
"""Number of the protocol; results of another one are not reused."""


class SuiteTask:
    """One task.

    Args:
        config: of the task.
        data: folder that its paths start from.
        test_data: folder of the same layout to test on; ``data`` is then only trained on.
        seeds: repetitions with other folds.
        folder: where samples without their images are kept.
    """

    def __init__(self, config: ProbeConfig, data: Path, test_data: Path | None, seeds: int, folder: Path) -> None:
        self.config = config
        self.data, self.test_data, self.seeds, self._folder = data, test_data, seeds, folder

    @property
    def name(self) -> str:
        """Return the name of the task."""
        return self.config.name

    @cached_property
    def key(self) -> str:
        """Hexadecimal digits that change with the protocol, the task, or the names and sizes of its files."""
        content = {key: value for key, value in asdict(self.config).items() if key != "seeds"}
        digest = hashlib.sha256(json.dumps([PROTOCOL, content], sort_keys=True, default=str).encode())
        for root in (self.data, self.test_data):
            digest.update(b"root")
            for path in [] if root is None else _files(self.config, root):
                digest.update(f"{path.relative_to(root or path)} {path.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]

    @cached_property
    def prepared(self) -> PreparedProbe:
        """Samples with their images, and folds."""
        prepared = prepare_probe(self.config, self.data, test_data=self.test_data, seeds=self.seeds)
        return replace(prepared, folds=self._folds(prepared.samples))

    @cached_property
    def scored(self) -> PreparedProbe:
        """Samples without images, and folds: what scores are computed from."""
        path = self._folder / f"{self.name}.{self.key}.npz"
        if not path.is_file():
            _save_samples(path, self.prepared)
        samples, notes = _load_samples(path)
        return PreparedProbe(self.config, samples, self._folds(samples), notes)

    def _folds(self, samples: ProbeSamples) -> list[list[Fold]]:
        """Return the folds of each seed; one with test data, none of whose places is trained on."""
        if self.test_data is not None:
            everything = np.arange(len(samples))
            return [[Fold(everything[~samples.testable], everything[samples.testable])]] * self.seeds
        return [make_folds(samples, self.config.data.split, seed) for seed in range(self.seeds)]

    def forget_images(self) -> None:
        """Free the memory of images; they are read again if they are needed."""
        self.__dict__.pop("prepared", None)


def _files(config: ProbeConfig, root: Path) -> list[Path]:
    """Return the images and the files of their labels and second dates."""
    images = find_image_files(config.data.source, root, config.data.name).paths
    others = [
        config.data.labels.files,
        config.data.second,
        config.data.labels.bounds_files,
        config.data.split.companion,
    ]
    patterns = [template.replace(NAME, "*") for template in others if template]
    return [*images, *(path for pattern in patterns for path in sorted(root.glob(pattern)) if path.is_file())]


def _save_samples(path: Path, prepared: PreparedProbe) -> None:
    samples = prepared.samples
    arrays = {f.name: getattr(samples, f.name) for f in fields(ProbeSamples) if f.type is np.ndarray}
    about = {"classes": samples.classes, "cell_size": samples.cell_size, "notes": prepared.notes}
    with write_aside(path) as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, **arrays, about=np.array(json.dumps(about)))


def _load_samples(path: Path) -> tuple[ProbeSamples, list[str]]:
    with np.load(path) as stored:
        about = json.loads(str(stored["about"]))
        arrays = {name: stored[name] for name in stored.files if name != "about"}
    samples = ProbeSamples([], **arrays, classes=about["classes"], cell_size=about["cell_size"])
    return samples, about["notes"]
