"""Two sites behind a router each, over mutual TLS: who looks at the same ground meets, and the rest does not travel."""

import json
import socket
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

zenoh = pytest.importorskip("zenoh", reason="needs skyweave[link]")

import fabricated_fleet as fleet  # noqa: E402
from skyweave.cli.main import main  # noqa: E402
from skyweave.core.errors import FleetError  # noqa: E402
from skyweave.fleet.link import zenoh as zenoh_transport  # noqa: E402
from skyweave.fleet.link.certificate_authority import create_keys  # noqa: E402
from skyweave.fleet.link.clocks import wall_clock  # noqa: E402
from skyweave.fleet.link.credentials import load_credentials  # noqa: E402
from skyweave.fleet.link.envelope import HEADER_BYTES, SIGNATURE_BYTES  # noqa: E402
from skyweave.fleet.link.heartbeat import (  # noqa: E402
    MAX_SENT_TRACKS,
    Heartbeat,
    PeerReport,
    SharedTrack,
    encode_heartbeat,
)
from skyweave.fleet.link.router import run_router  # noqa: E402
from skyweave.fleet.link.tiles import TileScheme  # noqa: E402
from skyweave.fleet.link.topics import frame_topic, heartbeat_topic, matches_pattern  # noqa: E402
from skyweave.fleet.link.transport import Membership, Priority  # noqa: E402
from skyweave.fleet.link.zenoh import ZenohConfig  # noqa: E402
from skyweave.fleet.node.fused_scene import peer_names  # noqa: E402
from skyweave.fleet.node.node import Node  # noqa: E402
from skyweave.fleet.node.options import NodeOptions  # noqa: E402
from skyweave.fleet.plan import LINK_BYTES, FleetPlan, largest_frame  # noqa: E402
from skyweave.wire import WireGrid  # noqa: E402
from waiting import until  # noqa: E402

NAMES = ("UAV_1", "UAV_2", "UAV_3")
OPTIONS = NodeOptions(tiles=(512, 32))


def free_endpoint() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"tls/127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sites") / "keys"
    create_keys(folder, list(NAMES), viewers=["viewer"], relays=["north", "south"])
    return folder


def test_platforms_of_two_sites_meet_and_nobody_speaks_for_another(keys: Path) -> None:
    """UAV_1 in the north, UAV_2 and UAV_3 in the south; the last looks elsewhere, and then lies."""
    gates = {name: free_endpoint() for name in ("north", "south")}
    stop, opened = threading.Event(), threading.Semaphore(0)
    routers = [
        threading.Thread(
            target=run_router, args=("test", name, [gates[name]], others, stop, keys, False, opened.release)
        )
        for name, others in (("north", []), ("south", [gates["north"]]))
    ]
    for router in routers:
        router.start()
        assert opened.acquire(timeout=20)
    nodes: dict[str, Node] = {}
    try:
        for name in NAMES:
            trust = load_credentials(keys, name)
            gate = gates["north" if name == "UAV_1" else "south"]
            transport = ZenohConfig([], [gate], "client").build(Membership("test", trust))
            nodes[name] = fleet.node(name, transport, wall_clock, OPTIONS, credentials=trust)
        liar, fused = nodes["UAV_3"], {name: [] for name in NAMES}

        def step() -> bool:
            now = wall_clock()
            for name, node in nodes.items():
                frame = fleet.frame(0, name, now)
                pending = node.observe_and_send(fleet.moved(frame, 5000.0) if name == "UAV_3" else frame)
                node.send_heartbeat()
                fused[name] = peer_names(node.fuse(pending).peer_frames)
            tiles = nodes["UAV_1"].area.tiles
            liar.publish(frame_topic("test", "UAV_2", tiles), b"in another's name" * 9, Priority.FRAMES)
            liar.publish(heartbeat_topic("test", "UAV_2", tiles), b"in another's name" * 9, Priority.CONTROL)
            return (fused["UAV_1"], fused["UAV_2"]) == (["UAV_2"], ["UAV_1"])

        until(step, "the two that look at the same ground fuse each other")
        assert fused["UAV_3"] == [] and not liar.peers.all()
        assert [peer.name for peer in nodes["UAV_1"].peers.all()] == ["UAV_2"], "nothing of UAV_3 has travelled"
        for node in (nodes["UAV_1"], nodes["UAV_2"]):
            assert not set(node.peers.all()[0].rejection_counts()) - {"unproven"}, "the routers dropped what was forged"
    finally:
        for node in nodes.values():
            node.close()
        stop.set()
        for router in routers:
            router.join(20)


