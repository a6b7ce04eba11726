import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from skyweave.core import atomic_write
from skyweave.core.atomic_write import (
    claim_folder,
    remove_orphans,
    removed_when_broken_off,
    write_aside,
    write_files_aside,
    write_folder_aside,
)
from skyweave.core.errors import ConfigError
from small_disk import failing_disk


@pytest.fixture(autouse=True)
def _forget_folders() -> None:
    remove_orphans.cache_clear()


def test_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.tif"
    with write_aside(target) as aside:
        assert aside.parent == target.parent and aside.suffix == ".tif"
        aside.write_bytes(b"content")
        assert not target.exists()
    assert target.read_bytes() == b"content"
    assert list(target.parent.iterdir()) == [target]


def test_error_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")
    with pytest.raises(OSError, match="No space"), write_aside(target) as aside:
        aside.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(aside))
    assert target.read_text() == "old"
    with pytest.raises(OSError, match="No space"), write_aside(tmp_path / "new" / "folder" / "out.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == [target]


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    with pytest.raises(OSError, match="Is a directory") as caught, write_aside(target) as aside:
        open(aside.parent, "w")  # noqa: SIM115
    with pytest.raises(OSError, match="full") as caught, write_aside(target) as aside:
        raise OSError(errno.ENOSPC, "full", str(aside))
    assert caught.value.filename == str(target)
    with pytest.raises(OSError, match="full") as caught, write_aside(target) as aside:
        raise OSError(f"{aside}: full")
    assert str(caught.value) == f"{target}: full"


def test_a_writer_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"out\.bin"), write_aside(tmp_path / "out.bin"):
        pass


