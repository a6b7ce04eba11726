"""Map tiles: where a platform looks, as words of its topics, so that others can subscribe to a part of the Earth.

Tiles are squares of the fleet's own reference system, counted from its origin: with UTM the squares of MGRS, with their
numbers instead of letters. Cells of maps are counted likewise, so that a tile follows from a map in whole numbers, and
sender and receiver never differ about it.

A fleet agrees on the sides of one or more levels, the largest first. A platform speaks under the smallest tile that is
at least as large as its map and holds the map's centre; before it come the larger tiles that this one lies in:
``e166n1302/e2665n20841``. Who looks at more than the largest tile speaks under no tile at all, and to everybody. A
platform subscribes to its own tile and the eight around it, on its own level with everything inside, and on each larger
level to those who speak there. So each receives everyone whose map may overlap its own, and who receives is received.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from skyweave.core.errors import FleetError
from skyweave.wire import WireGrid

MAX_LEVELS = 4
MAX_SIDE_M = 10_000_000
UM_PER_M = 1_000_000
UNPLACED = "unplaced"  # instead of a tile: it is not known yet where the platform looks
TILE_WORD = re.compile(r"e(0|-?[1-9][0-9]{0,9})n(0|-?[1-9][0-9]{0,9})")


@dataclass(frozen=True)
class TileScheme:
    """The levels of tiles that a fleet agreed on.

    Attributes:
        sides: of the tiles of each level, metres, the largest first, each a multiple of the next; none: no tiles, and
            everybody receives everybody.

    Raises:
        FleetError: sides that cannot be.
    """

    sides: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sides = self.sides
        nested = all(larger > side and larger % side == 0 for larger, side in pairwise(sides))
        if len(sides) > MAX_LEVELS or not nested or not all(1 <= side <= MAX_SIDE_M for side in sides):
            raise FleetError(
                f"tiles {list(sides)}: give at most {MAX_LEVELS} sides in whole metres, the largest first, each a "
                "multiple of the next, such as [2048, 128]"
            )

    def tile_path(self, grid: WireGrid | None) -> str:
        """Return the tiles that a platform speaks under, the largest first, joined by ``/``; empty: under none.

        Args:
            grid: of its map; None: not known yet.
        """
        if grid is None:
            return UNPLACED if self.sides else ""
        size_um = max(grid.rows, grid.columns) * grid.resolution
        sides = [side for side in self.sides if side * UM_PER_M >= size_um]
        return "/".join(_tile_word(*tile_index(grid, side)) for side in sides)

    def topic_patterns(self, path: str) -> list[str]:
        """Return what to subscribe to, to receive everyone whose map may overlap: patterns of what follows the kind.

        Args:
            path: of `tile_path`, of this platform.
        """
        if not path:
            return ["**"]
        patterns, words = ["*"], [] if path == UNPLACED else path.split("/")
        for level in range(len(words)):
            below = "**" if level == len(words) - 1 else "*"
            patterns += [f"{around}/{below}" for around in self._paths_around(words[level], level)]
        return patterns

    def _paths_around(self, word: str, level: int) -> list[str]:
        """Return the paths of a tile and of the eight around it."""
        east, north = _parse_tile_word(word)
        ratios = [side // self.sides[level] for side in self.sides[: level + 1]]
        return [
            "/".join(_tile_word((east + right) // ratio, (north + up) // ratio) for ratio in ratios)
            for right in (-1, 0, 1)
            for up in (-1, 0, 1)
        ]


def tile_index(grid: WireGrid, side: int) -> tuple[int, int]:
    """Return which tile holds the centre of a map, counted east and north from the origin of its reference system.

    Args:
        grid: of the map.
        side: of the tiles, metres.
    """
    twice_side_um = 2 * side * UM_PER_M
    east = (2 * grid.west + grid.columns) * grid.resolution // twice_side_um
    north = (2 * grid.north - grid.rows) * grid.resolution // twice_side_um
    return east, north


def is_tile_path(words: Sequence[str]) -> bool:
    """Return whether words of a topic are tiles, or say that none is known.

    Args:
        words: between the kind of the topic and the platform.
    """
    return list(words) == [UNPLACED] or (len(words) <= MAX_LEVELS and all(map(TILE_WORD.fullmatch, words)))


def _tile_word(east: int, north: int) -> str:
    return f"e{east}n{north}"


def _parse_tile_word(word: str) -> tuple[int, int]:
    east, _, north = word[1:].partition("n")
    return int(east), int(north)
