"""Sources, sinks, transports and perceivers from a package of its own: the YAML of a node names them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("zenoh", reason="needs skyweave[link]")

from skyweave.core import registry
from skyweave.core.config import config_from_dict, load_config_file
from skyweave.core.errors import ConfigError
from skyweave.fleet.config import NodeConfig

PACKAGE = '''
"""A camera that sees grey, a sink that counts, and a transport that goes nowhere."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.fleet import (
    LoopbackNetwork, SinkConfig, SourceConfig, TransportConfig, WorldFrame, frame_from_capture, schedule_ticks,
)
from skyweave.recordings.recording import Capture


@dataclass(frozen=True)
class GreySourceConfig(SourceConfig):
    height: float
    interval: float = 0.1

    def build(self, context):
        return GreySource(self, context.platform)


class GreySource:
    def __init__(self, config, platform):
        self.config, self.platform, self.world_frame = config, platform, WorldFrame("EPSG:32632")

    def frames(self, clock, stop):
        camera = PinholeCamera.from_field_of_view(1.0, 24, 32)
        pose = camera_pose(np.array([690_000.0, 5_330_000.0, self.config.height]), 0.0, 1.0, 0.0)
        geometry = CameraGeometry(camera, pose, "EPSG:32632", self.platform)
        pixels = np.full((3, 24, 32), 90, np.float32)
        load = lambda: Observation.from_pixels(pixels, get_sensor("rgb"), 0.1, geometry=geometry, source="grey")
        for tick in schedule_ticks(clock, stop, self.config.interval):
            yield frame_from_capture(Capture("GREY", self.platform, 0, geometry, load), tick * 100_000_000)


@dataclass(frozen=True)
class CountingSinkConfig(SinkConfig):
    path: str

    def build(self, node):
        return CountingSink(self.path)


class CountingSink:
    def __init__(self, path):
        self.path, self.count = Path(path), 0

    def write(self, published):
        self.count += 1
        self.path.write_text(f"{self.count} scenes of {published.json_content['views'][0]['channel']}")

    def close(self):
        pass


@dataclass(frozen=True)
class NowhereConfig(TransportConfig):
    def build(self, membership):
        return LoopbackNetwork().join()
'''

ENTRY_POINTS = """
[skyweave.sources]
grey = fleet_neighbour:GreySourceConfig
[skyweave.sinks]
counting = fleet_neighbour:CountingSinkConfig
[skyweave.transports]
nowhere = fleet_neighbour:NowhereConfig
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that is installed in a folder of its own."""
    folder = tmp_path / "site"
    info = folder / "fleet_neighbour-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "fleet_neighbour.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fleet-neighbour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder)
    registry._installed.cache_clear()
    yield folder
    registry._installed.cache_clear()
    sys.modules.pop("fleet_neighbour", None)


def node_yaml(folder: Path, transport: object) -> dict[str, object]:
    return {
        "name": "UAV_1",
        "source": {"kind": "grey", "height": 40.0},
        "perceiver": {"kind": "ground_truth"},
        "transport": transport,
        "sinks": ["scene", {"kind": "counting", "path": str(folder / "count.txt")}],
        "max_frames": 3,
    }


@pytest.mark.parametrize("transport", ["zenoh", "nowhere"])
def test_a_node_process_runs_what_a_package_adds(package: Path, tmp_path: Path, transport: str) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(yaml.safe_dump(node_yaml(tmp_path, transport)))
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    finished = subprocess.run(
        [sys.executable, "-m", "skyweave", "node", str(file), "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["frames"] == 3
    assert (tmp_path / "count.txt").read_text() == "3 scenes of GREY"


def test_what_is_wrong_with_an_added_kind_is_named(package: Path, tmp_path: Path) -> None:
    content = node_yaml(tmp_path, "zenoh")
    file = tmp_path / "node.yaml"
    for source, message in (
        ({"kind": "grey", "hieght": 40.0}, r"node\.yaml: unknown key 'hieght'; did you mean 'height'\?.*\$\.source"),
        ({"kind": "grei", "height": 40.0}, "no image source 'grei', did you mean 'grey'"),
        ({"kind": "grey", "height": "high"}, r"Expected `float`.*\$\.height.*\$\.source"),
        ({"kind": "grey"}, "missing required field `height`"),
    ):
        file.write_text(yaml.safe_dump({**content, "source": source}))
        with pytest.raises(ConfigError, match=message):
            load_config_file(file, NodeConfig)
    with pytest.raises(
        ConfigError, match="a sink needs a kind; there are scene, geojson, ros, cameras, file, counting"
    ):
        config_from_dict({**content, "sinks": [{"path": "x"}]}, NodeConfig)
