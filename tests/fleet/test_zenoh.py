import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

zenoh = pytest.importorskip("zenoh", reason="needs skyweave[link]")

import fabricated_fleet as fleet  # noqa: E402
from skyweave.fleet.link.certificate_authority import create_keys  # noqa: E402
from skyweave.fleet.link.clocks import wall_clock  # noqa: E402
from skyweave.fleet.link.credentials import load_credentials  # noqa: E402
from skyweave.fleet.link.encryption import check_encryption, is_loopback  # noqa: E402
from skyweave.fleet.link.topics import frame_topic  # noqa: E402
from skyweave.fleet.link.transport import Membership, Priority  # noqa: E402
from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport  # noqa: E402
from skyweave.fleet.link.zenoh_settings import zenoh_settings  # noqa: E402


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def until(done: Callable[[], object], seconds: float = 20.0, every: Callable[[], object] = lambda: None) -> bool:
    """Wait until something is so; a loaded machine may take its time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        every()
        if done():
            return True
        time.sleep(0.02)
    return False


def test_messages_travel_between_sessions() -> None:
    port, heard = free_port(), []
    a = ZenohTransport(ZenohConfig(listen=[f"tcp/127.0.0.1:{port}"]))
    b = ZenohTransport(ZenohConfig(connect=[f"tcp/127.0.0.1:{port}"]))
    try:
        a.subscribe("skyweave/test/frame/*", lambda key, message: heard.append((key, message)))
        key = frame_topic("test", "UAV_2")
        assert until(lambda: heard, every=lambda: b.publish(key, b"\x00\xff", Priority.FRAMES))
        assert heard[0] == (key, b"\x00\xff")
        a.publish(key, b"our own is not heard")
    finally:
        b.close()
        a.close()
    a.publish(key, b"after closing nothing happens")
    assert all(message == b"\x00\xff" for _, message in heard)


def test_nodes_meet_over_zenoh_with_mutual_tls_and_signatures(tmp_path: Path) -> None:
    """Each sees its half; together both see all. Who has no certificate of the authority neither reads nor writes."""
    create_keys(tmp_path / "keys", ["UAV_1", "UAV_4", "UAV_3"])
    create_keys(tmp_path / "others", ["UAV_1", "UAV_4"])
    port, nodes = free_port(), {}
    endpoint = f"tls/127.0.0.1:{port}"
    for name in ("UAV_1", "UAV_4"):
        trust = load_credentials(tmp_path / "keys", name)
        config = ZenohConfig(
            [endpoint] if name == "UAV_1" else ["tls/127.0.0.1:0"], [] if name == "UAV_1" else [endpoint]
        )
        transport = ZenohTransport(config, trust.certificates, "test", trust.members)
        nodes[name] = fleet.node(name, transport, wall_clock, credentials=trust)
    stranger = load_credentials(tmp_path / "others", "UAV_4")
    heard: list[bytes] = []
    left: list[str] = []
    nodes["UAV_1"].transport.watch("skyweave/test/alive/*", left.append)
    intruder = ZenohTransport(ZenohConfig(["tls/127.0.0.1:0"], [endpoint]), stranger.certificates)
    member = load_credentials(tmp_path / "keys", "UAV_3")
    insider = ZenohTransport(ZenohConfig(["tls/127.0.0.1:0"], [endpoint]), member.certificates)
    try:
        intruder.subscribe("**", lambda key, message: heard.append(message))
        counts: list[int] = []

        def moment() -> None:
            now = wall_clock()
            sent = {}
            for name, node in nodes.items():
                node.send_heartbeat()
                sent[name] = node.observe_and_send(fleet.frame(0, name, time=now))
            intruder.publish(frame_topic("test", "UAV_4"), b"intrusion" * 20)
            insider.publish(frame_topic("test", "UAV_4"), b"the name of another" * 20)
            insider.publish(frame_topic("test", "UAV_3"), b"its own name" * 20)
            until(lambda: not nodes["UAV_1"].awaited_peers(sent["UAV_1"]), 0.5)
            scene = nodes["UAV_1"].fuse(sent["UAV_1"]).prediction
            assert scene.detections is not None
            counts.append(len(scene.detections))

        assert until(lambda: counts and counts[-1] == 7, every=moment), (
            counts,
            nodes["UAV_1"].peers.rejection_counts(),
        )
        assert until(lambda: nodes["UAV_1"].peers.rejection_counts().get("UAV_3", {}).get("envelope"), every=moment)
        assert not heard
        refused = nodes["UAV_1"].peers.rejection_counts()[
            "UAV_4"
        ]  # what it said itself before it was known to be alive
        assert set(refused) <= {"unproven"}, "under another's name nothing may arrive at all"
        assert set(nodes["UAV_1"].peers.rejection_counts()) == {"", "UAV_3", "UAV_4"}
        insider.announce("skyweave/test/alive/UAV_4")  # under another's name it may neither come nor go
        insider.close()
        nodes["UAV_4"].close()
        assert until(lambda: left == ["skyweave/test/alive/UAV_4"]), left
    finally:
        intruder.close()
        insider.close()
        for node in nodes.values():
            node.close()


def test_who_leaves_is_known_at_once_and_leaves_no_descriptors() -> None:
    """Peers that come and go, as a node that is killed over and over does."""
    port, left = free_port(), []
    key = "skyweave/test/alive/UAV_2"
    here = ZenohTransport(ZenohConfig(listen=[f"tcp/127.0.0.1:{port}"]))
    here.watch("skyweave/test/alive/*", left.append)
    descriptors = []
    program = (
        "import sys, time; from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport;"
        "z = ZenohTransport(ZenohConfig(connect=[sys.argv[1]])); z.announce(sys.argv[2]);"
        "z.subscribe('skyweave/test/hello', lambda k, m: print('here', flush=True)); time.sleep(60)"
    )
    try:
        for number in range(3):
            process = subprocess.Popen(
                [sys.executable, "-c", program, f"tcp/127.0.0.1:{port}", key], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            hello = until(process.stdout.readline, every=lambda: here.publish("skyweave/test/hello", b"?"))
            assert hello, "it does not come"
            time.sleep(0.3)
            process.kill()
            process.wait()
            killed = time.monotonic()
            assert until(lambda number=number: len(left) == number + 1, 2.0), "the network does not tell"
            assert time.monotonic() - killed < 2.0 and left[-1] == key
            process.stdout.close()
            descriptors.append(len(os.listdir("/proc/self/fd")))
    finally:
        here.close()
    assert descriptors[0] == descriptors[-1]


def test_dead_links_leave_threads_to_listen_with() -> None:
    """Closing a dead link blocks a reading thread for ten seconds; with two of them a node that had lost two peers at
    once heard nobody (`benchmarks/fleet_radio.py --cut 10` shows it on real links).
    """
    port = free_port()
    program = (
        "import sys, time; from pathlib import Path;"
        "from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport;"
        "one = ZenohTransport(ZenohConfig(listen=[sys.argv[1]]));"
        "two = ZenohTransport(ZenohConfig(connect=[sys.argv[1]]));"
        "time.sleep(1);"
        "names = [p.read_text() for p in Path('/proc/self/task').glob('*/comm')];"
        "print(sum(name.startswith('rx-') for name in names)); one.close(); two.close()"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, f"tcp/127.0.0.1:{port}"], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) >= 16


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("127.0.0.1:7447", True), ("localhost:1", True), ("[::1]:7447", True), ("127.8.0.1:0#iface=lo", True),
        ("0.0.0.0:7447", False), ("[::]:7447", False), ("192.168.1.3:7447", False), ("example.org:7447", False),
        ("127.0.0.1.example.org:1", False),
    ],
)  # fmt: skip
def test_what_is_loopback(endpoint: str, local: bool) -> None:
    assert is_loopback(endpoint) == local


def test_nothing_goes_in_the_clear_beyond_this_machine_unless_allowed() -> None:
    outside = ["tcp/0.0.0.0:7447"]
    with pytest.raises(ValueError, match="in the clear"):
        check_encryption(outside, has_certificates=False)
    with pytest.raises(ValueError, match="in the clear"):
        ZenohConfig(connect=["udp/192.168.1.7:7447"]).build(Membership("test"))
    check_encryption(outside, has_certificates=False, allow_clear=True)
    check_encryption(ZenohConfig().listen, has_certificates=False)
    with pytest.raises(ValueError, match="needs certificates"):
        check_encryption(["tls/0.0.0.0:7447"], has_certificates=False, allow_clear=True)
    check_encryption(["tls/0.0.0.0:7447"], has_certificates=True)
    with pytest.raises(ValueError, match="anybody"):
        ZenohConfig(discover=True).build(Membership("test"))


@pytest.mark.parametrize("allow_clear", [False, True])
def test_nobody_is_connected_to_who_was_not_named_unless_allowed(allow_clear: bool) -> None:
    """Zenoh's gossip tells each where the others are, and connects: beyond this machine, too, and in the clear."""
    port, received = free_port(), []
    endpoint = f"tcp/127.0.0.1:{port}"
    middle = ZenohTransport(ZenohConfig(listen=[endpoint]), allow_clear=True)
    here = ZenohConfig(connect=[endpoint]).build(Membership("test", allow_clear=allow_clear))
    beyond = ZenohTransport(ZenohConfig(connect=[endpoint]), allow_clear=True)
    try:
        here.subscribe("t/*", lambda topic, message: received.append(topic))
        assert until(lambda: "t/middle" in received, every=lambda: middle.publish("t/middle", b""))
        assert until(lambda: "t/beyond" in received, 2.0, lambda: beyond.publish("t/beyond", b"")) == allow_clear
    finally:
        for transport in (here, middle, beyond):
            transport.close()


