"""What a node subscribes to, and under which tiles it speaks: both move with where the platform looks."""

import threading
from collections.abc import Callable

from skyweave.fleet.link.clocks import NS_PER_S, Clock
from skyweave.fleet.link.tiles import TileScheme
from skyweave.fleet.link.topics import FRAME, HEARTBEAT, ROOT, heartbeat_topic
from skyweave.fleet.link.transport import Transport, Unsubscribe
from skyweave.fleet.node.peers import Peers
from skyweave.wire import WireGrid

LINGER_S = 10.0  # for which what was left is still received: who flies along an edge does not subscribe over and over


class AreaOfInterest:
    """The part of a fleet that a node receives, and is received by.

    Args:
        fleet: name of the fleet.
        name: of the platform.
        transport: to the peers.
        peers: that take what arrives.
        scheme: the fleet's tiles.
        clock: monotonic, nanoseconds.

    Attributes:
        tiles: that the platform speaks under; empty: none.
    """

    def __init__(
        self, fleet: str, name: str, transport: Transport, peers: Peers, scheme: TileScheme, clock: Clock
    ) -> None:
        self._fleet, self._name, self._transport, self._peers = fleet, name, transport, peers
        self._scheme, self._clock = scheme, clock
        self._subscribed: dict[str, Unsubscribe] = {}  # by pattern, and by topic of presence
        self._left: dict[str, int] = {}  # when they were left, by the monotonic clock
        self._moving = threading.Lock()
        self.tiles = ""
        self._move(scheme.tile_path(None))

    def follow(self, grid: WireGrid) -> None:
        """Move to where the platform looks, before it speaks from there.

        Args:
            grid: of its map.
        """
        tiles = self._scheme.tile_path(grid)
        if tiles != self.tiles:
            self._move(tiles)

    def drop_left(self) -> None:
        """End the subscriptions to what was left a while ago."""
        before = self._clock() - round(LINGER_S * NS_PER_S)
        with self._moving:
            for key in [key for key, left in self._left.items() if left <= before]:
                del self._left[key]
                self._subscribed.pop(key)()

    def close(self) -> None:
        """End all subscriptions, and the presence."""
        with self._moving:
            while self._subscribed:
                self._subscribed.popitem()[1]()
            self._left.clear()

    def _move(self, tiles: str) -> None:
        with self._moving:
            declarations = self._declarations(tiles)
            for key, subscribe in declarations.items():
                self._left.pop(key, None)
                if key not in self._subscribed:
                    self._subscribed[key] = subscribe()
            now = self._clock()
            for key in self._subscribed.keys() - declarations.keys():
                self._left.setdefault(key, now)
            self.tiles = tiles

    def _declarations(self, tiles: str) -> dict[str, Callable[[], Unsubscribe]]:
        """Return what is to be declared for a place, each under a key of its own."""
        declarations: dict[str, Callable[[], Unsubscribe]] = {}
        for pattern in self._scheme.topic_patterns(tiles):
            frames, heartbeats = (f"{ROOT}/{self._fleet}/{kind}/{pattern}" for kind in (FRAME, HEARTBEAT))
            declarations[f"frames {pattern}"] = self._subscribe_messages(frames)
            declarations[f"heartbeats {pattern}"] = self._subscribe_messages(heartbeats)
            declarations[f"departures {pattern}"] = self._watch_departures(heartbeats)
        declarations[f"presence {tiles}"] = self._announce(heartbeat_topic(self._fleet, self._name, tiles))
        return declarations

    def _subscribe_messages(self, pattern: str) -> Callable[[], Unsubscribe]:
        return lambda: self._transport.subscribe(pattern, self._peers.on_message)

    def _watch_departures(self, pattern: str) -> Callable[[], Unsubscribe]:
        return lambda: self._transport.watch(pattern, self._peers.on_departure)

    def _announce(self, topic: str) -> Callable[[], Unsubscribe]:
        return lambda: self._transport.announce(topic)
