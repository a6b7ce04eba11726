"""A whole fleet from the command line, with processes, over Zenoh on this machine."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

pytest.importorskip("zenoh", reason="needs skyweave[link]")

from aiohttp import ClientSession

from orphans import run_at_the_end
from skyweave.cli.main import main
from skyweave.core.config import load_config_file
from skyweave.fleet import FleetClient
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.supervisor.node_contents import node_contents
from skyweave.fleet.supervisor.state import fleet_state, supervisor_pid
from skyweave.fleet.supervisor.supervisor import Supervisor
from waiting import until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60.0  # a loaded machine may take its time
SKYWEAVE = (sys.executable, "-m", "skyweave")


def has_ended(process: int) -> bool:
    """Whether a process has ended; where nobody asks for its exit code, it stays in the list of processes."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def free_ports() -> int:
    """A port after which others are likely free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port if port < 60_000 else port - 5_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fleet of two that runs, and its YAML."""
    folder = tmp_path_factory.mktemp("fleet")
    world = Path(__file__).parents[2] / "configs" / "world" / "hidden.yaml"
    small = ["--scenes", "1", "--frames", "4", "--set", "traffic.cars=8", "--set", "scenery.trees=4"]
    assert main(["simulate", str(world), "-o", str(folder / "recording"), *small]) == 0
    config = {
        "name": "pair",
        "platforms": ["UAV_1", "UAV_2"],
        "port": free_ports(),
        "state": str(folder / "state"),
        "node": {
            "source": {"kind": "recording", "path": "recording", "interval": 0.5},
            "perceiver": {"kind": "ground_truth"},
            "sinks": ["scene", "geojson", {"kind": "cameras", "interval": 0.5}],
            "options": {"max_wait": 0.4, "heartbeat_interval": 0.2},
        },
    }
    (folder / "fleet.yaml").write_text(yaml.safe_dump(config))
    with run_at_the_end([*SKYWEAVE, "fleet", "down", str(folder / "fleet.yaml")]):
        assert main(["fleet", "up", str(folder / "fleet.yaml"), "--detach"]) == 0
        yield folder


def test_a_fleet_starts_and_every_node_hears_the_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def together() -> bool:
        nodes = fleet_state(folder / "state")["nodes"].values()
        return all(any(peer["alive"] for peer in node.get("status", {}).get("peers", {}).values()) for node in nodes)

    until(together, "both receive each other")
    capsys.readouterr()
    assert main(["fleet", "status", str(folder / "fleet.yaml"), "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["running"] and set(state["nodes"]) == {"UAV_1", "UAV_2"}
    assert main(["fleet", "status", str(folder / "fleet.yaml")]) == 0
    assert "receives UAV_2" in capsys.readouterr().out
    assert main(["fleet", "up", str(folder / "fleet.yaml"), "--detach"]) == 2
    assert "runs already" in capsys.readouterr().err
    port = yaml.safe_load((folder / "fleet.yaml").read_text())["port"]

    async def metrics() -> str:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port + 100}/metrics") as answer:
            return await answer.text()

    text = asyncio.run(metrics())
    assert 'skyweave_received_bytes_total{peer="UAV_2"}' in text and "skyweave_latency_seconds_bucket" in text
    lines = [json.loads(line) for line in (folder / "state" / "UAV_1.log").read_text().splitlines()]
    assert {"started", "scene"} <= {line["event"] for line in lines}


def test_a_killed_node_is_started_again_and_the_other_goes_on(folder: Path) -> None:
    config = yaml.safe_load((folder / "fleet.yaml").read_text())
    with FleetClient("pair", [f"tcp/127.0.0.1:{config['port']}", f"tcp/127.0.0.1:{config['port'] + 1}"]) as client:
        until(lambda: len(client.platforms()) == 2, "both publish")
        before = fleet_state(folder / "state")["nodes"]["UAV_2"]
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: fleet_state(folder / "state")["nodes"]["UAV_2"]["starts"] == before["starts"] + 1, "a new start")
        sequence = (client.latest("UAV_1") or {})["sequence"]

        def back() -> bool:
            scene = client.latest("UAV_1") or {}
            return "UAV_2" in scene["peer_frames"] and scene["sequence"] > sequence + 3

        until(back, "it is back in the other's scene")
    gap = fleet_state(folder / "state")["nodes"]["UAV_1"]["status"]["longest_gap"]
    assert gap < 5.0


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set on Linux only")
def test_a_node_that_has_used_up_its_descriptors_flies_on_and_says_so(folder: Path) -> None:
    config, state = yaml.safe_load((folder / "fleet.yaml").read_text()), folder / "state"
    endpoints = [f"tcp/127.0.0.1:{config['port'] + number}" for number in (0, 1)]
    node = psutil.Process(fleet_state(state)["nodes"]["UAV_2"]["pid"])
    limits, log = node.rlimit(psutil.RLIMIT_NOFILE), state / "UAV_2.log"

    def sequence(client: FleetClient) -> int:
        return int((client.latest("UAV_2") or {"sequence": 0})["sequence"])

    with FleetClient("pair", endpoints) as client:
        until(lambda: sequence(client), "it publishes")
        node.rlimit(psutil.RLIMIT_NOFILE, (3, limits[1]))
        try:
            before = sequence(client)
            until(lambda: sequence(client) >= before + 8, "it flies on")
            until(lambda: "Too many open files" in log.read_text(), "it says so")
            used, since = sum(node.cpu_times()[:2]), time.monotonic()
            with FleetClient("pair", endpoints[1:]) as late:  # there is no descriptor for its link
                assert next(late.scenes(timeout=2.0), None) is None
            assert (sum(node.cpu_times()[:2]) - used) / (time.monotonic() - since) < 0.5, "it does not spin"
        finally:
            node.rlimit(psutil.RLIMIT_NOFILE, limits)
        written = fleet_state(state)["nodes"]["UAV_2"]["status"]["monotonic"]
        until(lambda: fleet_state(state)["nodes"]["UAV_2"]["status"]["monotonic"] > written, "its status comes again")
    with FleetClient("pair", endpoints[1:]) as late:
        until(lambda: sequence(late), "new links come again")
    assert fleet_state(state)["nodes"]["UAV_2"]["pid"] == node.pid, "it was not started again"