def test_with_keys_no_link_is_in_the_clear(tmp_path: Path) -> None:
    create_keys(tmp_path, ["UAV_1"])
    credentials = load_credentials(tmp_path, "UAV_1")
    settings = zenoh_settings(ZenohConfig(), credentials.certificates, "test", credentials.members)
    assert settings["transport/link/protocols"] == ["tls", "quic"] and settings["scouting/gossip/enabled"]
    with pytest.raises(ValueError, match="Zenoh does not open"):
        ZenohTransport(ZenohConfig(["tcp/127.0.0.1:0"]), credentials.certificates, "test", credentials.members)


def test_an_endpoint_that_is_taken_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp/127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ValueError, match="Zenoh does not open"):
            ZenohTransport(ZenohConfig(listen=[endpoint]))


def test_publishing_from_many_threads_is_safe() -> None:
    port, heard = free_port(), []
    a = ZenohTransport(ZenohConfig(listen=[f"tcp/127.0.0.1:{port}"]))
    b = ZenohTransport(ZenohConfig(connect=[f"tcp/127.0.0.1:{port}"]))
    try:
        a.subscribe("t/**", lambda key, message: heard.append(key))
        assert until(lambda: heard, every=lambda: b.publish("t/0", b""))
        threads = [
            threading.Thread(target=lambda n=n: [b.publish(f"t/{n}", b"x") for _ in range(50)]) for n in range(1, 5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert until(lambda: len(set(heard)) == 5)
    finally:
        b.close()
        a.close()


def test_clients_of_a_router_hear_each_other_and_large_results_pass() -> None:
    """What a node sends travels once, to the router."""
    port, heard = free_port(), []
    endpoint = f"tcp/127.0.0.1:{port}"
    router = ZenohTransport(ZenohConfig(listen=[endpoint], mode="router"))
    a, b = (ZenohTransport(ZenohConfig(connect=[endpoint], mode="client")) for _ in range(2))
    try:
        a.subscribe("skyweave/test/**", lambda key, message: heard.append((key, len(message))))
        key = "skyweave/test/result/UAV_2/geojson"
        assert until(lambda: heard, every=lambda: b.publish(key, bytes(200_000), Priority.RESULTS))
        assert heard[0] == (key, 200_000)
    finally:
        for one in (a, b, router):
            one.close()
    with pytest.raises(ValueError, match="peer, client or router"):
        ZenohConfig(mode="hub")
