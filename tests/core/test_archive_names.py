"""Names that only GDAL knows: what a message advises makes the file, and the command then reads it."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fabricated_embeddings import clustered_features, write_embeddings
from skyweave.cli.main import main
from skyweave.core.archive_names import advise_local_copy
from skyweave.core.errors import DataError
from skyweave.data.globbing import find_images
from skyweave.search import open_patches


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("/vsizip/a.zip/in/b.tif", "unpack the archive: unzip a.zip"),
        ("/vsizip//data/my files.zip/b.tif", "unpack the archive: unzip '/data/my files.zip'"),
        ("/vsizip/{/data/a.zip}/b.tif", "unpack the archive: unzip /data/a.zip"),
        ("/vsitar/a.tar.gz/b.tif", "unpack the archive: tar -xf a.tar.gz"),
        ("/vsicurl/https://host/a.tif", "download it: curl -O https://host/a.tif"),
        ("https://host/a.tif", "download it: curl -O https://host/a.tif"),
        ("/vsis3/bucket/a.tif", "copy it to a file"),
        ("images/*.tif", None),
        ("/data/a.zip", None),
    ],
)
def test_advice(name: str, advice: str | None) -> None:
    assert advise_local_copy(name) == advice


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_the_advice_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write_embeddings(tmp_path / "f.tif", clustered_features(4, 6)[0].astype(np.float32))
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.write("f.tif")
    (tmp_path / "f.tif").unlink()
    reading = ["--sensor", "rgb", "--unit", "uint8"]
    for command in (
        ["change", "/vsizip/a.zip/f.tif", "/vsizip/a.zip/g.tif", "-o", "c.tif"],
        ["validate", "/vsizip/a.zip/f.tif"],
        ["embed", "--list", "/vsizip/a.zip/*.tif", "--into", "o", *reading],
    ):
        assert main(command) == 2
        assert "unpack the archive: unzip a.zip" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"unzip a\.zip") as caught:
        find_images(tmp_path, "/vsizip/a.zip/*.tif", None, "images")
    command = str(caught.value).split("archive: ")[1]
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert open_patches("f.tif").space.channels == 12 and find_images(tmp_path, "*.tif", None, "images")
