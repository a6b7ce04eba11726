"""A recording on the live page: gone through with a slider, with what happened in it, and without a network."""

import asyncio
import json
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("zenoh", reason="needs skyweave[link]")
pytest.importorskip("mcap_protobuf", reason="needs skyweave[record]")

from aiohttp import ClientSession
from mcap.writer import Writer

from fabricated_page import NOW, SECONDS, SILENT, write_recording
from skyweave.core.errors import FleetError
from skyweave.core.http_server import LOCAL_HOST, serve_in_thread
from skyweave.fleet.dashboard.page_server import create_app
from skyweave.fleet.dashboard.replay_player import ReplayPlayer
from skyweave.fleet.sinks.recording_index import RecordingIndex


@pytest.fixture
def player(tmp_path: Path) -> ReplayPlayer:
    return ReplayPlayer(write_recording(tmp_path / "fleet.mcap"))


def position(player: ReplayPlayer) -> float:
    return float(player.state.json_content()["replay"]["position"] - NOW)


def go_to(player: ReplayPlayer, seconds: float) -> dict[str, Any]:
    player.control(json.dumps({"seek": NOW + seconds, "playing": False}))
    player.step(0.05)
    player.state.check()
    return player.state.json_content()


def test_any_time_can_be_gone_to(player: ReplayPlayer) -> None:
    for seconds in (35.0, 3.2, 12.0):
        content = go_to(player, seconds)
        assert content["time"] == pytest.approx(NOW + seconds)
        known = content["common"][0]
        assert known["centre"][0] == pytest.approx(2 * (seconds // 0.5) / 2, abs=1e-3)
        assert known["tracks"] == {"UAV_1": "1", "UAV_2": "1"}
        assert known["trail"][0][2] >= NOW + seconds - 8.6 and len(known["trail"]) >= 6
        assert max(content["age"].values()) < 0.7
    assert go_to(player, 1e6)["time"] == pytest.approx(NOW + SECONDS - 0.5)
    assert go_to(player, -5.0)["time"] == pytest.approx(NOW)


def test_what_happened_is_known_as_of_the_time_that_is_shown(player: ReplayPlayer) -> None:
    replay = go_to(player, 5.0)["replay"]
    assert [(time - NOW, severity) for time, severity in replay["marks"]] == [(21.5, "alarm")]
    assert [event["kind"] for event in go_to(player, 5.0)["events"]] == ["joined", "joined"]
    content = go_to(player, 25.0)
    assert (content["events"][0]["kind"], content["events"][0]["standing"]) == ("lost", True)
    assert [lost["platform"] for lost in content["lost"]] == ["UAV_2"]
    content = go_to(player, 35.0)
    assert [event["kind"] for event in content["events"][:2]] == ["back", "lost"] and not content["lost"]


def test_it_plays_at_any_speed_and_from_its_end_again(player: ReplayPlayer) -> None:
    player.step(0.0)
    player.step(2.0)
    assert position(player) == pytest.approx(2.0, abs=1e-3)
    player.control('{"speed": 4}')
    player.step(2.0)
    assert position(player) == pytest.approx(10.0, abs=1e-3)
    player.control('{"playing": false}')
    player.step(5.0)
    assert position(player) == pytest.approx(10.0, abs=1e-3)
    player.control('{"playing": true}')
    player.step(100.0)
    assert position(player) == SECONDS - 0.5 and not player.playing
    player.control('{"playing": true}')
    player.step(0.0)
    assert position(player) == pytest.approx(0.0) and player.playing


WRONG_CONTROLS = [
    "",
    "{",
    "[1]",
    '{"seek": "x"}',
    '{"speed": 0}',
    '{"seek": 1e300}',
    "[" * 250,
    '{"seek": 1}' + " " * 300,
]


@pytest.mark.parametrize("message", WRONG_CONTROLS)
def test_what_is_no_control_changes_nothing(message: str, player: ReplayPlayer) -> None:
    player.control('{"playing": false}')
    before = player.json_content()
    player.control(message)
    player.step(0.1)
    assert player.json_content() == before


def test_files_that_are_cut_off_play_to_the_cut_and_others_are_refused(tmp_path: Path) -> None:
    whole = write_recording(tmp_path / "whole.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(whole[: len(whole) // 2])
    player = ReplayPlayer(tmp_path / "cut.mcap")
    assert 5 < player.end - player.begin < 30
    assert go_to(player, 4.0)["common"]
    (tmp_path / "no.mcap").write_bytes(b"nothing of the kind")
    with pytest.raises(FleetError, match="no MCAP file"):
        ReplayPlayer(tmp_path / "no.mcap")
    with (tmp_path / "other.mcap").open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        writer.add_message(writer.register_channel("/tf", "protobuf", 0), 5, b"\0", 5)
        writer.finish()
    with pytest.raises(FleetError, match="no messages of a fleet"):
        ReplayPlayer(tmp_path / "other.mcap")


def test_an_index_gives_every_message_once_whatever_the_chunks(tmp_path: Path) -> None:
    index = RecordingIndex(write_recording(tmp_path / "x.mcap", chunk_size=700))
    scanned = [message for message, _ in index.scan()]
    middle = (index.begin + index.end) // 2
    parts = [*index.between(index.begin - 1, middle), *index.between(middle, index.end)]
    assert sorted(parts) == sorted(scanned) and len(parts) == 2 * SECONDS * 3 - 2 * len(SILENT)
    assert all(earlier.time <= later.time for earlier, later in pairwise(parts))


def test_a_recording_that_begins_with_messages_is_indexed_from_there(tmp_path: Path) -> None:
    """The magic before them was taken for a record, and what reads it raised."""
    content = write_recording(tmp_path / "x.mcap").read_bytes()
    header_bytes = 9 + int.from_bytes(content[9:17], "little")
    (tmp_path / "x.mcap").write_bytes(content[:8] + content[8 + header_bytes :])
    index = RecordingIndex(tmp_path / "x.mcap")
    scanned = [message for message, _ in index.scan()]
    assert sorted(index.between(index.begin - 1, index.end)) == sorted(scanned)


def test_the_page_plays_it_and_obeys(player: ReplayPlayer) -> None:
    stop = threading.Event()
    playing = threading.Thread(target=player.run, args=(stop,))

    async def look(address: str) -> None:
        async def until(socket: Any, done: Callable[[Any], bool]) -> None:
            async with asyncio.timeout(60):
                while not done(json.loads(await socket.receive_str())):
                    pass

        async with ClientSession() as session, session.ws_connect(address + "live") as socket:
            await socket.send_str(json.dumps({"seek": NOW + 25, "playing": False}))
            await until(socket, lambda state: abs(state["replay"]["position"] - NOW - 25) < 0.01)
            await socket.send_str(json.dumps({"playing": True, "speed": 8}))
            await until(socket, lambda state: state["replay"]["position"] > NOW + 26)

    playing.start()
    try:
        with serve_in_thread(create_app(player.state, control=player.control), LOCAL_HOST, 0) as address:
            asyncio.run(look(address))
    finally:
        stop.set()
        playing.join()
