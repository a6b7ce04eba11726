"""Archives: each scene once, whatever is killed; what fails is named; what is done is known."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fabricated_archive import Capitals, InlinePool, Unloadable, plan_texts, write_texts
from skyweave.core.errors import ConfigError, DataError, SkyweaveError
from skyweave.inference.archive import ListPart, SceneOutcome, plan_jobs, read_scene_list, run_archive
from skyweave.inference.archive.process_pool import ProcessPool
from skyweave.inference.archive.scene_list import name_scene
from waiting import until

HOSTILE = ["a", "damaged", "b", "deadly", "c", "fault", "deadly once", "d"]


def written(log: Path) -> list[str]:
    return sorted(log.read_text().split()) if log.exists() else []


def test_hostile_scenes_are_named_and_the_rest_is_delivered(tmp_path: Path) -> None:
    paths, out, log = write_texts(tmp_path / "in", HOSTILE), tmp_path / "out", tmp_path / "log"
    seen: list[float] = []
    jobs = plan_texts(paths, out)
    pool = ProcessPool(Capitals(log), 2)
    report = run_archive(jobs, pool, out, retries=1, progress=lambda what, done, total: seen.append(done / total))
    assert (report.computed, report.lost, report.is_complete) == (5, 3, True)
    reasons = {row["name"]: row["failures"][0] for row in report.failed}
    assert reasons["scene-01"] == "it is damaged" and "2 times" in reasons["scene-03"]
    assert reasons["scene-05"] == "ValueError: a library's fault"
    assert all(row["attempts"] == 2 for row in report.failed)
    assert "Traceback" in next(row["trace"] for row in report.failed if row["name"] == "scene-05")
    assert json.loads((out / "report.json").read_text())["failed"] == report.failed
    assert written(log) == ["scene-00", "scene-02", "scene-04", "scene-06", "scene-07"]
    assert sorted(path.read_text() for path in out.glob("*.out")) == ["A", "B", "C", "D", "RECOVERED"]
    assert seen[0] == 0 and abs(seen[-1] - 1) < 0.01


def run_inline(
    paths: list[Path], out: Path, log: Path, made_by: str = "capitals", part: ListPart | None = None
) -> list[str]:
    """Return the scenes that were written by a run."""
    log.unlink(missing_ok=True)
    run_archive(plan_texts(paths, out, made_by), InlinePool(Capitals(log)), out, part)
    return written(log)


def test_what_is_done_is_known_by_what_it_was_made_from(tmp_path: Path) -> None:
    paths, out, log = write_texts(tmp_path / "in", ["a", "b", "holes"]), tmp_path / "out", tmp_path / "log"
    assert len(run_inline(paths, out, log)) == 3
    holes = ["scene-02"]  # written with a part missing, which is tried again
    assert run_inline(paths, out, log) == holes
    paths[0].write_text("other")
    assert run_inline(paths, out, log) == ["scene-00", *holes]
    (out / "scene-01.out").unlink()
    assert run_inline(paths, out, log) == ["scene-01", *holes]
    (out / "scene-01.out").write_text("cut")
    assert run_inline(paths, out, log) == ["scene-01", *holes]
    assert len(run_inline(paths, out, log, made_by="other weights")) == 3
    assert len(run_inline(paths, out, log)) == 3
    journal = out / ".archive" / "journal.jsonl"
    journal.write_text(journal.read_text()[:-30])  # the last line was cut off by a power cut
    assert run_inline(paths, out, log) == holes


def test_parts_are_all_scenes_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths, out, log = write_texts(tmp_path / "in", list("abcdefg")), tmp_path / "out", tmp_path / "log"
    parts = [run_inline(paths, out, log, part=ListPart(number, 3)) for number in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == [f"scene-{number:02d}" for number in range(7)]
    assert [len(part) for part in parts] == [3, 2, 2]
    assert run_inline(paths, out, log) == []
    notes: list[str] = []
    run_archive(plan_texts(paths[1:], out), InlinePool(Capitals(log)), out, ListPart(1, 3), on_note=notes.append)
    assert len(notes) == 2 and "part 2/3 worked on another list" in notes[0]
    for text, message in (("0/3", "numbered from 1"), ("4/3", "no part 4/3"), ("1", "such as 3/40"), ("a/b", "3/40")):
        with pytest.raises(ConfigError, match=message):
            ListPart.parse(text)


def test_two_processes_do_not_work_on_one_part(tmp_path: Path) -> None:
    paths, out = write_texts(tmp_path / "in", ["a"]), tmp_path / "out"

    class Second(InlinePool):
        def __enter__(self) -> InlinePool:
            with pytest.raises(ConfigError, match="another process works on the scenes"):
                run_archive(plan_texts(paths, out), InlinePool(Capitals(tmp_path / "log")), out)
            return super().__enter__()

    assert run_archive(plan_texts(paths, out), Second(Capitals(tmp_path / "log")), out).computed == 1


def test_a_full_disk_ends_the_run_and_the_same_run_goes_on(tmp_path: Path) -> None:
    paths, out, log = write_texts(tmp_path / "in", ["a", "b"]), tmp_path / "out", tmp_path / "log"

    class Full(InlinePool):
        def wait(self) -> list[tuple[int, SceneOutcome | float | None]]:
            reports = super().wait()
            if self._number_written() == 1:
                return reports
            return [(0, SceneOutcome(None, "no space left", is_disk_error=True))]

        def _number_written(self) -> int:
            return len(written(log))

    with pytest.raises(OSError, match=r"scene-01.out: no space left; free some space"):
        run_archive(plan_texts(paths, out), Full(Capitals(log)), out)
    assert not json.loads((out / "report.json").read_text())["is_complete"]
    assert run_inline(paths, out, log) == ["scene-01"]


def test_a_model_that_cannot_be_loaded_ends_the_run(tmp_path: Path) -> None:
    jobs = plan_texts(write_texts(tmp_path / "in", ["a"]), tmp_path / "out")
    with pytest.raises(SkyweaveError, match="no such weights"):
        run_archive(jobs, ProcessPool(Unloadable(), 1), tmp_path / "out")


HEAD = """
import sys
from pathlib import Path
from fabricated_archive import Capitals, plan_texts
from skyweave.inference.archive import run_archive
from skyweave.inference.archive.process_pool import ProcessPool
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    jobs = plan_texts(sorted((folder / "in").glob("*.txt")), folder / "out")
    run_archive(jobs, ProcessPool(Capitals(folder / "log", folder / "gate"), 2), folder / "out")
