"""Plain YAML content to typed configurations, with errors that name the key and the nearest valid one."""

import dataclasses
import difflib
import itertools
import re
import types
import typing
from abc import ABC
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import msgspec
import yaml

from skyweave.core.errors import ConfigError, UnknownNameError
from skyweave.core.registry import Registry
from skyweave.core.yaml_text import parse_yaml

Config = TypeVar("Config")


class TaggedConfig(ABC):
    """Base of configurations of one purpose that ``kind:`` tells apart, each a dataclass with fields of its own.

    A field that is annotated with a direct subclass (``source: SourceConfig``) takes the content of any kind in its
    registry, also of those that another package installs: ``{kind: folder, path: flight7}``. A name alone stands for
    a kind without changes: ``folder``.

    Attributes:
        kinds: the dataclasses by name.
        default_kind: the kind of a mapping that names none; None: it must name one.
    """

    kinds: "ClassVar[Registry[Any]]"
    default_kind: ClassVar[str | None] = None

    @classmethod
    def from_content(cls, content: Any) -> Self:
        """Return the configuration that plain content describes.

        Args:
            content: a mapping with ``kind``, the name of a kind, or a configuration, which is returned as it is.

        Raises:
            ConfigError: no such kind, an unknown key or a value of the wrong type.
        """
        if isinstance(content, cls):
            return content
        fields = {"kind": content} if isinstance(content, str) else content
        if not isinstance(fields, dict):
            raise ConfigError(f"a {cls.kinds.noun} is a mapping or a name, not {type(content).__name__}")
        config_class = cls._class_of_kind(fields.get("kind", cls.default_kind))
        config: Self = config_from_dict({key: value for key, value in fields.items() if key != "kind"}, config_class)
        return config

    @classmethod
    def _class_of_kind(cls, kind: Any) -> type[Any]:
        """Return the dataclass of a kind."""
        if kind is None:
            raise ConfigError(f"a {cls.kinds.noun} needs a kind; there are {', '.join(cls.kinds)}")
        try:
            config_class: type[Any] = cls.kinds[str(kind)]
        except UnknownNameError as error:
            raise ConfigError(str(error)) from None
        return config_class


def load_config_file(path: str | Path, config_class: type[Config], overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file as a configuration.

    Args:
        path: of the file.
        config_class: the dataclass that it describes.
        overrides: ``key.key=value`` each, applied over the file's content; values are YAML.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: no YAML, an unknown key, a value of the wrong kind; the message names file and key.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such configuration: {path}")
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
        for override in overrides:
            apply_override(content, override)
        return config_from_dict(content, config_class)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def config_from_dict(content: Any, config_class: type[Config]) -> Config:
    """Convert plain JSON types to a configuration.

    Args:
        content: a mapping.
        config_class: the dataclass that it describes.

    Raises:
        ConfigError: an unknown key or a value of the wrong type; names the key.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"a mapping is needed, not {type(content).__name__}")
    _check_keys(content, config_class, "", config_class)
    try:
        return msgspec.convert(content, config_class, strict=False, dec_hook=_tagged)  # YAML 1.1 reads 1e-3 as text
    except msgspec.ValidationError as error:
        raise ConfigError(f"{error}{_remedy(str(error))}") from error


def _remedy(message: str) -> str:
    """Return how to write a word that YAML reads as something else, or a switch that it reads as a word."""
    if re.match("Expected `(str|str . null)`, got `(bool|int|float|null)`", message):
        return "; put it in quotes: '...'"
    return "; write true or false" if re.match("Expected `bool`, got `str`", message) else ""


def _tagged(config_class: type, content: Any) -> Any:
    """Convert what msgspec does not know: fields annotated with a `TaggedConfig`."""
    if issubclass(config_class, TaggedConfig):
        return config_class.from_content(content)
    raise NotImplementedError(f"a configuration cannot hold {config_class}")


def apply_override(content: Any, override: str) -> None:
    """Set ``a.b=value`` in nested mappings, and ``a.0.b=value`` in the first item of a list.

    Args:
        content: the mapping to change.
        override: ``key=value`` or ``key.key=value``; the value is YAML, items of a list are counted from 0.

    Raises:
        ConfigError: another form, a key below a value that has none, an item that a list does not have, or a value that
            is no YAML.
    """
    path, separator, text = override.partition("=")
    keys = path.split(".")
    if not separator or not all(keys) or not isinstance(content, dict):
        raise ConfigError(f"{override!r} is no change; write key=value or key.key=value")
    for key in keys[:-1]:
        content = _descend(content, key, override)
    try:
        content[_item(content, keys[-1], override)] = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: {text!r} is not YAML: {error}") from error


def _item(content: Any, key: str, override: str) -> Any:
    """Return the key as it is, or the number of an item where the content is a list."""
    if not isinstance(content, list):
        return key
    if not (key.isdecimal() and int(key) < len(content)):
        raise ConfigError(
            f"{override!r}: {key!r} is no item of a list of {len(content)}; count them from 0, or give the whole list"
        )
    return int(key)


def _descend(content: Any, key: str, override: str) -> Any:
    """Return the mapping or the list at a key of another one, made where a mapping lacks it."""
    content = content[_item(content, key, override)] if isinstance(content, list) else content.setdefault(key, {})
    if not isinstance(content, dict | list):
        raise ConfigError(f"{override!r}: {key!r} has no keys of its own")
    return content


def _check_keys(content: dict[str, Any], config_class: type, where: str, root: type) -> None:
    hints = _hints_of(config_class)
    for key, value in content.items():
        if key not in hints:
            raise ConfigError(_describe_unknown_key(key, list(hints), where, root))
        items = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
        for nested, item in itertools.product(_dataclasses_in(hints[key]), items):
            _check_keys(item, nested, f"{where}{key}.", root)


def _hints_of(config_class: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields by their names."""
    types_by_name = typing.get_type_hints(config_class)
    return {field.name: types_by_name[field.name] for field in dataclasses.fields(config_class)}


def _describe_unknown_key(key: Any, valid: list[str], where: str, root: type) -> str:
    """Return the message on a key that there is not, with the one that was probably meant, or where it belongs."""
    near = difflib.get_close_matches(str(key), valid, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    places = [] if near else _places_of(str(key), root, "")
    if places:
        hint = f"; it belongs {' or '.join(places)}"
    return f"unknown key {where + str(key)!r}{hint}; valid: {', '.join(valid)}"


def _places_of(key: str, config_class: type, where: str) -> list[str]:
    """Return where in a configuration a key belongs, in words."""
    hints = _hints_of(config_class)
    here = [f"into {where!r}" if where else "at the top of the file"] if key in hints else []
    inner = [(name, nested) for name, hint in hints.items() for nested in _dataclasses_in(hint)]
    return here + [place for name, nested in inner for place in _places_of(key, nested, f"{where}.{name}".strip("."))]


def _dataclasses_in(hint: Any) -> list[type]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) in (list, typing.Union):
        return [nested for argument in typing.get_args(hint) for nested in _dataclasses_in(argument)]
    return []
