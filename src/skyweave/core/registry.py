"""Registries: implementations by name, built in, registered by a program, or installed with another package.

A package of somebody else adds an implementation through an entry point (Python packaging: entry points specification)
in the group of the registry::

    [project.entry-points."skyweave.strategies"]
    my_fusion = "my_package.fusion:MyFusion"
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from skyweave.core.errors import ConfigError, UnknownNameError, did_you_mean

Implementation = TypeVar("Implementation")


class Registry(Generic[Implementation]):
    """Implementations of one kind by name. What is built in is imported when it is asked for.

    Args:
        group: what the registry holds, in the plural and lower case (``strategies``); entry points are looked for in
            ``skyweave.<group>``.
        noun: what one of them is called in messages (``fusion strategy``).
        built_in: name to ``module:attribute``.
    """

    def __init__(self, group: str, noun: str, built_in: Mapping[str, str]) -> None:
        self.group = f"skyweave.{group}"
        self.noun = noun
        self._built_in = dict(built_in)
        self._registered: dict[str, Implementation] = {}

    def register(self, name: str) -> Callable[[Implementation], Implementation]:
        """Return a decorator that adds what it decorates under ``name``.

        Args:
            name: must not be taken, whether built in, registered or installed.

        Raises:
            ConfigError: the name is taken by another implementation.
        """

        def add(implementation: Implementation) -> Implementation:
            if name in self and self._registered.get(name) is not implementation:
                raise ConfigError(f"there is a {self.noun} {name!r} already; choose another name")
            self._registered[name] = implementation
            return implementation

        return add

    def names(self) -> list[str]:
        """Return all names: built in, registered, then installed."""
        return list(dict.fromkeys([*self._built_in, *self._registered, *_installed(self.group)]))

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._registered or name in _installed(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __getitem__(self, name: str) -> Implementation:
        """Return the implementation called ``name``; a built-in name cannot be taken by an installed package.

        Raises:
            UnknownNameError: there is none; lists the names and the nearest.
            ConfigError: an installed package offers it, and fails to import.
        """
        if name in self._registered:
            return self._registered[name]
        if name in self._built_in:
            module, _, attribute = self._built_in[name].partition(":")
            return cast(Implementation, getattr(importlib.import_module(module), attribute))
        if name in _installed(self.group):
            return cast(Implementation, _load(_installed(self.group)[name]))
        names = self.names()
        raise UnknownNameError(f"no {self.noun} {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # the code is somebody else's: whatever it raises, the package is what to look at
        package = point.dist.name if point.dist else point.value
        raise ConfigError(
            f"{point.group} {point.name!r} of the package {package!r} cannot be loaded: {error}"
        ) from error
