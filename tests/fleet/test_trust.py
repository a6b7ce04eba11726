import json
import random
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import fabricated_fleet as fleet
from skyweave.core.errors import FleetError
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.link.certificate_authority import create_keys
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.credentials import SIGNATURE_HASH, load_credentials
from skyweave.fleet.link.envelope import EnvelopeOpener, EnvelopeSealer, OpenedEnvelope
from skyweave.fleet.link.heartbeat import Heartbeat, PeerReport, decode_heartbeat, encode_heartbeat
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.rate_limit import PeerLimits
from skyweave.fleet.link.replay_protection import WINDOW_MESSAGES
from skyweave.fleet.link.topics import frame_topic, heartbeat_topic, parse_topic
from skyweave.fleet.link.transport import Priority
from skyweave.fleet.link.zenoh_settings import access_control
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.sinks.node_status import node_status
from skyweave.fleet.sinks.prometheus import NodeCollector
from skyweave.fleet.sinks.subscriber import FleetSubscriber

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trust") / "keys"
    assert create_keys(folder, ["UAV_1", "UAV_2", "UAV_3"], viewers=["viewer"]) == ["UAV_1", "UAV_2", "UAV_3", "viewer"]
    return folder


def sealed(message: bytes = b"hello", key: str = "k", now: int = fleet.START) -> bytes:
    return EnvelopeSealer(KEY, lambda: now).seal(key, message)


def test_what_is_sealed_is_opened_with_its_time() -> None:
    opened = EnvelopeOpener(KEY.public_key()).open("k", sealed())
    assert isinstance(opened, OpenedEnvelope)
    assert opened.message == b"hello" and opened.sent == fleet.START
    assert len(sealed()) == 5 + 12 + 64


@given(st.integers(0, 80), st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, change: int) -> None:
    broken = bytearray(sealed())
    broken[place] ^= change
    assert isinstance(EnvelopeOpener(KEY.public_key()).open("k", bytes(broken)), str)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert isinstance(EnvelopeOpener(KEY.public_key()).open("k", data), str)
    assert isinstance(EnvelopeOpener(None).open("k", data), str) or data[:4] == b"SF\1\0"


def test_what_was_said_under_one_key_is_worth_nothing_under_another() -> None:
    assert EnvelopeOpener(KEY.public_key()).open("other", sealed()) == "signature"


def test_unsigned_messages_are_refused_where_signed_ones_are_expected() -> None:
    clear = EnvelopeSealer(None, lambda: fleet.START).seal("k", b"x" * 100)
    assert EnvelopeOpener(KEY.public_key()).open("k", clear) == "unsigned"


def test_nothing_is_taken_twice_however_it_is_ordered() -> None:
    sealer, opener = EnvelopeSealer(KEY, lambda: fleet.START), EnvelopeOpener(KEY.public_key())
    messages = [sealer.seal("k", bytes([i % 256])) for i in range(300)]
    random.Random(0).shuffle(messages)
    for _ in range(2):
        for number, message in enumerate(messages):
            opened = opener.open("k", message)
            if isinstance(opened, OpenedEnvelope):
                opener.remember(opened)
            assert isinstance(opened, OpenedEnvelope) == (_ == 0), number


def test_what_is_remembered_is_bounded() -> None:
    sealer, opener = EnvelopeSealer(None, lambda: fleet.START), EnvelopeOpener(None)
    first = sealer.seal("k", b"first")
    for message in [first, *(sealer.seal("k", b"") for _ in range(WINDOW_MESSAGES + 10))]:
        opened = opener.open("k", message)
        assert isinstance(opened, OpenedEnvelope)
        opener.remember(opened)
    assert len(opener.replays._stamps) == WINDOW_MESSAGES
    assert opener.open("k", first) == "replay"