"""


def test_a_killed_head_loses_nothing_and_leaves_no_worker(tmp_path: Path) -> None:
    paths, script = write_texts(tmp_path / "in", ["a", "b", "gated", "gated"]), tmp_path / "head.py"
    journal = tmp_path / "out" / ".archive" / "journal.jsonl"
    script.write_text(HEAD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment) as head:
        until(lambda: journal.exists() and journal.read_text().count("\n") == 3, "a list and two scenes")
        workers = children_of(head.pid)
        head.send_signal(signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers end with their head")
    assert run_inline(paths, tmp_path / "out", tmp_path / "log") == ["scene-02", "scene-03"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".archive", "report.json", *(f"scene-0{number}.out" for number in range(4)),
    ]  # fmt: skip


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("2023/a.tif", "2024/a.tif", "2024/b.tif"):
        (tmp_path / "scenes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scenes" / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    matched = read_scene_list("scenes/**/*.tif")
    assert [scene.folder for scene in matched] == ["2023", "2024", "2024"]
    (tmp_path / "list.txt").write_text("scenes/2024/a.tif\tscenes/2024/b.tif\r\n\ns3://bucket/c.tif?x=1\n")
    pair, remote = read_scene_list("list.txt")
    assert pair.inputs == (str(tmp_path / "scenes/2024/a.tif"), str(tmp_path / "scenes/2024/b.tif"))
    assert remote.inputs == ("s3://bucket/c.tif?x=1",) and remote.folder == "bucket"
    monkeypatch.setattr(sys, "stdin", io.StringIO("scenes/2024/a.tif\n"))
    assert read_scene_list("-")[0].folder == "scenes/2024"

    with pytest.raises(ConfigError, match=r"2023/a.tif and .*2024/a.tif would both be out/a.tif; add --keep-folders"):
        plan_jobs(matched, Path("out"), ".tif", "")
    jobs = plan_jobs([*matched, matched[0]], Path("out"), ".tif", "", keep_folders=True)
    assert [str(job.output) for job in jobs] == ["out/2023/a.tif", "out/2024/a.tif", "out/2024/b.tif"]
    assert [job.size for job in jobs] == [10, 10, 10]
    with pytest.raises(ConfigError, match="lies among the outputs"):
        plan_jobs(matched, Path("scenes"), ".tif", "")
    (tmp_path / "image.tif").write_bytes(b"II*\0")
    (tmp_path / "empty.txt").write_text("\n")
    for source, error, message in (
        ("none/*.tif", ConfigError, "no file matches none/"),
        ("scenes", ConfigError, "is a folder; name what of it: 'scenes/"),
        ("empty.txt", ConfigError, "names no scene"),
        ("image.tif", DataError, "is no list of scenes"),
        ("missing.txt", FileNotFoundError, "missing"),
    ):
        with pytest.raises(error, match=message):
            read_scene_list(source)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/S2B_MSIL2A.SAFE", "S2B_MSIL2A"),
        ("https://host/x/scene.tif?token=1", "scene"),
        ("a/LC08_{band}.TIF", "LC08"),
        ("a/v1.10m_mosaic", "v1.10m_mosaic"),
        ('NETCDF:"a/b c.nc":red', "b_c.nc_red"),
        ("a/..", "scene"),
    ],
)
def test_names(path: str, name: str) -> None:
    assert name_scene(path) == name
