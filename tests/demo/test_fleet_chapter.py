"""The fleet at the end of the demo: it runs, is scored, is drawn, and fails clearly."""

import json
import socket
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zenoh", reason="needs skyweave[link]")

from skyweave.cli.main import main
from skyweave.demo import fleet, fleet_run
from skyweave.demo.fleet import FleetFigures, check_fleet, run_demo_fleet
from skyweave.demo.fleet_figure import BACK, PANEL, draw_fleet
from skyweave.demo.fleet_run import fleet_config, run_fleet
from skyweave.demo.report import _fleet
from skyweave.fleet.config import FleetConfig


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["perception", "collaboration"])
def test_four_processes_with_a_model_are_watched_and_scored(
    weights: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "FRAMES", 3)
    lines: list[str] = []

    def report_status(text: str) -> None:
        lines.append(text)
        if "watch it at" in text:
            with urllib.request.urlopen(text.split()[-1], timeout=10) as answer:
                assert b"<title>" in answer.read()

    shown = run_demo_fleet(
        request.getfixturevalue(weights), scored_frames=3, min_seconds=1.0, report_status=report_status
    )
    assert shown.names == ("UAV_1", "UAV_2", "UAV_3", "UAV_4") and any("watch it at" in line for line in lines)
    assert 0 < shown.scenes <= shown.expected and 0 < shown.latency[0] <= shown.latency[1]
    assert all(0 < sent <= shown.budget for sent in shown.bytes_sent.values())
    assert all(np.isfinite(value) for value in shown.figures().values())
    page = _fleet(shown)
    assert shown.features == ("coded features" in page) == (weights == "collaboration")
    assert "4 processes" in page and "data:image/png" in page and "UAV_4" in page


def test_a_port_that_is_taken_and_a_library_that_is_missing_are_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "-o", str(tmp_path / "demo"), "--port", str(port)]) == 2
        assert f"port {port} is taken" in capsys.readouterr().err
    check_fleet(port)
    monkeypatch.setitem(sys.modules, "zenoh", None)
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 2
    assert "needs zenoh: pip install 'skyweave[geo,link]'" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_node_that_does_not_stay_up_ends_the_wait(tmp_path: Path) -> None:
    config = fleet_config(("UAV_1", "UAV_2"), tmp_path, "late_fusion", "ground_truth", 0.5, 1000)
    broken = FleetConfig(**{**vars(config), "node": {**config.node, "perceiver": {"kind": "ground_truth"}}})
    with pytest.raises(ValueError, match=r"UAV_\d does not stay up.*recording"), run_fleet(broken):
        raise AssertionError("it cannot run without a recording")


def test_silence_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_run, "MAX_RESTARTS", 10**6)
    config = fleet_config(("UAV_1",), tmp_path, "late_fusion", "ground_truth", 0.5, 1000)
    began = time.monotonic()
    silence = pytest.raises(TimeoutError, match=r"no fused scene of UAV_1 in 1 s\. UAV_1 said last")
    with silence, run_fleet(config, within=1.0):
        raise AssertionError("it cannot run without a recording")
    assert time.monotonic() - began < 30


def test_a_fleet_is_drawn_as_its_page_draws_it() -> None:
    view = {"position": [0, 0, 30], "footprint": [[0, 0], [20, 0], [20, 20]], "channel": "A"}
    box = {"category": "car", "centre": [10, 10, 1], "size": [4.5, 2, 1.5], "yaw": 0.5, "id": "1"}
    one = {
        "latency": 0.2, "boxes": [box], "forecasts": [{"category": "car", "path": [[10, 10], [11, 10], [12, 10]]}],
        "views": [view], "peer_frames": {"B": {}}, "rates": {"B": 1000.0},
    }  # fmt: skip
    other = {**one, "boxes": [], "views": [{**view, "position": [40, 30, 30]}], "peer_frames": {"A": {}}}
    state = json.loads(json.dumps({"fleet": "x", "platforms": {"A": one, "B": other}, "cameras": []}))
    picture = draw_fleet(state, lambda platform, channel: None, (800, 400))
    assert picture.shape == (400, 800, 3) and picture.dtype == np.uint8
    stage = picture[:, : 800 - PANEL]
    drawn = (np.abs(stage.astype(int) - BACK).sum(-1) > 40).mean()
    assert 0.005 < drawn < 0.5
    empty = draw_fleet({"fleet": "x", "platforms": {}, "cameras": []}, lambda platform, channel: None, (800, 400))
    assert (empty[:, : 790 - PANEL] == BACK).all()


def test_figures_are_plain_numbers() -> None:
    shown = FleetFigures(
        ("A",), True, 0.5, np.zeros((2, 2, 3), np.uint8), "", 0.1, 0.3, 0.3, 4, 4, 3.0,
        {"A": 400.0}, 4000, (0.1, 0.2), 5, 8,
    )  # fmt: skip
    assert json.loads(json.dumps(shown.figures()))["bytes a frame"] == 400
