"""Miniatures of GEO-Bench tasks, and ways to spoil them."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from skyweave.downstream.geobench.folder import find_tasks
from skyweave.downstream.geobench.pickling import write_pickle
from skyweave.downstream.geobench.synthetic import fabricate
from skyweave.downstream.geobench.unpickle import read_pickle


def miniature(folder: Path, *names: str, samples: tuple[int, int, int] = (6, 3, 3), size: int = 20) -> Path:
    """A folder with these tasks (all without names), as the published archive has it."""
    fabricate(folder, names or None, samples, size)
    return folder


def place_of(folder: Path, name: str) -> Path:
    """Where a task lies in the archive."""
    return find_tasks(folder)[name]


def first_sample(folder: Path, name: str) -> Path:
    return sorted(place_of(folder, name).glob("*.hdf5"))[0]


def rewrite(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace a dataset of a sample."""
    with h5py.File(path, "r+") as file:
        values = change(file[name][()])
        del file[name]
        file.create_dataset(name, data=values)


def redescribe(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a sample says of itself."""
    with h5py.File(path, "r+") as file:
        described = read_pickle(ast.literal_eval(file.attrs["pickle"]), str(path))
        change(described)
        file.attrs["pickle"] = str(write_pickle(described))
