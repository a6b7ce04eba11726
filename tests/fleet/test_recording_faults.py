"""What becomes of a recording when the disk fills, the process is killed or the power goes."""

import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from skyweave.core.errors import FleetError
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.sinks.recorder import RecordingSession
from small_disk import failing_disk, mounted_disk

pytest.importorskip("mcap_protobuf", reason="needs skyweave[record]")
from skyweave.fleet.sinks import recorder as recorder_module
from skyweave.fleet.sinks.mcap import record_mcap
from skyweave.fleet.sinks.mcap_reading import read_recorded_messages
from skyweave.fleet.sinks.replay import replay

TOPIC = "skyweave/test/result/UAV_1/numbers"


def record_numbers(path: Path, seconds: float, interval: float = 0.005, size: int = 2000) -> None:
    """Record messages that hold their number and time, and hardly compress."""
    hub, stop = LoopbackNetwork(), threading.Event()
    sender, sealer = hub.join(), EnvelopeSealer(None, wall_clock)

    def publish() -> None:
        for number in itertools.count():
            if stop.wait(interval):
                return
            content = {"number": number, "time": time.time_ns(), "filler": os.urandom(size).hex()}
            sender.publish(TOPIC, sealer.seal(TOPIC, json.dumps(content).encode()))

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        record_mcap(path, RecordingSession("test", hub.join(), threading.Event(), seconds))
    finally:
        stop.set()
        thread.join()


def numbers(path: Path) -> list[int]:
    """Numbers of the messages of a recording, none of which is missing in between."""
    found = [json.loads(message.data)["number"] for message in read_recorded_messages(path)]
    assert found == list(range(found[0], found[0] + len(found)))
    return found


def test_a_recording_that_was_killed_is_readable_to_its_last_second(tmp_path: Path) -> None:
    file = tmp_path / "flight.mcap"
    process = multiprocessing.get_context("fork").Process(target=record_numbers, args=(file, 60.0))
    process.start()
    time.sleep(1.8)
    killed = time.time_ns()
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert not file.exists()
    partial = tmp_path / "flight.partial.mcap"
    found = list(read_recorded_messages(partial))
    last = json.loads(found[-1].data)["time"]
    assert len(numbers(partial)) == len(found) and killed - last < 1e9
    heard: list[str] = []
    hub = LoopbackNetwork()
    hub.join().subscribe("skyweave/**", lambda topic, message: heard.append(topic))
    assert replay(partial, hub.join(), threading.Event(), speed=1e6).played == len(found) == len(heard)


def test_a_recording_that_power_loss_cut_off_anywhere_is_read_up_to_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "SAVE_INTERVAL_S", 0.05)
    file = tmp_path / "flight.mcap"
    record_numbers(file, 0.8)
    assert list(tmp_path.iterdir()) == [file]
    whole, content = numbers(file), file.read_bytes()
    assert len(whole) > 20
    counts = []
    for length in range(len(content) // 3, len(content), 20_011):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(content[:length] + bytes(5000 * (length % 2)))  # some file systems leave zeros
        found = numbers(cut)
        assert found == whole[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts) and counts[0] > 0
    file.write_bytes(content[:20])
    with pytest.raises(FleetError, match="cut off"):
        numbers(file)


def test_a_full_disk_ends_a_recording_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "SAVE_INTERVAL_S", 0.05)
    with mounted_disk(tmp_path / "disk", 600_000) as disk:
        file = disk / "flight.mcap"
        record_numbers(file, 0.2)
        before = file.read_bytes()
        with pytest.raises(FleetError, match=r"flight\.mcap: No space left on device; .*flight\.partial\.mcap holds"):
            record_numbers(file, 30.0, interval=0.002)
        assert file.read_bytes() == before, "the whole one from before is kept"
        found = numbers(disk / "flight.partial.mcap")
        assert len(found) > 50
        with pytest.raises((OSError, FleetError), match="No space left"):
            record_numbers(disk / "flight.mcap", 1.0)
        assert numbers(disk / "flight.partial.mcap") == found, "the unfinished one, too"


@pytest.mark.parametrize(("fault", "message"), [("turn_read_only", "Read-only file system"), ("fail", "Input/output")])
def test_a_disk_that_fails_ends_a_recording_and_what_it_has_is_read(tmp_path: Path, fault: str, message: str) -> None:
    with failing_disk(tmp_path / "failing") as disk:
        timer = threading.Timer(0.8, getattr(disk, fault))
        timer.start()
        with pytest.raises(FleetError, match=message):
            record_numbers(disk.path / "flight.mcap", 30.0)
        failed = time.time_ns()
        timer.join()
        disk.repair()
        partial = disk.path / "flight.partial.mcap"
        assert len(numbers(partial)) > 20
        last = json.loads(list(read_recorded_messages(partial))[-1].data)["time"]
        assert failed - last < 2.5e9, "what came up to half a second before, and a busy machine"