def test_several_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    with write_files_aside(tmp_path / "new" / "out.bin") as path:
        path.write_bytes(b"main")
        path.with_suffix(".json").write_text("{}")
        assert not list((tmp_path / "new").glob("out*"))
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["out.bin", "out.json"]
    with pytest.raises(OSError, match="No space"), write_files_aside(tmp_path / "out.bin") as path:
        path.with_suffix(".json").write_text("{}")
        raise OSError("No space")
    with pytest.raises(FileNotFoundError, match=r"did not create out\.bin"), write_files_aside(tmp_path / "out.bin"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["new"]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    target = tmp_path / "tables"
    for content in ("first", "second"):
        with write_folder_aside(target) as aside:
            (aside / content).write_text(content)
    with pytest.raises(OSError, match="No space"), write_folder_aside(target):
        raise OSError("No space")
    assert [path.name for path in target.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("write", [write_aside, write_files_aside])
def test_a_link_stays_one_and_its_file_is_replaced(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "elsewhere").mkdir()
    for name in ("there.txt", "not_there.txt"):
        target, link = tmp_path / "elsewhere" / name, tmp_path / name
        link.symlink_to(target)
        if name == "there.txt":
            target.write_text("old")
        with write(link) as aside:
            aside.write_text("new")
        assert link.is_symlink() and target.read_text() == "new" and not target.is_symlink()
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2


@pytest.mark.parametrize("write", [write_aside, write_files_aside])
def test_a_folder_is_refused_before_the_block(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(IsADirectoryError, match="name a file in it"), write(tmp_path):
        pytest.fail("the block ran")


@pytest.mark.parametrize("write", [write_aside, write_files_aside])
def test_a_device_is_written_to_and_stays(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    null, full = tmp_path / "null", tmp_path / "full"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        full.write_bytes(b"")
    except OSError:
        pytest.skip("device nodes cannot be made here")
    with write(null) as aside:
        aside.write_bytes(b"content")
    with pytest.raises(OSError, match="No space"), write(full) as aside:
        aside.write_bytes(b"content")
    assert null.is_char_device() and full.is_char_device()
    assert sorted(tmp_path.iterdir()) == [full, null]


def test_a_pipe_gets_the_content_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="No such device"), write_aside(pipe) as aside:  # nobody reads it
        aside.write_bytes(b"content")
    handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with write_aside(pipe) as aside:
        aside.write_bytes(b"content")
    assert os.read(handle, 100) == b"content" and pipe.is_fifo()
    os.close(handle)


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".tif", "é" * 125 + ".tif", "x." + "y" * 253, "-o.tif", "a\nb*?[.tif", ".hidden"]
)
def test_any_name_that_a_file_can_have(tmp_path: Path, name: str) -> None:
    with write_aside(tmp_path / name) as aside:
        aside.write_text("one")
    with write_files_aside(tmp_path / name) as aside:
        aside.write_text("two")
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "two"


def test_permissions_of_the_old_file_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "private.key"
    target.touch(mode=0o600)
    with write_aside(target) as aside:
        aside.write_text("new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_protected_file_is_refused_before_the_block(tmp_path: Path) -> None:
    (tmp_path / "good.txt").touch(mode=0o400)
    with pytest.raises(PermissionError, match="protected"), write_aside(tmp_path / "good.txt"):
        pytest.fail("the block ran")


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from skyweave.core.atomic_write import write_aside, write_files_aside
folder = Path(sys.argv[1])
with write_aside(folder / "out.tif") as one, write_files_aside(folder / "o.bin") as two:
    one.write_text("half"), two.write_text("half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".out.notes.tif").write_text("not ours")
    with write_aside(tmp_path / "being_written.txt") as aside:
        aside.write_text("whole")
        other_machine = tmp_path / aside.name.replace(atomic_write._machine(), "0" * 8).replace(str(os.getpid()), "1")
        other_machine.write_text("of somebody else")
        remove_orphans.cache_clear()
        with write_aside(tmp_path / "out.tif") as other:
            other.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.tif",
        "being_written.txt",
        ".out.notes.tif",
        other_machine.name,
    }


def test_a_folder_is_claimed_by_one_and_gone_if_nothing_came_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with (
        claim_folder(folder),
        pytest.raises(ConfigError, match="another process is writing into"),
        claim_folder(folder),
    ):
        pytest.fail("two have it")
    assert not folder.exists()
    with claim_folder(folder):
        (folder / "weights").touch()
    with claim_folder(folder):
        assert (folder / "weights").exists()


def test_of_several_writers_the_last_whole_file_stays(tmp_path: Path) -> None:
    def write(letter: str) -> None:
        for _ in range(20):
            with write_files_aside(tmp_path / "out.bin") as path:
                path.write_text(letter * 1000)
                path.with_suffix(".json").write_text(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    main, beside = (tmp_path / "out.bin").read_text(), (tmp_path / "out.json").read_text()
    assert main == beside * 1000 and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("write", [write_aside, write_files_aside])
def test_side_files_of_the_old_raster_go_with_it(tmp_path, write):
    """GDAL would read them with the new one: its overviews, its mask, its place."""
    stale = ["a.tif.aux.xml", "a.tif.ovr", "a.tif.msk", "a.tif.msk.ovr", "a.tfw"]
    for name in (*stale, "a.tif.txt", "ab.tif.ovr", "a.pgw"):
        (tmp_path / name).write_text("old")
    with pytest.raises(ZeroDivisionError), write(tmp_path / "a.tif") as aside:
        aside.write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "a.tif.ovr").exists()
    with write(tmp_path / "a.tif") as aside:
        aside.write_text("new")
        if write is write_files_aside:
            aside.with_name("a.tif.aux.xml").write_text("new")
            stale.remove("a.tif.aux.xml")
    assert not any((tmp_path / name).exists() for name in stale)
    assert (tmp_path / "a.tif").read_text() == "new" and (tmp_path / "ab.tif.ovr").read_text() == "old"


@pytest.mark.parametrize(
    ("unless", "left"), [("", ["old", "old/a"]), ("last", ["last", "new", "new/b", "old", "old/a"])]
)
def test_what_breaks_off_leaves_nothing_new_unless_it_can_go_on(tmp_path: Path, unless: str, left: list[str]) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_text("kept")
    with pytest.raises(KeyboardInterrupt), removed_when_broken_off(tmp_path, unless):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "b").write_text("half")
        (tmp_path / "last").write_text("whole")
        raise KeyboardInterrupt
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == left


@pytest.mark.parametrize(("fault", "message"), [("turn_read_only", "Read-only file system"), ("fail", "Input/output")])
def test_a_disk_that_fails_meanwhile_is_said_of_the_target_whose_old_file_stays(
    tmp_path: Path, fault: str, message: str
) -> None:
    with failing_disk(tmp_path / "failing") as disk:
        target = disk.path / "out.json"
        with write_aside(target) as aside:
            aside.write_text("old")
        with pytest.raises(OSError, match=f"{message}.*'{target}") as caught, write_aside(target) as aside:
            aside.write_text("new")
            getattr(disk, fault)()
        assert ".out." not in str(caught.value)
        disk.repair()
        assert target.read_text() == "old"


@pytest.mark.parametrize("write", [write_aside, write_files_aside, write_folder_aside])
def test_nothing_is_left_on_a_disk_that_went_away_and_came_back(tmp_path: Path, write: Any) -> None:
    """A process that tried again, however often, filled the disk with what it could not remove."""
    with failing_disk(tmp_path / "failing") as disk:
        for _ in range(4):  # the disk has room for three
            with pytest.raises(OSError, match="out"), write(disk.path / "out") as aside:
                (aside / "file" if write is write_folder_aside else aside).write_bytes(bytes(2_000_000))
                disk.detach()
                raise OSError(errno.ENOENT, "out is gone")
            disk.attach()
        with write(disk.path / "out") as aside:
            (aside / "file" if write is write_folder_aside else aside).write_bytes(bytes(2_000_000))
        assert {path.name for path in disk.path.iterdir()} - {"lost+found"} == {"out"}