def test_keys_are_private_kept_and_signed_by_the_authority(keys: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE((keys / "UAV_1" / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((keys / "authority.key").stat().st_mode) == 0o600
    before = (keys / "UAV_1" / "signing.key").read_bytes()
    assert create_keys(keys, ["UAV_1", "UAV_9"]) == ["UAV_9"]
    assert (keys / "UAV_1" / "signing.key").read_bytes() == before
    trust = load_credentials(keys, "UAV_1")
    assert {name: member.platform_id for name, member in trust.members.items()} == {
        "UAV_1": 1, "UAV_2": 2, "UAV_3": 3, "viewer": 4, "UAV_9": 5,
    }  # fmt: skip
    with pytest.raises(ValueError, match="no keys for 'nobody'"):
        load_credentials(keys, "nobody")
    members = keys / "members.json"
    content = members.read_bytes()
    try:
        members.write_bytes(content.replace(b'"platform_id": 1', b'"platform_id": 7'))
        with pytest.raises(ValueError, match="not signed"):
            load_credentials(keys, "UAV_1")
    finally:
        members.write_bytes(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_heartbeat(data: bytes) -> None:
    found = decode_heartbeat(data)
    assert found is None or isinstance(found, Heartbeat)


def test_heartbeats_come_back_and_nonsense_in_them_does_not() -> None:
    beat = Heartbeat(1, 7, 5, 500_000, 32632, 0.5, ("car",), fleet.START, (PeerReport(8, 1, 2, 3, 4, 5),))
    assert decode_heartbeat(encode_heartbeat(beat)) == beat
    for change in ({"version": 2}, {"interval": float("nan")}, {"platform_id": -1}, {"resolution": 0}):
        import msgspec

        assert decode_heartbeat(encode_heartbeat(msgspec.structs.replace(beat, **change))) is None
    assert len(encode_heartbeat(beat)) < 70


def test_a_peer_cannot_speak_for_another(keys: Path) -> None:
    """UAV_2 has good keys, and signs frames under UAV_1's key, and frames with UAV_1's number under its own."""
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    one, two, three = (load_credentials(keys, name) for name in ("UAV_1", "UAV_2", "UAV_3"))
    here = fleet.node("UAV_1", hub.join(), clock, credentials=one)
    listener = hub.join()
    hostile = fleet.node("UAV_2", hub.join(), clock, credentials=two)
    third = fleet.node("UAV_3", hub.join(), clock, credentials=three)
    fleet.meet(here, hostile, third)
    hostile.platform_id = one.members["UAV_1"].platform_id
    hostile.observe_and_send(fleet.frame(0, "UAV_2"))  # UAV_1's number, UAV_2's signature and key
    third.peers.drain()
    assert third.peers.rejection_counts()["UAV_2"] == {"id_mismatch": 1}
    forged = hostile.sealer.seal(frame_topic("test", "UAV_1"), b"anything")
    listener.publish(frame_topic("test", "UAV_1"), forged)
    third.peers.drain()
    assert third.peers.rejection_counts()["UAV_1"] == {"signature": 1}
    listener.publish(frame_topic("test", "nobody"), forged)
    assert third.peers.rejection_counts()[""] == {"unknown_sender": 1}
    assert here.peers.rejection_counts()["UAV_2"] == {}


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roles") / "keys"
    create_keys(folder, ["UAV_1", "UAV_2"], viewers=["viewer"], relays=["router"])
    return folder


@pytest.mark.parametrize("name", ["viewer", "router"])
def test_only_platforms_speak(roles: Path, name: str) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock, credentials=load_credentials(roles, "UAV_1"))
    there = fleet.node(
        name, hub.join(), clock, credentials=load_credentials(roles, name), perceiver=fleet.truth_perceiver()
    )
    listener = FleetSubscriber("test", hub.join(), roles, "viewer", clock)
    listener.subscribe_all(lambda received: None)
    there.send_heartbeat()
    there.observe_and_send(fleet.frame(0, "UAV_2"))
    assert not here.peers.all() and here.peers.rejection_counts()[""] == {"role": 2}
    assert listener.rejected == {"role": 2}


def test_access_control_goes_by_role(roles: Path) -> None:
    rules = access_control("test", load_credentials(roles, "UAV_1").members)
    publish = {rule["id"]: rule["key_exprs"] for rule in rules["rules"]}
    granted = {policy["subjects"][0]: policy["rules"] for policy in rules["policies"]}
    assert granted["viewer"] == ["out", "subscribe"]
    assert publish["publish UAV_1"] == [
        "skyweave/test/frame/**/UAV_1", "skyweave/test/alive/**/UAV_1", "skyweave/test/result/UAV_1/*",
        "skyweave/test/camera/UAV_1/*",
    ]  # fmt: skip
    assert not [topic for topic in publish["publish router"] if "viewer" in topic or "router" in topic]
    assert "skyweave/test/frame/**/UAV_2" in publish["publish router"]


def test_a_name_has_one_role(roles: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="viewer is a viewer"):
        create_keys(roles, ["viewer"])
    with pytest.raises(ValueError, match="one role"):
        create_keys(tmp_path / "keys", ["A"], viewers=["A"])


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "../x", "a/b", "-x", "", "a" * 65, "a\n"])
def test_names_cannot_leave_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letter or digit"):
        create_keys(tmp_path / "keys", ["UAV_1", name])
    assert not (tmp_path / "keys").exists()
    assert parse_topic(f"skyweave/test/frame/{name}") is None
    with pytest.raises(ValueError, match="letter or digit"):
        FleetConfig("x", [name])


def sign_members(folder: Path, content: bytes) -> None:
    key = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    (folder / "members.json").write_bytes(content)
    (folder / "members.sig").write_bytes(key.sign(content, ec.ECDSA(SIGNATURE_HASH)))


def test_odd_members_are_refused_by_what_is_odd(tmp_path: Path) -> None:
    create_keys(tmp_path, ["UAV_1", "UAV_2"])
    members = json.loads((tmp_path / "members.json").read_bytes())
    two = members["UAV_2"]
    for name in ("*", "**", "$*", "a/b", "../x", "", ".x", "\u00e9", "x" * 65, "UAV_3\n"):  # some would speak for all
        sign_members(tmp_path, json.dumps({"UAV_1": members["UAV_1"], name: two}).encode())
        with pytest.raises(FleetError, match="letter or digit"):
            load_credentials(tmp_path, "UAV_1")
    for number in (-1, 1 << 32, True, None, "2", 1.5, 1e300):
        sign_members(tmp_path, json.dumps({**members, "UAV_2": {**two, "platform_id": number}}).encode())
        with pytest.raises(FleetError, match="platform_id"):
            load_credentials(tmp_path, "UAV_1")
    for field, what in (("platform_id", "number"), ("signing_key", "key")):
        sign_members(tmp_path, json.dumps({**members, "UAV_2": {**two, field: members["UAV_1"][field]}}).encode())
        with pytest.raises(FleetError, match=f"two members have the same {what}"):
            load_credentials(tmp_path, "UAV_1")
    for content in (b"[1]", b"1", b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"UAV_1": [1]}', b'{"UAV_1": null}'):
        sign_members(tmp_path, content)
        with pytest.raises(FleetError, match=r"members\.json"):
            load_credentials(tmp_path, "UAV_1")


def test_two_nodes_of_one_name_are_said_to_be_so(caplog: pytest.LogCaptureFixture) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    nodes = [fleet.node(name, hub.join(), clock) for name in ("UAV_1", "UAV_2", "UAV_2")]
    for _ in range(3):
        for node in nodes:
            node.send_heartbeat()
    for node in nodes:
        node.peers.drain()
    said = [record.getMessage() for record in caplog.records if "name and keys of its own" in record.getMessage()]
    assert len(said) == 2 and all(text.startswith("UAV_2 ") for text in said)
    assert [peer.name for peer in nodes[0].alive_peers()] == ["UAV_2"]


def test_old_frames_of_a_member_in_new_envelopes_are_not_taken(keys: Path) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock, credentials=load_credentials(keys, "UAV_1"))
    there = fleet.node("UAV_2", hub.join(), clock, credentials=load_credentials(keys, "UAV_2"))
    fleet.meet(here, there)
    tape: list[tuple[str, bytes]] = []
    hub.join().subscribe("skyweave/test/frame/**", lambda topic, envelope: tape.append((topic, envelope)))
    there.observe_and_send(fleet.frame(0, "UAV_2"))
    here.peers.drain()
    opener = EnvelopeOpener(load_credentials(keys, "UAV_1").members["UAV_2"].public_key)
    chunks = [(topic, opener.open(topic, envelope)) for topic, envelope in tape]
    before = here.peers.all()[0].messages
    for pause, reason in ((0, "duplicate"), (5_000_000_000, "too_old")):
        clock.now += pause
        fleet.meet(here, there)
        before = here.peers.all()[0].messages
        for topic, opened in chunks:
            assert isinstance(opened, OpenedEnvelope)
            there.publish(topic, opened.message, Priority.FRAMES)
        here.peers.drain()
        assert here.peers.all()[0].messages == before
        assert here.peers.rejection_counts()["UAV_2"][reason] == len(chunks)


