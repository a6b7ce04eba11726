"""An archive on a real Ray cluster of this machine: two actors, one that is killed, and a head that is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fabricated_archive import Capitals, InlinePool, plan_texts, write_texts
from skyweave.core.errors import ConfigError
from skyweave.inference.archive import run_archive
from skyweave.inference.archive.ray_pool import RayPool
from waiting import until

pytest.importorskip("ray")
pytestmark = pytest.mark.interop

HEAD = """
import sys
from pathlib import Path
from fabricated_archive import Capitals, plan_texts
from skyweave.inference.archive import run_archive
from skyweave.inference.archive.ray_pool import RayPool
folder = Path(sys.argv[1])
jobs = plan_texts(sorted((folder / "in").glob("*.txt")), folder / "out")
run_archive(jobs, RayPool(Capitals(folder / "log", folder / "gate"), 2, "local"), folder / "out")
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let actors import what tests share."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


def written(log: Path) -> list[str]:
    return sorted(log.read_text().split()) if log.exists() else []


def test_hostile_scenes_and_a_killed_actor(tmp_path: Path) -> None:
    texts = ["a", "damaged", "b", "deadly", "c", "deadly once", *"defgh"]
    out, log = tmp_path / "out", tmp_path / "log"
    jobs = plan_texts(write_texts(tmp_path / "in", texts), out)
    report = run_archive(jobs, RayPool(Capitals(log), 2, "local"), out, retries=1)
    assert [row["name"] for row in report.failed] == ["scene-01", "scene-03"] and report.computed == 9
    assert "ended without a word, 2 times" in report.failed[1]["failures"][0]
    assert len(written(log)) == 9 == len(list(out.glob("*.out")))


def test_a_killed_head_loses_nothing(tmp_path: Path) -> None:
    out, log, journal = tmp_path / "out", tmp_path / "log", tmp_path / "out" / ".archive" / "journal.jsonl"
    paths = write_texts(tmp_path / "in", [*"abcd", *["gated"] * 4])
    script = tmp_path / "head.py"
    script.write_text(HEAD)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)], stderr=subprocess.DEVNULL) as driver:
        until(lambda: journal.exists() and journal.read_text().count("\n") == 5, "a list and four scenes")
        for name, pid in children_of(driver.pid).items():
            if name in ("gcs_server", "raylet"):
                os.kill(pid, signal.SIGKILL)
        driver.send_signal(signal.SIGKILL)
    report = run_archive(plan_texts(paths, out), InlinePool(Capitals(log)), out)
    assert (report.done_before, report.computed, report.failed) == (4, 4, [])
    assert written(log) == [f"scene-{number:02d}" for number in range(8)]
    assert sorted(path.read_text() for path in out.glob("*.out")) == [*"ABCD", *["GATED"] * 4]


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    jobs = plan_texts(write_texts(tmp_path / "in", ["a"]), tmp_path / "out")
    with pytest.raises(ConfigError, match="no cluster answers there"):
        run_archive(jobs, RayPool(Capitals(tmp_path / "log"), 1, "auto"), tmp_path / "out")


def children_of(pid: int) -> dict[str, int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in children}
