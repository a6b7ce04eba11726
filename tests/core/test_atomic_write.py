import errno
from pathlib import Path

import pytest

from skyweave.core.atomic_write import write_aside, write_files_aside


def test_file_appears_whole_under_its_name(tmp_path):
    target = tmp_path / "new" / "out.tif"
    with write_aside(target) as aside:
        assert aside.parent == target.parent and aside.suffix == ".tif"
        aside.write_bytes(b"content")
        assert not target.exists()
    assert target.read_bytes() == b"content"
    assert list(target.parent.iterdir()) == [target]


def test_error_keeps_the_old_file_and_leaves_nothing(tmp_path):
    target = tmp_path / "out.json"
    target.write_text("old")
    with pytest.raises(OSError, match="No space"), write_aside(target) as aside:
        aside.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
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