def test_replays_are_refused_by_reason(keys: Path) -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), clock, credentials=load_credentials(keys, "UAV_1"))
    there = fleet.node("UAV_2", hub.join(), clock, credentials=load_credentials(keys, "UAV_2"))
    fleet.meet(here, there)
    before = here.peers.all()[0].messages
    tape: list[tuple[str, bytes]] = []
    recorder = hub.join()
    recorder.subscribe("**", lambda key, message: tape.append((key, message)))
    there.send_heartbeat()
    there.observe_and_send(fleet.frame(0, "UAV_2"))
    here.peers.drain()
    taken = here.peers.all()[0].messages - before
    assert taken == len(tape) == 2
    for key, message in tape:
        recorder.publish(key, message)
    here.peers.drain()
    assert here.peers.rejection_counts()["UAV_2"] == {"replay": 2}
    # A node that was started again has forgotten what it heard; what is old is refused all the same.
    clock.now += 13_000_000_000
    again = fleet.node("UAV_1", hub.join(), clock, credentials=load_credentials(keys, "UAV_1"))
    for key, message in tape:
        recorder.publish(key, message)
    again.peers.drain()
    assert again.peers.rejection_counts()["UAV_2"] == {"clock": 1, "unproven": 1}


def test_floods_are_cut_off_for_their_sender_alone() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    limits = PeerLimits(bytes_per_second=50_000, messages_per_second=100, queue_size=64)
    here = fleet.node("UAV_1", hub.join(), clock, NodeOptions(limits=limits))
    honest = fleet.node("UAV_2", hub.join(), clock)
    hostile = hub.join()
    for _ in range(20_000):
        hostile.publish(frame_topic("test", "UAV_3"), b"x" * 300)
    honest.send_heartbeat()
    honest.observe_and_send(fleet.frame(0, "UAV_2"))
    here.peers.drain()
    drops = here.peers.rejection_counts()
    assert drops["UAV_3"]["rate"] == 19_900
    assert drops["UAV_3"]["queue"] == 100 - 64
    assert drops["UAV_3"]["envelope"] == 64
    assert not drops["UAV_2"]
    assert [one.peer for one in here.fuse(here.observe_and_send(fleet.frame(0, "UAV_1"))).peer_frames] == ["UAV_2"]


