"""Warnings stay ignored while any thread asks for it, and are heard again after."""

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from skyweave.core.quiet import ignore_warnings
from skyweave.data.raster_files import open_raster


class Noise(UserWarning):
    """A warning of another library."""


def test_threads_do_not_undo_each_other() -> None:
    """The thread that leaves first takes nothing from the one that stays; order of leaving as of entering."""
    inside, leave, problems = threading.Event(), threading.Event(), []

    def first() -> None:
        with ignore_warnings(Noise):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thread.start()
        inside.wait(10)
        with ignore_warnings(Noise):
            leave.set()
            thread.join()
            try:
                warnings.warn("still here", Noise, stacklevel=1)
            except Noise as problem:
                problems.append(problem)
        assert not problems
        with pytest.raises(Noise):
            warnings.warn("after all left", Noise, stacklevel=1)


def test_a_filter_that_was_there_before_stays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", Noise)
        for _ in range(2):
            with ignore_warnings(Noise), ignore_warnings(Noise):
                pass
            warnings.warn("as the user asked", Noise, stacklevel=1)


def test_rasters_without_a_place_in_many_threads(tmp_path: Path) -> None:
    """rasterio warns of each at opening; none reaches standard error, or an error where warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8") as file:
            file.write(np.zeros((1, 8, 8), np.uint8))
    problems: list[Exception] = []

    def read() -> None:
        try:
            for _ in range(200):
                with open_raster(tmp_path / "a.tif") as raster:
                    raster.read(1)
        except Exception as error:
            problems.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert not [entry for entry in warnings.filters if entry[2] is NotGeoreferencedWarning]
