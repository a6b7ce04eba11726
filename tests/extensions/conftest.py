"""Packages of somebody else, as pip would install them: one module and its entry points."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skyweave.core import registry
from skyweave.core.sensors.band import get_band_kind

InstallPackage = Callable[[str, str, str], None]


@pytest.fixture
def install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallPackage]:
    """Gives ``install(module, source, entry_points)``; what was installed is gone after the test."""
    folder, installed = tmp_path / "site-packages", []

    def install(module: str, source: str, entry_points: str) -> None:
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(folder)
        installed.append(module)
        forget()

    def forget() -> None:
        registry._installed.cache_clear()
        get_band_kind.cache_clear()

    yield install
    monkeypatch.undo()
    forget()
    for module in installed:
        sys.modules.pop(module, None)
