"""Scenes leave a node as Cursor on Target and as KLV while they happen; other people's libraries read them."""

import asyncio
import socket
import ssl
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fabricated_fleet as fleet
from skyweave.core.errors import FleetError
from skyweave.core.geometry.geodesy import project_lon_lat
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.node.node import Node
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.publisher import ScenePublisher
from skyweave.fleet.sinks.scene_content import PublishedScene
from waiting import until

CRS = "EPSG:32632"


def node_on_earth() -> tuple[Node, fleet.HandClock]:
    clock = fleet.HandClock()
    node = Node("test", "UAV_1", fleet.truth_perceiver(1), LoopbackNetwork().join(), WorldFrame(CRS), clock=clock)
    return node, clock


def configured(content: dict[str, Any]) -> SinkConfig:
    return SinkConfig.kinds[content["kind"]](**{key: value for key, value in content.items() if key != "kind"})


def publish(content: dict[str, Any]) -> PublishedScene:
    """Publish one scene to one sink, and wait until it is out."""
    node, clock = node_on_earth()
    publisher = ScenePublisher(node, [configured(content)])
    published = publisher.publish(node.fuse(node.observe_and_send(fleet.frame(1, "UAV_1", clock()))))
    publisher.close()
    assert len(published.detections) >= 2
    return published


@contextmanager
def datagrams() -> Iterator[tuple[int, socket.socket]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(30)
        yield listener.getsockname()[1], listener


def check_events(events: list[ElementTree.Element], published: PublishedScene) -> None:
    detections = published.detections
    assert [event.get("uid") for event in events] == [f"test.{identity}" for identity in published.identities]
    for event, place in zip(events, detections.boxes.centres, strict=True):
        point = event.find("point")
        assert point is not None and event.get("type") == "a-u-G-E-V-C"
        lon_lat = np.array([[float(point.attrib["lon"]), float(point.attrib["lat"])]])
        assert np.linalg.norm(project_lon_lat(lon_lat, CRS)[0] - place[:2]) < 0.05
        assert point.attrib["ce"] == "9999999.0"  # of the truth nobody states an error


def test_events_reach_a_client_of_pytak_over_udp() -> None:
    pytak = pytest.importorskip("pytak")
    received: list[bytes] = []

    async def listen(ready: threading.Event, port: list[int], count: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port.append(probe.getsockname()[1])
        config = ConfigParser()
        config["pytak"] = {"COT_URL": f"udp://127.0.0.1:{port[0]}"}
        reader, writer = await pytak.protocol_factory(config["pytak"])
        ready.set()
        try:
            while len(received) < count:
                message, _ = await asyncio.wait_for(reader.recv(), 30)
                received.append(message)
        finally:
            writer.close()
            reader.close()

    ready, port = threading.Event(), list[int]()
    thread = threading.Thread(target=lambda: asyncio.run(listen(ready, port, 3)), daemon=True)
    thread.start()
    until(ready.is_set, "pytak listens")
    published = publish({"kind": "cot", "url": f"udp://127.0.0.1:{port[0]}"})
    thread.join(30)
    assert len(published.identities) == len(received) == 3
    check_events([ElementTree.fromstring(message) for message in received], published)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine, signed by itself, and its key."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return paths


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_events_go_over_a_connection_encrypted_or_not(tmp_path: Path, protocol: str) -> None:
    certificate_file, key_file = certificate(tmp_path)
    content: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection: socket.socket = server.accept()[0]
            if protocol == "tls":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate_file, key_file)
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                while chunk := connection.recv(1 << 16):
                    content.append(chunk)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        authorities = {"authorities": str(certificate_file)} if protocol == "tls" else {}
        url = f"{protocol}://localhost:{server.getsockname()[1]}"
        published = publish({"kind": "cot", "url": url, **authorities})
        thread.join(30)
    documents = b"".join(content).split(b"<?xml version='1.0' encoding='utf-8'?>")[1:]
    check_events([ElementTree.fromstring(document) for document in documents], published)


def test_klv_is_read_by_klvdata_and_as_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    klvdata = pytest.importorskip("klvdata")
    # its class for VMTI is abstract, and fails where there is any
    monkeypatch.delitem(klvdata.misb0601.UASLocalMetadataSet.parsers, b"\x4a")
    from skyweave.telemetry.reading import read_telemetry

    with datagrams() as (port, listener):
        published = publish({"kind": "klv", "url": f"udp://127.0.0.1:{port}"})
        packet = listener.recv(1 << 16)
    [read] = list(klvdata.StreamParser(packet))
    values = {key: value[-1] for key, value in read.MetadataList().items()}
    assert values[10] == "UAV_1"
    capture = published.scene.frame.captures["UAV_1"]
    place = project_lon_lat(np.array([[float(values[14]), float(values[13])]]), CRS)[0]
    assert np.linalg.norm(place - capture.geometry.position[:2]) < 0.05
    assert packet.count(b"car") == len(published.detections) == 3  # within VMTI, which it does not read
    (tmp_path / "live.klv").write_bytes(packet)
    poses = read_telemetry(tmp_path / "live.klv")
    assert len(poses.times) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "cot", "url": "udp://10.1.2.3:6969"}, "allow_clear"),
        ({"kind": "klv", "url": "tcp://example.invalid:1"}, "allow_clear"),
        ({"kind": "cot", "url": "http://127.0.0.1:80"}, "udp://HOST:PORT"),
        ({"kind": "cot", "url": "udp://127.0.0.1"}, "udp://HOST:PORT"),
        ({"kind": "cot", "url": "tls://127.0.0.1:8089", "authorities": "none.pem"}, "certificates"),
    ],
)
def test_what_cannot_or_must_not_be_sent_is_refused(content: dict[str, Any], message: str) -> None:
    node, _ = node_on_earth()
    with pytest.raises(FleetError, match=message):
        configured(content).build(node)
    here = fleet.node("UAV_1", LoopbackNetwork().join(), fleet.HandClock())
    with pytest.raises(FleetError, match="give the fleet a crs"):
        configured({"kind": "cot", "url": "udp://127.0.0.1:1"}).build(here)


def test_nobody_who_listens_costs_nothing_but_the_output() -> None:
    node, clock = node_on_earth()
    publisher = ScenePublisher(node, [configured({"kind": "cot", "url": "tcp://127.0.0.1:1"})])
    published = publisher.publish(node.fuse(node.observe_and_send(fleet.frame(1, "UAV_1", clock()))))
    publisher.close()
    assert len(published.detections) == 3 and node.statistics.frames == 1