def test_crowds_are_bounded() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here, hostile = fleet.node("UAV_1", hub.join(), clock), hub.join()
    for number in range(5_000):
        hostile.publish(heartbeat_topic("test", f"fake-{number}"), b"x" * 50)
    hostile.publish("skyweave/test/frame/ä", b"x")
    hostile.publish(frame_topic("test", "fake-1"), b"x" * 10_000)
    here.peers.drain()
    assert len(here.peers.all()) == 64
    assert here.peers.rejection_counts()[""] == {"peer_limit": 5_000 - 64, "topic": 1}
    assert here.peers.rejection_counts()["fake-1"] == {"envelope": 1, "size": 1}


def test_a_million_broken_messages_are_refused_and_honest_ones_still_taken(request: pytest.FixtureRequest) -> None:
    """Mutated honest messages, unsigned: 20 000 here; `benchmarks/fleet_hostile.py` sends a million."""
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    limits = PeerLimits(bytes_per_second=1e12, messages_per_second=1e12, queue_size=100_000)
    here = fleet.node("UAV_1", hub.join(), clock, NodeOptions(limits=limits))
    honest = fleet.node("UAV_2", hub.join(), clock)
    tape: list[tuple[str, bytes]] = []
    hostile = hub.join()
    hostile.subscribe("**", lambda key, message: tape.append((key, message)))
    honest.send_heartbeat()
    honest.observe_and_send(fleet.frame(0, "UAV_2"))
    here.peers.drain()
    generator = random.Random(1)
    for number in range(20_000):
        key, message = tape[number % len(tape)]
        broken = bytearray(message)
        for _ in range(generator.randint(1, 4)):
            broken[generator.randrange(4, len(broken))] = generator.randrange(256)
        hostile.publish(key, bytes(broken[: generator.randint(4, len(broken))]))
        if number % 1000 == 999:
            here.peers.drain()
    clock.now += 400_000_000
    honest.send_heartbeat()
    honest.observe_and_send(fleet.frame(1, "UAV_2", time=clock.now))
    fused = here.fuse(here.observe_and_send(fleet.frame(1, "UAV_1", time=clock.now)))
    drops = here.peers.rejection_counts()["UAV_2"]
    assert drops["internal"] == 0
    assert sum(drops.values()) > 15_000 and len(drops) >= 5, drops
    address = parse_topic(tape[0][0])
    assert address is not None and address.platform == "UAV_2"
    assert fused.prediction.detections is not None


