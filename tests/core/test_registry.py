"""Implementations by name: built in, registered, installed."""

import sys
from pathlib import Path

import pytest

from skyweave.core import registry as registry_module
from skyweave.core.errors import ConfigError, SkyweaveError, UnknownNameError, did_you_mean
from skyweave.core.registry import Registry


@pytest.fixture
def shapes() -> Registry[type]:
    return Registry("shapes", "shape", {"ordered": "collections:OrderedDict", "counted": "collections:Counter"})


def test_built_in_names_are_imported_when_asked_for(shapes: Registry[type]) -> None:
    from collections import Counter

    assert shapes["counted"] is Counter
    assert list(shapes) == ["ordered", "counted"] and "counted" in shapes and "other" not in shapes


def test_an_unknown_name_lists_the_valid_ones(shapes: Registry[type]) -> None:
    with pytest.raises(UnknownNameError, match=r"no shape 'orderd', did you mean 'ordered'.*ordered, counted"):
        shapes["orderd"]


def test_a_program_can_register_but_not_replace(shapes: Registry[type]) -> None:
    @shapes.register("mine")
    class Mine: ...

    assert shapes["mine"] is Mine
    with pytest.raises(ConfigError, match="'counted' already"):
        shapes.register("counted")(Mine)


def test_an_installed_package_adds_names(
    shapes: Registry[type], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "neighbour.py").write_text("class Round: ...\n")
    info = tmp_path / "neighbour-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neighbour\nVersion: 1.0\n")
    points = "[skyweave.shapes]\nround = neighbour:Round\nbroken = neighbour:Missing\ncounted = neighbour:Round\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    registry_module._installed.cache_clear()
    try:
        assert shapes["round"].__name__ == "Round"
        assert shapes["counted"].__name__ == "Counter", "a built-in name is not taken over"
        with pytest.raises(ConfigError, match="'broken' of the package 'neighbour' cannot be loaded"):
            shapes["broken"]
    finally:
        registry_module._installed.cache_clear()
        sys.modules.pop("neighbour", None)


def test_errors_are_what_python_programmers_catch() -> None:
    assert issubclass(ConfigError, ValueError) and issubclass(UnknownNameError, KeyError)
    assert issubclass(UnknownNameError, SkyweaveError) and str(UnknownNameError("no band 'x'")) == "no band 'x'"
    assert did_you_mean("sentinell2", ["sentinel2", "naip"]) == ", did you mean 'sentinel2'?"
    assert did_you_mean("B4", {"B04": "red"}) == ", did you mean 'red'?"
