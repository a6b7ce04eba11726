"""A platform receives those who look where it looks, and nobody else; tiles are fixed to the Earth."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fabricated_fleet as fleet
from skyweave.core.config import config_from_dict
from skyweave.fleet.link.certificate_authority import create_keys
from skyweave.fleet.link.credentials import load_credentials
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.tiles import UNPLACED, TileScheme, tile_index
from skyweave.fleet.link.topics import frame_topic, heartbeat_topic, matches_pattern, parse_topic
from skyweave.fleet.node import area_of_interest
from skyweave.fleet.node.fused_scene import peer_names
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.wire import WireGrid

TILES = NodeOptions(tiles=(512, 32))  # the toy maps are 32 m wide
SCHEME = TileScheme((2048, 128))
LINGER_STEPS = 3  # frames for which what was left is received, in these tests
grids = st.builds(
    lambda west, north, cells: WireGrid(west, north, 500_000, cells, cells, 32632),
    st.integers(-20_000, 20_000), st.integers(-20_000, 20_000), st.sampled_from([1, 64, 200, 256, 257, 1000, 1024]),
)  # fmt: skip


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(area_of_interest, "LINGER_S", LINGER_STEPS * 0.5)


def receives(one: WireGrid, other: WireGrid) -> bool:
    topic = frame_topic("city", "UAV_2", SCHEME.tile_path(other))
    return any(
        matches_pattern(f"skyweave/city/frame/{pattern}", topic)
        for pattern in SCHEME.topic_patterns(SCHEME.tile_path(one))
    )


def overlap(one: WireGrid, other: WireGrid) -> bool:
    return all(
        low < other_high and other_low < high
        for low, high, other_low, other_high in (
            (one.west, one.west + one.columns, other.west, other.west + other.columns),
            (one.north - one.rows, one.north, other.north - other.rows, other.north),
        )
    )


@given(grids, grids)
def test_whose_maps_overlap_receive_each_other_whatever_their_size(one: WireGrid, other: WireGrid) -> None:
    assert receives(one, other) == receives(other, one)
    assert receives(one, other) or not overlap(one, other)


@given(grids)
def test_every_place_is_a_topic_that_can_be_parsed(grid: WireGrid) -> None:
    path = SCHEME.tile_path(grid)
    address = parse_topic(heartbeat_topic("city", "UAV_1", path))
    assert address is not None and (address.platform, address.tiles, address.name) == ("UAV_1", path, "")


def test_tiles_are_the_squares_of_the_grid_zone() -> None:
    """MGRS 32U PU 91 34 is the square of 1 km whose corner lies at 691 km east and 5334 km north of zone 32."""
    grid = WireGrid(2 * 691_500, 2 * 5_334_500, 500_000, 200, 200, 32632)
    assert tile_index(grid, 1000) == (691, 5334)
    assert TileScheme((1000,)).tile_path(grid) == "e691n5334"
    assert SCHEME.tile_path(grid) == "e337n2604/e5402n41675"
    assert tile_index(replace(grid, west=-3, north=3, rows=2, columns=2), 1) == (-1, 1)


def test_who_sees_far_speaks_to_all_below_and_who_knows_no_place_to_nobody() -> None:
    small, large, far = (
        WireGrid(west, 100, 500_000, rows, rows) for west, rows in ((0, 100), (0, 2000), (90_000, 100))
    )
    whole = replace(large, resolution=10_000_000)
    assert SCHEME.tile_path(whole) == "" and SCHEME.tile_path(large).count("/") == 0
    assert receives(small, large) and receives(large, small) and not receives(far, large) and not receives(large, far)
    assert receives(whole, far) and receives(far, whole)
    assert SCHEME.topic_patterns(UNPLACED) == ["*"] and SCHEME.tile_path(None) == UNPLACED
    assert TileScheme().topic_patterns("") == ["**"]


@pytest.mark.parametrize("sides", [(128, 2048), (2000, 128), (0,), (128, 128), (10**8,), (16, 8, 4, 2, 1)])
def test_sides_that_do_not_nest_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"largest first, each a multiple of the next, such as \[2048, 128\]"):
        NodeOptions(tiles=sides)
    assert config_from_dict({"tiles": [512, 32]}, NodeOptions).tiles == (512, 32)


@pytest.mark.parametrize("words", ["e1", "e01n2", "en", "e1n2x", "e-0n1", "unplaced/e1n2", "e1n2/" * 4 + "e1n2"])
def test_what_is_no_tile_is_no_topic(words: str) -> None:
    assert parse_topic(f"skyweave/test/frame/{words}/UAV_1") is None


class Pair:
    """Two platforms of a fleet with tiles, of which the second is moved about."""

    def __init__(self, keys: Path | None = None) -> None:
        self.clock, self.hub, self.number = fleet.HandClock(), LoopbackNetwork(), 0
        trust = {name: None if keys is None else load_credentials(keys, name) for name in ("UAV_1", "UAV_2")}
        self.here, self.there = (
            fleet.node(name, self.hub.join(), self.clock, TILES, credentials=trust[name]) for name in trust
        )
        self.overheard: list[str] = []
        self.hub.join().subscribe("skyweave/**", lambda topic, message: self.overheard.append(topic))

    def step(self, east: float) -> list[str]:
        """One frame and heartbeat of both; return whose frames the first one fused."""
        self.number += 1
        self.clock.now = fleet.START + self.number * 500_000_000
        frames = {node.name: fleet.frame(0, node.name, self.clock.now) for node in (self.here, self.there)}
        self.there.observe_and_send(fleet.moved(frames["UAV_2"], east))
        pending = self.here.observe_and_send(frames["UAV_1"])
        fleet.meet(self.here, self.there)
        return peer_names(self.here.fuse(pending).peer_frames)

    def received(self) -> int:
        return sum(peer.messages for peer in self.here.peers.all())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiles") / "keys"
    create_keys(folder, ["UAV_1", "UAV_2"])
    return folder


@pytest.mark.parametrize("signed", [False, True])
def test_subscriptions_move_with_the_platform(signed: bool, keys: Path) -> None:
    pair = Pair(keys if signed else None)
    assert [pair.step(0.0) for _ in range(4)][-1] == ["UAV_2"]
    fused = [pair.step(5000.0) for _ in range(LINGER_STEPS + 2)]
    assert not any(fused[2:])  # far away: its messages do not reach the first one at all
    before = pair.received()
    pair.step(5000.0)
    assert pair.received() == before and any("/e9" in topic for topic in pair.overheard)
    fused = [pair.step(0.0) for _ in range(4)]
    assert fused[-1] == ["UAV_2"], "it comes back"
    assert not set(pair.here.peers.rejection_counts()["UAV_2"]) - {"unproven"}


def test_subscriptions_do_not_pile_up() -> None:
    pair = Pair()
    counts = []
    for number in range(18):
        pair.step(40.0 * number)
        counts.append(len(pair.hub._subscriptions))
    assert max(counts) < 130 and counts[-1] <= counts[8] + 6, "as many are ended as begun"
    pair.there.close()
    pair.here.close()
    assert len(pair.hub._subscriptions) == 1 and not pair.hub._watches  # who overhears


def test_who_moves_on_has_not_departed() -> None:
    pair = Pair()
    for _ in range(3):
        pair.step(0.0)
    for number in range(LINGER_STEPS + 3):
        pair.step(40.0)  # the next tile
        assert not pair.here.peers.all()[0].is_gone, number
    pair.there.close()
    assert pair.here.peers.all()[0].is_gone


def test_who_speaks_of_another_place_than_its_map_shows_is_refused(keys: Path) -> None:
    pair = Pair(keys)
    for _ in range(3):
        pair.step(0.0)
    liar: Node = pair.there
    liar.area.follow = lambda grid: None  # type: ignore[method-assign]  # it stays where it is listened to
    pair.step(300.0)
    assert pair.here.peers.rejection_counts()["UAV_2"]["tile"] == 1


def test_a_fleet_that_does_not_agree_on_tiles_says_so() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock)
    there = fleet.node("UAV_2", hub.join(), clock, TILES)
    there.observe_and_send(fleet.frame(0, "UAV_2", clock.now))
    here.peers.drain()
    assert here.peers.rejection_counts()["UAV_2"] == {"tile": 1}


def test_who_only_receives_moves_as_well() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    node = fleet.node("UAV_1", hub.join(), clock, replace(TILES, publish_frames=False))
    assert node.observe_and_send(fleet.frame(0, "UAV_1", clock.now)).bytes == 0
    assert node.area.tiles.startswith("e") and not node.statistics.bytes["frame"]
