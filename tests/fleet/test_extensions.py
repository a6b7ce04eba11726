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

from recipes import entry_points, recipe
from skyweave.core import registry
from skyweave.core.config import config_from_dict, load_config_file
from skyweave.core.errors import ConfigError
from skyweave.fleet.config import NodeConfig

PACKAGE = recipe("fleet_neighbour.py")

ENTRY_POINTS = entry_points("fleet_neighbour")


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
        ConfigError, match="a sink needs a kind; there are scene, geojson, ros, cameras, cot, klv, file, counting"
    ):
        config_from_dict({**content, "sinks": [{"path": "x"}]}, NodeConfig)