def test_threads_do_not_disturb_each_other() -> None:
    """The network, the reader, the worker and the metrics, all at once; a thread is interrupted all the time."""
    hub = LoopbackNetwork()
    here = fleet.node("UAV_1", hub.join(), wall_clock)
    there = fleet.node("UAV_2", hub.join(), wall_clock)
    hostile, stop = hub.join(), threading.Event()
    faults: list[BaseException] = []

    def over_and_over(work: Callable[[int], object]) -> None:
        number = 0
        try:
            while not stop.is_set():
                work(number)
                number += 1
        except BaseException as error:
            faults.append(error)

    def talk(number: int) -> None:
        there.send_heartbeat()
        there.observe_and_send(fleet.frame(number % 4, "UAV_2", time=wall_clock()))

    def attack(number: int) -> None:
        hostile.publish(frame_topic("test", f"UAV_{number % 80}"), bytes([number % 256]) * (number % 300))

    def work(number: int) -> None:
        here.fuse(here.observe_and_send(fleet.frame(number % 4, "UAV_1", time=wall_clock())))

    def watch(number: int) -> None:
        json.dumps(node_status(here))
        list(NodeCollector(here).collect())
        here.send_heartbeat()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        jobs = (talk, attack, work, watch, lambda number: here.peers.drain())
        threads = [threading.Thread(target=over_and_over, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        stop.wait(2.0)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
        sys.setswitchinterval(interval)
    assert not faults, faults
    assert here.statistics.frames > 0 and here.peers.all()[0].rejection_counts()


def test_nonsense_is_read_less_and_does_not_keep_others_from_being_read() -> None:
    clock, hub = fleet.HandClock(), LoopbackNetwork()
    here = fleet.node(
        "UAV_1", hub.join(), clock, NodeOptions(limits=PeerLimits(messages_per_second=500, invalid_cost=20))
    )
    honest, hostile, sealer = fleet.node("UAV_3", hub.join(), clock), hub.join(), EnvelopeSealer(None, clock)
    key = frame_topic("test", "UAV_2")
    for number in range(20):
        clock.now += 100_000_000
        for _ in range(500):
            hostile.publish(key, sealer.seal(key, bytes(300)))
        if number % 5 == 0:
            honest.send_heartbeat()
            honest.observe_and_send(fleet.frame(number % 4, "UAV_3", time=clock.now))
        here.peers.drain(40)  # the flood alone would fill this
    one, other = here.peers.all()
    drops = here.peers.rejection_counts()["UAV_2"]
    assert sum(drops.values()) + len(one.queue) == 10_000
    assert drops["magic"] < 700 and drops["rate"] > 9_000
    assert other.name == "UAV_3" and other.messages == 8