@pytest.mark.skipif(sys.platform != "linux", reason="nodes are forked on Linux only")
def test_nodes_go_on_when_the_process_they_were_forked_from_is_killed(folder: Path) -> None:
    before = fleet_state(folder / "state")
    nodes = {node["pid"] for node in before["nodes"].values()}
    supervisor = before["supervisor"]
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    server = next(child for child in children if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes())
    log = folder / "state" / "supervisor.log"
    assert "goes on without" not in log.read_text()
    os.kill(int(server), signal.SIGKILL)
    until(lambda: log.read_text().count("goes on without") == 2, "it is noticed")
    assert {node["pid"] for node in fleet_state(folder / "state")["nodes"].values()} == nodes
    killed = before["nodes"]["UAV_2"]
    os.kill(killed["pid"], signal.SIGKILL)
    until(lambda: fleet_state(folder / "state")["nodes"]["UAV_2"]["starts"] == killed["starts"] + 1, "a new start")
    assert fleet_state(folder / "state")["nodes"]["UAV_1"]["pid"] in nodes


def test_record_and_replay(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mcap_protobuf", reason="needs skyweave[record]")
    file = tmp_path / "fleet.mcap"
    fleet = str(folder / "fleet.yaml")
    assert main(["fleet", "record", fleet, "-o", str(file), "--seconds", "3"]) == 0
    from mcap.reader import make_reader
    from mcap_protobuf.decoder import DecoderFactory

    with file.open("rb") as stream:
        found = list(make_reader(stream).iter_messages())
    schemas = {schema.name for schema, _, _ in found if schema is not None}
    assert {
        f"foxglove.{name}" for name in ("SceneUpdate", "FrameTransform", "LocationFix", "CameraCalibration")
    } <= schemas
    results = {channel.topic: (schema, channel, message) for schema, channel, message in found}
    schema, channel, message = results["skyweave/pair/result/UAV_1/scene"]
    assert (channel.message_encoding, schema.encoding, schema.name) == ("json", "jsonschema", "skyweave.Scene")
    assert json.loads(schema.data)["properties"].keys() < json.loads(message.data).keys()
    with file.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        _, _, _, update = next(iter(reader.iter_decoded_messages(["/UAV_1/scene"])))
        _, _, _, fix = next(iter(reader.iter_decoded_messages(["/UAV_1/location"])))
    assert update.entities[0].frame_id == "local" and 47 < fix.latitude < 49
    endpoint = f"tcp/127.0.0.1:{free_ports()}"
    command = [*SKYWEAVE, "fleet", "replay", str(file), "--listen", endpoint, "--loop"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        with run_at_the_end(["kill", str(process.pid)]), FleetClient("pair", [endpoint]) as client:
            until(lambda: client.platforms() == ["UAV_1", "UAV_2"], "both are played")
        assert b"messages played" in process.communicate(timeout=30)[0]
    assert main(["fleet", "replay", __file__]) == 2
    assert "no MCAP file" in capsys.readouterr().err


def test_rerun_recording(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs skyweave[view]")
    file = tmp_path / "fleet.rrd"
    assert main(["fleet", "record", str(folder / "fleet.yaml"), "-o", str(file), "--seconds", "2.5"]) == 0
    assert file.stat().st_size > 5_000


@contextlib.contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """Address of the live page."""
    command = [*SKYWEAVE, "fleet", "dashboard", str(folder / "fleet.yaml"), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, run_at_the_end(["kill", str(process.pid)]):
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()


def test_the_page_tells_the_state_and_refuses_other_sites(folder: Path) -> None:
    async def look(page: str) -> None:
        async with ClientSession() as session:
            for path in ("", "page.js", "page.css"):
                async with session.get(page + path) as answer:
                    assert answer.status == 200 and "default-src 'self'" in answer.headers["Content-Security-Policy"]
            async with session.ws_connect(page + "live") as socket:
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    state = json.loads(await socket.receive_str())
                    if len(state["platforms"]) == 2 and state["cameras"]:
                        break
            assert set(state["platforms"]) == {"UAV_1", "UAV_2"}
            one = state["cameras"][0]
            async with session.get(f"{page}camera/{one['platform']}/{one['channel']}") as answer:
                assert (await answer.read())[:2] == b"\xff\xd8"
            async with session.get(f"{page}camera/nobody/none") as answer:
                assert answer.status == 404
            async with session.get(page + "live", headers={"Origin": "http://evil.example"}) as answer:
                assert answer.status == 403

    with served(folder) as page:
        asyncio.run(look(page))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_in_a_browser_shows_moving_tracks_and_survives_a_reconnect(folder: Path, tmp_path: Path) -> None:
    from headless import Browser

    port = free_ports()

    async def look() -> None:
        async with Browser(str(CHROMIUM), tmp_path) as browser:
            with served(folder, port) as address:
                await browser.open(address)
                await browser.until("document.querySelectorAll('#platforms tbody tr').length === 2", SECONDS)
                await browser.until("document.querySelector('#cameras img')?.naturalWidth > 0", SECONDS)
                await browser.until("state.common.some(known => known.trail.length > 2)", SECONDS)
                await browser.key("1")
                await browser.until("[...trails.values()].some(t => t.length > 2 && t[0][0] !== t.at(-1)[0])", SECONDS)
                assert await browser.run("chosenScene().boxes.some(box => box.id)")
                await browser.key("2")
                assert await browser.run("chosen") == "UAV_2"
                await browser.key("ArrowLeft")  # from now on the map is not fitted to what comes and goes
                before = await browser.run("viewport.scale")
                await browser.key("+")
                assert await browser.run("viewport.scale") == pytest.approx(1.25 * before)
                await browser.key("?")
                assert await browser.run("!document.getElementById('keys').hidden")
                alone = (
                    "update({...state, platforms: {UAV_1: state.platforms.UAV_1}})"  # as of a server that just started
                )
                shown = await browser.run(f"{alone}; showAge(); document.getElementById('connection').textContent")
                assert shown == "NOT LIVE: UAV_2 is not seen" and await browser.run("chosen") == "UAV_2"
                assert browser.complaints == [], browser.complaints
            await browser.until("document.getElementById('connection').textContent !== 'live'", SECONDS)
            with served(folder, port):
                await browser.until("document.getElementById('connection').textContent === 'live'", SECONDS)
                await browser.until("chosenScene()?.time > 0", SECONDS)  # the new server has yet to receive the fleet
                assert await browser.run("chosen") == "UAV_2"  # also where UAV_1 came first
                then = await browser.run("chosenScene()?.time ?? 0")
                await browser.until(f"chosenScene()?.time > {then}", SECONDS)
        lost = ("WebSocket", "ERR_CONNECTION", "Failed to load resource")  # that it was gone may be said
        assert [one for one in browser.complaints if not any(word in one for word in lost)] == []

    asyncio.run(look())


def test_a_fleet_ends_when_told_and_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    processes = [node["pid"] for node in fleet_state(folder / "state")["nodes"].values()]
    assert main(["fleet", "down", str(folder / "fleet.yaml")]) == 0
    assert all(map(has_ended, processes))
    assert main(["fleet", "down", str(folder / "fleet.yaml")]) == 0
    assert capsys.readouterr().out.split("\n")[:2] == ["ended", "nothing was running"]
    assert main(["fleet", "status", str(folder / "fleet.yaml")]) == 0
    assert "not running" in capsys.readouterr().out


def test_nodes_end_with_a_supervisor_that_was_killed(folder: Path) -> None:
    assert main(["fleet", "up", str(folder / "fleet.yaml"), "--detach"]) == 0
    state = fleet_state(folder / "state")
    os.kill(state["supervisor"], signal.SIGKILL)
    processes = [node["pid"] for node in state["nodes"].values()]

    until(lambda: all(map(has_ended, processes)), "no node is left")
    assert supervisor_pid(folder / "state") is None


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("name: x\nplatforms: [A, B]\nnode: {perceiver: {kind: ground_trut}}\n")
    assert main(["fleet", "up", str(file)]) == 2
    assert "node A: no perceiver 'ground_trut', did you mean 'ground_truth'?" in capsys.readouterr().err
    assert main(["fleet", "status", str(tmp_path / "nothing.yaml")]) == 2
    assert main(["fleet", "dashboard"]) == 2
    assert "no fleet is named" in capsys.readouterr().err
    assert main(["fleet", "dashboard", "--fleet", "x", "--connect", "tcp/192.168.7.7:1"]) == 2
    assert "in the clear" in capsys.readouterr().err
    node = tmp_path / "node.yaml"
    node.write_text(
        "name: A\nsource: {path: x}\nperceiver: {kind: ground_truth}\ntransport: {listen: ['tcp/0.0.0.0:0']}\n"
    )
    assert main(["node", str(node)]) == 2
    assert "in the clear" in capsys.readouterr().err


def test_a_page_for_everybody_must_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fleet", "dashboard", "--fleet", "x", "--connect", "tcp/127.0.0.1:1", "--host", "0.0.0.0"]
    assert main(arguments) == 2
    assert "lets anybody watch" in capsys.readouterr().err


def test_each_node_gets_its_own_part_of_the_configuration(tmp_path: Path) -> None:
    node = {"source": {"path": "x"}, "perceiver": {"kind": "ground_truth"}, "options": {"max_wait": 0.1}}
    changes = {"B": {"options": {"max_time_offset": 0.3}, "perceiver": {"kind": "late_fusion", "weights": "w"}}}
    config = FleetConfig("x", ["A", "B"], node, changes, 9000, str(tmp_path))
    contents = node_contents(config, tmp_path)
    assert contents["A"]["transport"] == {"listen": ["tcp/127.0.0.1:9000"], "connect": ["tcp/127.0.0.1:9001"]}
    assert contents["B"]["perceiver"] == {"kind": "late_fusion", "weights": "w"}
    assert contents["B"]["options"] == {"max_wait": 0.1, "max_time_offset": 0.3} and contents["B"]["platform_id"] == 2
    with pytest.raises(ValueError, match="none of the platforms"):
        FleetConfig("x", ["A"], {}, {"C": {}})
    with pytest.raises(ValueError, match="different names"):
        FleetConfig("x", ["A", "A"])


def test_shipped_configurations_are_right(repository: Path) -> None:
    for path in sorted((repository / "configs" / "fleet").glob("*.yaml")):
        config = load_config_file(path, FleetConfig)
        assert path.stem == config.name and len(node_contents(config, path.parent)) == 4


def test_keys_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "keys", str(tmp_path / "keys"), "UAV_1", "--viewer", "viewer", "--host", "192.168.1.7"]) == 0
    assert "keys for UAV_1, viewer" in capsys.readouterr().out
    assert (tmp_path / "keys" / "viewer" / "certificate.pem").exists()
    assert main(["fleet", "keys", str(tmp_path / "keys"), "a/b"]) == 2


def test_a_supervisor_holds_its_lock(tmp_path: Path) -> None:
    config = FleetConfig(
        "x",
        ["A"],
        {"source": {"path": "nothing"}, "perceiver": {"kind": "ground_truth"}},
        {},
        9000,
        str(tmp_path / "state"),
    )
    one = Supervisor(config)
    assert supervisor_pid(tmp_path / "state") == os.getpid()
    with pytest.raises(ValueError, match="runs already"):
        Supervisor(config)
    one.end()
    assert supervisor_pid(tmp_path / "state") is None


def test_what_nodes_need_is_imported_before_they_are_forked() -> None:
    program = (
        "import sys, skyweave.fleet.supervisor.preload;"
        "needed = {'torch', 'zenoh', 'skyweave.fleet.supervisor.runtime', 'skyweave.fleet.sinks.publisher'};"
        "print(needed - set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.strip() == b"set()"


@pytest.mark.parametrize("command", ["status", "down"])
def test_a_look_at_a_fleet_needs_no_model(command: str, tmp_path: Path, repository: Path) -> None:
    config = str(repository / "configs" / "fleet" / "crossing.yaml")
    code = (
        "import sys; from skyweave.cli.main import main; import skyweave.fleet.supervisor.supervisor; "
        f"main(['fleet', '{command}', {config!r}]); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False"
