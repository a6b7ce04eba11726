import os
from pathlib import Path

import pytest

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError
from skyweave.core.outputs import check_output_folder, check_outputs


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    path.write_bytes(b"pixels")
    return path


def test_an_input_is_no_output_under_any_of_its_names(scene: Path) -> None:
    hard, soft = scene.with_name("hard.tif"), scene.with_name("soft.tif")
    os.link(scene, hard)
    soft.symlink_to(scene)
    roundabout = scene.parent / "folder" / ".." / "scene.tif"
    (scene.parent / "folder").mkdir()
    for name in (scene, hard, soft, roundabout):
        with pytest.raises(ConfigError, match=r"-o .* would overwrite .*scene\.tif, which is read; choose"):
            check_outputs({"-o": name}, [None, scene.with_name("missing.tif"), scene])
    check_outputs({"-o": scene}, [scene.parent])  # replacing an old result is fine
    check_outputs({"-o": scene.with_name("out.tif"), "--preview": None}, [scene])


def test_two_outputs_are_two_files(scene: Path) -> None:
    (scene.parent / "link.png").symlink_to("out.png")
    for other in ("out.png", "OUT.PNG", "link.png"):
        with pytest.raises(ConfigError, match="--preview and -o are the same file"):
            check_outputs({"-o": scene.with_name("out.png"), "--preview": scene.with_name(other)})
    check_outputs({"-o": os.devnull, "--preview": os.devnull})


def test_an_output_is_a_file_where_one_can_be(scene: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; name a file in it, such as .*/out"):
        check_outputs({"-o": scene.parent})
    with pytest.raises(ConfigError, match=r"scene\.tif is a file, not a folder"):
        check_outputs({"-o": scene / "deep" / "out.tif"})
    if os.geteuid() != 0:
        scene.parent.chmod(0o500)
        with pytest.raises(ConfigError, match="protected"):
            check_outputs({"-o": scene.with_name("out.tif")})
        scene.parent.chmod(0o700)


def test_a_folder_to_write_into(scene: Path) -> None:
    (scene.parent / "dangling").symlink_to("nowhere")
    check_output_folder("-o", scene.parent)
    check_output_folder("-o", scene.parent / "new" / "run")
    with pytest.raises(ConfigError, match="is a file, and a folder is needed"):
        check_output_folder("-o", scene)
    with pytest.raises(ConfigError, match="nowhere, which is not there; make that folder"):
        check_output_folder("-o", scene.parent / "dangling")
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        check_output_folder("-o", scene / "run")


def test_a_path_through_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Once the folder were made, it would be the input."""
    source = tmp_path / "scene.tif"
    source.write_text("scene")
    with pytest.raises(ConfigError, match="would overwrite"):
        check_outputs({"-o": tmp_path / "new/../scene.tif"}, [source])
    with write_aside(tmp_path / "new/../out.tif") as aside:
        aside.write_text("out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tif", "scene.tif"]
