"""Configurations: what is wrong in them is named."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skyweave.core.config import apply_override, config_from_dict, load_config_file


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outer:
    title: str
    inner: Inner = field(default_factory=Inner)


def test_a_file_with_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("title: x\ninner: {rate: 1e-3}\n")
    assert load_config_file(file, Outer).inner.rate == 1e-3
    changed = load_config_file(file, Outer, ["inner.names=[a, b]", "title=y"])
    assert changed == Outer("y", Inner(1e-3, ["a", "b"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"titel": "x"}, "unknown key 'titel'; did you mean 'title'"),
        ({"title": "x", "inner": {"rte": 1}}, r"unknown key 'inner\.rte'; did you mean 'rate'"),
        ({"title": "x", "inner": {"rate": "fast"}}, r"Expected `float`, got `str` - at `\$\.inner\.rate`"),
        ({}, "missing required field `title`"),
        ([1], "a mapping is needed, not list"),
    ],
)
def test_errors_name_the_key(content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_from_dict(content, Outer)


def test_changes_need_a_value() -> None:
    with pytest.raises(ValueError, match="'a' is no change; write key=value"):
        apply_override({}, "a")
    with pytest.raises(ValueError, match="'a' has no keys of its own"):
        apply_override({"a": 1}, "a.b=2")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such configuration"):
        load_config_file(tmp_path / "a.yaml", Outer)
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"a\.yaml: "):
        load_config_file(tmp_path / "a.yaml", Outer)