def test_a_platform_whose_router_is_not_there_goes_on_alone_until_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It blocked for ever, without its own view, and could not even be ended."""
    monkeypatch.setattr(zenoh_transport, "ROUTER_TIMEOUT_S", 0.2)
    gate = free_endpoint().replace("tls", "tcp")
    here = fleet.node("UAV_1", ZenohConfig([], [gate], "client").build(Membership("test")), wall_clock, OPTIONS)
    ended = here.transport.subscribe("skyweave/test/other", lambda topic, message: None)
    ended()
    fleet_alone = here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1", wall_clock())))
    assert fleet_alone.prediction.detections is not None and len(fleet_alone.prediction.detections) > 0
    stop = threading.Event()
    router = threading.Thread(target=run_router, args=("test", "router", [gate], [], stop))
    router.start()
    there = fleet.node("UAV_2", ZenohConfig([], [gate], "client").build(Membership("test")), wall_clock, OPTIONS)

    def step() -> bool:
        for node in (here, there):
            node.observe_and_send(fleet.frame(0, node.name, wall_clock()))
            node.send_heartbeat()
        return bool(here.peers.all()) and bool(there.peers.all())

    try:
        until(step, "they receive each other")
    finally:
        here.close()
        there.close()
        stop.set()
        router.join(20)
    ZenohConfig([], [gate], "client").build(Membership("test")).close()  # without ever having been connected


def test_only_a_relay_is_a_router(keys: Path) -> None:
    with pytest.raises(FleetError, match="UAV_1 is no relay"):
        run_router("test", "UAV_1", ["tls/127.0.0.1:0"], [], threading.Event(), keys)
    with pytest.raises(FleetError, match="in the clear"):
        run_router("test", "north", ["tcp/0.0.0.0:0"], [], threading.Event())


def test_the_plan_is_what_tiles_give() -> None:
    """Platforms at random places receive as many others as the plan says, but for what the edge takes away."""
    side, scheme, plan = 4000, TileScheme((128,)), FleetPlan(16e6, 800, 1e7)
    places = np.random.default_rng(0).uniform(0, side, (plan.platforms, 2))
    paths = [scheme.tile_path(WireGrid(round(x) - 64, round(y) + 64, 1_000_000, 128, 128)) for x, y in places]
    topics = [frame_topic("city", str(number), path) for number, path in enumerate(paths)]
    counts = []
    for path in paths[:20]:
        patterns = [f"skyweave/city/frame/{pattern}" for pattern in scheme.topic_patterns(path)]
        counts.append(sum(any(matches_pattern(pattern, topic) for pattern in patterns) for topic in topics) - 1)
    assert np.mean(counts) == pytest.approx(plan.peers_received, rel=0.25)
    assert plan.peers_received > plan.peers_fused


def test_the_plan_counts_heartbeats_as_they_are_sent() -> None:
    """A full heartbeat of a node with three peers and many objects, but for a name or a category that is longer."""
    now = 1_790_000_000 * 10**9
    reports = tuple(PeerReport(4 * 10**9, now, now, 10**5, 10**7, 30) for _ in range(3))
    tracks = (SharedTrack("UAV_1-k3.17", 2, now, now, 69_100_012, 533_400_012, -120, 330),) * MAX_SENT_TRACKS
    categories = ("car", "truck", "person", "bicycle")
    sent = len(
        encode_heartbeat(Heartbeat(1, 4 * 10**9, 3 * 10**9, 10**6, 32632, 0.5, categories, now, reports, tracks))
    )
    every = FleetPlan(1e6, 4, 1e7, tile=None, heartbeat_interval=0.5)
    planned = (every.sent_bits - replace(every, heartbeat_interval=1e12).sent_bits) * 0.5 / 8
    assert planned == pytest.approx(sent + HEADER_BYTES + SIGNATURE_BYTES + LINK_BYTES, rel=0.05)


def test_what_is_too_much_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fleet", "plan", "--area", "10000x10000", "--platforms", "1000", "--link", "2M", "--sites", "4"]
    assert main([*command, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert max(content["loads"].values()) < 1 and content["largest_frame_bytes"] > 4000
    assert main([*command, "--tile", "0"]) == 0
    assert "3996 messages" not in (text := capsys.readouterr().out) and "<- too much" in text and "no budget" in text
    assert largest_frame(FleetPlan(1e8, 1000, 2e6, sites=4)) == content["largest_frame_bytes"]
    for wrong, message in (
        (["--tile", "64"], "smaller than maps"),
        (["--area", "4"], "width x height"),
        (["--link", "fast"], "no rate"),
    ):
        assert main([*command, *wrong]) == 2
        assert message in capsys.readouterr().err
