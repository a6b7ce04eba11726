"""Items that make one scene: those of a day, or all of a time with the least clouded on top."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from skyweave.core.errors import ConfigError, did_you_mean
from skyweave.data.stac.search import CLOUD_COVER, item_time

DEGREES_AN_HOUR = 15.0


@dataclass(frozen=True)
class SceneGroup:
    """Items of one scene.

    Attributes:
        name: of the scene, fit for a file.
        items: the least clouded first: a later one fills what the earlier ones do not show.
    """

    name: str
    items: tuple[Any, ...]

    @property
    def interval(self) -> tuple[datetime, datetime]:
        """Return the first and the last time."""
        times = [item_time(item) for item in self.items]
        return min(times), max(times)


def group_items(items: Sequence[Any], composite: str) -> list[SceneGroup]:
    """Return the scenes that items make, in the order of time.

    Args:
        items: of one collection or several.
        composite: ``day``: a scene for each day by the sun; ``clearest``: one scene of all; ``none``: one for each
            item.

    Raises:
        ConfigError: another word.
    """
    if composite not in COMPOSITES:
        raise ConfigError(
            f"no composite {composite!r}; choose {', '.join(COMPOSITES)}{did_you_mean(composite, list(COMPOSITES))}"
        )
    groups: dict[str, list[Any]] = defaultdict(list)
    for item in items:
        groups[COMPOSITES[composite](item, items)].append(item)
    return [SceneGroup(name, tuple(sorted(group, key=_clearest_first))) for name, group in groups.items()]


def solar_day(item: Any) -> str:
    """Return the date of an item by the sun, so that a pass around midnight UTC stays one day.

    Args:
        item: of a catalogue.
    """
    west, _, east = item.bbox[0], item.bbox[1], item.bbox[len(item.bbox) // 2]
    middle = (west + east) / 2 if west <= east else 180.0
    return (item_time(item) + timedelta(hours=middle / DEGREES_AN_HOUR)).date().isoformat()


def _clearest_first(item: Any) -> tuple[float, datetime, str]:
    cloud = item.properties.get(CLOUD_COVER)
    return (0.0 if cloud is None else float(cloud)), item_time(item), item.id


def _collection(item: Any) -> str:
    return _fit_for_file(item.collection_id or "scene")


def _fit_for_file(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)


COMPOSITES: dict[str, Callable[[Any, Sequence[Any]], str]] = {
    "day": lambda item, items: f"{_collection(item)}_{solar_day(item)}",
    "clearest": lambda item, items: f"{_collection(item)}_{solar_day(items[0])}_{solar_day(items[-1])}",
    "none": lambda item, items: _fit_for_file(item.id),
}
