"""One cell of the suite: a task, a source of features, a method, a share of the labels; kept on disk once computed."""

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import SkyweaveError
from skyweave.downstream.probing.blocks import FeatureBlocks, FeatureValues
from skyweave.downstream.probing.prepared import score_features
from skyweave.downstream.suite.sources import FeatureSource, Role, TaskFeatures
from skyweave.downstream.suite.task import SuiteTask


@dataclass(frozen=True)
class CellAddress:
    """Which cell.

    Attributes:
        task: name.
        source: name.
        role: of the source.
        method: a classifier, or ``finetune``.
        share: of the training labels, above 0 up to 1.
    """

    task: str
    source: str
    role: Role
    method: str
    share: float = 1.0


@dataclass(frozen=True)
class Cell:
    """A finished cell.

    Attributes:
        address: which.
        predictions: (seeds, samples), NaN where a seed did not test a sample; empty where it could not be computed.
        about: what was chosen, dimensions and seconds; or ``reason``, why it could not be computed.
    """

    address: CellAddress
    predictions: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def is_scored(self) -> bool:
        """Whether the cell could be computed."""
        return bool(self.predictions.size)


class CellStore:
    """Finished cells and features below a folder.

    Args:
        folder: of the suite's run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cell_path(self, task: SuiteTask, source: FeatureSource, address: CellAddress) -> Path:
        """Return where a cell is kept; another task, data, source or number of seeds has another path.

        Args:
            task: of the cell.
            source: of the cell.
            address: of the cell.
        """
        key = _digest(task.key, source.name, source.key(), task.seeds)
        return self.folder / "cells" / task.name / f"{_slug(source.name)}.{address.method}.{address.share:g}.{key}.npz"

    def load(self, path: Path, address: CellAddress) -> Cell | None:
        """Return a finished cell; None: there is none.

        Args:
            path: of `cell_path`.
            address: of the cell.
        """
        if not path.is_file():
            return None
        with np.load(path) as stored:
            return Cell(address, stored["predictions"], json.loads(str(stored["about"])))

    def save(self, path: Path, cell: Cell) -> None:
        """Keep a finished cell.

        Args:
            path: of `cell_path`.
            cell: to keep.
        """
        predictions = cell.predictions.astype(np.float32)
        with write_aside(path) as aside, aside.open("wb") as stream:
            np.savez_compressed(stream, predictions=predictions, about=np.array(json.dumps(cell.about)))

    def features(self, task: SuiteTask, source: FeatureSource) -> tuple[list[TaskFeatures], dict[str, Any]]:
        """Return the features of each seed (of one where they are not random), computed or as they were kept.

        Args:
            task: whose samples they are of.
            source: of the features.

        Returns:
            The features, and seconds and images a second where they were computed.

        Raises:
            SkyweaveError: the source cannot read the task's sensor.
        """
        seeds = range(task.seeds if source.is_random else 1)
        every, about = [], {}
        for seed in seeds:
            key = _digest(task.key, source.name, source.key(), seed)
            path = self.folder / "features" / f"{task.name}.{_slug(source.name)}.{key}.npz"
            if path.is_file():
                every.append(_load_features(path))
                continue
            images = len(task.prepared.samples.images)
            start = time.process_time()
            every.append(source.features(task.prepared, seed))
            seconds = time.process_time() - start
            about = {
                "encode_cpu_seconds": round(seconds, 2),
                "images_a_cpu_second": round(images / max(seconds, 1e-9), 1),
            }
            _save_features(path, every[-1])
        return every, about


def score_cell(task: SuiteTask, address: CellAddress, features: list[TaskFeatures]) -> Cell:
    """Fit and test one classifier on features.

    Args:
        task: with its samples.
        address: of the cell.
        features: of each seed.
    """
    start = time.process_time()
    candidates = [one.candidates for one in features]
    row = score_features(
        task.scored, address.source, candidates, address.method, address.role == "baseline", address.share
    )
    names = features[0].names
    about = {
        "dimensions": row.dimensions,
        "choices": [[names[candidate], setting] for candidate, setting in row.choices],
        "fit_cpu_seconds": round(time.process_time() - start, 2),
    }
    return Cell(address, row.predictions, about)


def failed_cell(address: CellAddress, error: SkyweaveError) -> Cell:
    """Return a cell that could not be computed.

    Args:
        address: of the cell.
        error: why.
    """
    return Cell(address, np.empty((0, 0)), {"reason": str(error)})


def _save_features(path: Path, features: TaskFeatures) -> None:
    arrays: dict[str, Any] = {}
    for number, candidate in enumerate(features.candidates):
        if isinstance(candidate, FeatureBlocks):
            arrays[f"widths_{number}"] = np.array(candidate.widths)
            candidate = candidate.values
        arrays[f"values_{number}"] = candidate
    with write_aside(path, durable=False) as aside, aside.open("wb") as stream:
        np.savez(stream, **arrays, names=np.array(json.dumps(features.names)))


def _load_features(path: Path) -> TaskFeatures:
    with np.load(path) as stored:
        names = json.loads(str(stored["names"]))
        candidates: list[FeatureValues] = [stored[f"values_{number}"] for number in range(len(names))]
        for number, values in enumerate(candidates):
            if f"widths_{number}" in stored.files:
                candidates[number] = FeatureBlocks(np.asarray(values), tuple(stored[f"widths_{number}"].tolist()))
        return TaskFeatures(candidates, names)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9+-]+", "-", name).strip("-")
