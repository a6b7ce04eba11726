"""Configurations: what is wrong in them is named."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from skyweave.core.config import TaggedConfig, apply_override, config_from_dict, load_config_file
from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry


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
    with pytest.raises(ValueError, match=r"a\.yaml is not valid YAML: "):
        load_config_file(tmp_path / "a.yaml", Outer)


class Shape(TaggedConfig):
    kinds: "ClassVar[Registry[type[Shape]]]" = Registry("test_shapes", "shape", {})
    default_kind = "circle"


@Shape.kinds.register("circle")
@dataclass(frozen=True)
class Circle(Shape):
    radius: float = 1.0


@Shape.kinds.register("square")
@dataclass(frozen=True)
class Square(Shape):
    side: float = 1.0

    def __post_init__(self) -> None:
        if self.side <= 0:
            raise ConfigError(f"side {self.side} must be above 0")


@dataclass(frozen=True)
class Drawing:
    shape: Shape = field(default_factory=Circle)
    others: list[Shape] = field(default_factory=list)


def test_kinds_have_fields_of_their_own() -> None:
    content = {"shape": {"radius": 2}, "others": ["square", {"kind": "square", "side": "1e-3"}]}
    assert config_from_dict(content, Drawing) == Drawing(Circle(2.0), [Square(), Square(1e-3)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "circel"}, r"no shape 'circel', did you mean 'circle'\?; there are circle, square.*\$\.shape"),
        ({"kind": "square", "radius": 2}, r"unknown key 'radius'.*valid: side.*\$\.shape"),
        ({"kind": "square", "side": -1}, r"must be above 0.*\$\.shape"),
        (3, "a shape is a mapping or a name, not int"),
    ],
)
def test_what_is_wrong_with_a_kind_is_named(content: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_dict({"shape": content}, Drawing)


@dataclass(frozen=True)
class Words:
    names: dict[int, str] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    switch: bool = False


def test_yes_and_no_are_words(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("names: {0: no, 1: yes}\nlisted: [NO, On, off, y]\nswitch: true\n")
    assert load_config_file(file, Words) == Words({0: "no", 1: "yes"}, ["NO", "On", "off", "y"], True)
    assert load_config_file(file, Words, ["names={3: no}", "switch=False"]).names == {3: "no"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listed: [1]", r"Expected `str`, got `int` - at `\$\.listed\[0\]`; put it in quotes"),
        ("listed: [true]", r"got `bool` .*; put it in quotes"),
        ("switch: yes", r"Expected `bool`, got `str` - at `\$\.switch`; write true or false"),
        ("names: {1: a, 1: b}", "the key 1 is given twice"),
    ],
)
def test_words_that_yaml_reads_as_something_else(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config_file(tmp_path / "a.yaml", Words)


def test_a_change_reaches_items_of_a_list() -> None:
    content = {"platforms": [{"altitude": [15, 35]}, {"cameras": [{"rows": 192}]}]}
    apply_override(content, "platforms.0.altitude=[60, 80]")
    apply_override(content, "platforms.1.cameras.0.rows=384")
    apply_override(content, "platforms.0.altitude.1=90")
    assert content == {"platforms": [{"altitude": [60, 90]}, {"cameras": [{"rows": 384}]}]}
    for change in ("platforms.2.altitude=1", "platforms.first.altitude=1", "platforms.-1=1"):
        with pytest.raises(ValueError, match="is no item of a list of 2; count them from 0"):
            apply_override(content, change)


def test_a_key_that_belongs_elsewhere() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'inner\.title'; it belongs at the top of the file"):
        config_from_dict({"title": "x", "inner": {"title": "y"}}, Outer)
    with pytest.raises(ConfigError, match=r"unknown key 'names'; it belongs into 'inner'; valid: title, inner"):
        config_from_dict({"title": "x", "names": []}, Outer)
