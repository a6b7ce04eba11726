"""A fleet over emulated links whose clocks can be set while it flies."""

from collections.abc import Callable

import fabricated_fleet as fleet
from skyweave.fleet.link.clocks import NS_PER_S, SteadyClock
from skyweave.fleet.link.emulated import EmulatedNetwork
from skyweave.fleet.link.emulated_link import EmulatedLinkConfig
from skyweave.fleet.node.fused_scene import FusedScene
from skyweave.fleet.node.node import Node

NAMES = ("UAV_1", "UAV_2", "UAV_3")
PERIOD_S = 0.5
STEP_NS = 50_000_000  # of the emulation


class Flight:
    """Nodes over emulated links, each with a system clock that can be set and a quartz that may be fast."""

    def __init__(self, offsets: dict[str, float] | None = None, rates: dict[str, float] | None = None) -> None:
        self.true = fleet.HandClock()
        self.wall = {name: round((offsets or {}).get(name, 0.0) * NS_PER_S) for name in NAMES}
        self.rates = rates or {}
        self.network = EmulatedNetwork(EmulatedLinkConfig(delay=0.02, jitter=0.01), seed=1)
        self.nodes = {name: self._node(name) for name in NAMES}
        self.whole: list[bool] = []  # by frame: whether every node fused the frames of all others of the same time

    def set_clock(self, name: str, seconds: float) -> None:
        self.wall[name] += round(seconds * NS_PER_S)

    def restart(self, name: str) -> None:
        self.nodes[name].close()
        self.nodes[name] = self._node(name)

    def fly(self, frames: int, before_frame: Callable[[int], None] = lambda number: None) -> None:
        for number in range(frames):
            before_frame(number)
            sent = {name: self._capture(node, number) for name, node in self.nodes.items()}
            for step in range(round(PERIOD_S * NS_PER_S / STEP_NS)):
                self.true.now += STEP_NS
                self.network.advance(self.true.now)
                if step == 4:
                    for node in self.nodes.values():
                        node.send_heartbeat()
                if step == 2:
                    self.whole.append(all(self._is_whole(node.fuse(sent[name])) for name, node in self.nodes.items()))

    def _capture(self, node: Node, number: int) -> object:
        return node.observe_and_send(fleet.frame(number % 4, node.name, time=node.clock()))

    def _is_whole(self, scene: FusedScene) -> bool:
        offsets = [frame.time_offset for frame in scene.peer_frames]
        for offset in offsets:  # all captured at the same time: whatever is fused must be placed at a multiple of that
            assert abs(offset - round(offset / PERIOD_S) * PERIOD_S) < 0.06, "fused, and wrong"
        return len(offsets) == len(NAMES) - 1 and max(map(abs, offsets)) < 0.06

    def _node(self, name: str) -> Node:
        rate = self.rates.get(name, 1.0)

        def monotonic() -> int:
            return round((self.true.now - fleet.START) * rate)

        clock = SteadyClock(lambda: fleet.START + monotonic() + self.wall[name], monotonic)
        node = fleet.node(name, self.network.join(name), clock)
        node.peers.checker.needs_proof = True
        return node
