"""The ordinary nuscenes-devkit opens our recordings, in an environment of its own (``make test-nuscenes``)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fabricated_recordings import CATEGORIES, scene
from skyweave.cli.main import main
from skyweave.recordings.nuscenes import finish_recording, write_scene

pytestmark = pytest.mark.interop
SCRIPT = Path("benchmarks") / "nuscenes_devkit.py"


@pytest.fixture(scope="module")
def devkit() -> str:
    """The interpreter of the devkit's environment."""
    python = os.environ.get("SKYWEAVE_NUSCENES_PYTHON")
    if not python:
        pytest.skip("run `make test-nuscenes`, which sets SKYWEAVE_NUSCENES_PYTHON")
    return str(Path(python).absolute())  # not resolved: the link is what makes it that environment


def measured(devkit: str, repository: Path, recording: Path) -> dict[str, float]:
    """What the benchmark script finds; fails where the devkit stumbles or the median is 0.6 or below."""
    command = [devkit, str(repository / SCRIPT), str(recording), "--json", "--at-least", "0.6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout, file=sys.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_a_fabricated_recording(devkit: str, repository: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_scene(tmp_path, scene(name, rows=180, columns=320), CATEGORIES)
    finish_recording(tmp_path, "fabricated", {"train": ["first"], "val": ["second"]})
    found = measured(devkit, repository, tmp_path)
    assert found["vehicles"] > 40 and found["median"] > 0.9


def test_a_simulated_recording(devkit: str, repository: Path, tmp_path: Path) -> None:
    assert (
        main(
            ["simulate", str(repository / "configs" / "world" / "crossing.yaml"), "-o", str(tmp_path), "--scenes", "3"]
        )
        == 0
    )
    assert measured(devkit, repository, tmp_path)["vehicles"] > 40


def test_metrics_are_the_devkits(devkit: str, repository: Path) -> None:
    """Detection, tracking and prediction of random and adversarial cases, to 1e-6."""
    command = [sys.executable, str(repository / "benchmarks" / "metric_parity.py"), "--devkit", devkit, "--cases", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, file=sys.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "detection" in done.stdout and "tracking" in done.stdout
