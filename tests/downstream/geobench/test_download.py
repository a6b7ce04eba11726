"""Fetched over a real connection that breaks off, resumed, checked; archives that are wrong leave nothing behind."""

import hashlib
import json
import stat
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fabricated_geobench import miniature, place_of
from skyweave.cli.main import main
from skyweave.downstream.geobench import open_task
from skyweave.downstream.geobench.download import MAX_STALLED_ATTEMPTS, download

NAME = "m-eurosat"


class Server:
    """An archive behind a real server; ``breaks`` says after how many bytes each answer is cut."""

    def __init__(self, body: bytes) -> None:
        self.body, self.etag = body, '"first"'
        self.breaks: list[int] = []
        self.requests: list[str | None] = []
        self.codes: list[int] = []
        self.ranges = True
        self.names_sha256, self.redirects = True, False
        self.wrong_place = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/{NAME}.zip"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.requests.append(wanted)
        if self.codes and (code := self.codes.pop(0)) != 200:
            request.send_error(code)
            return
        sha256 = f'"{hashlib.sha256(self.body).hexdigest()}"'
        if self.redirects and "moved" not in request.path:
            request.send_response(302)
            request.send_header("Location", "/moved")
            request.send_header("X-Linked-ETag", sha256)
            request.end_headers()
            return
        start = 0
        if self.ranges and wanted and request.headers.get("If-Range") == self.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(self.body):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            place = start + 7 if self.wrong_place else start
            request.send_header("Content-Range", f"bytes {place}-{len(self.body) - 1}/{len(self.body)}")
        if self.names_sha256 and not self.redirects:
            request.send_header("X-Linked-ETag", sha256)
        request.send_header("ETag", self.etag)
        request.send_header("Content-Length", str(len(self.body) - start))
        request.end_headers()
        rest = self.body[start:]
        request.wfile.write(rest[: self.breaks.pop(0)] if self.breaks else rest)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The zip of a miniature task."""
    folder = tmp_path_factory.mktemp("archive")
    place = place_of(miniature(folder, NAME), NAME)
    return zipped(folder / "a.zip", {f"{NAME}/{path.name}": path.read_bytes() for path in sorted(place.iterdir())})


def zipped(path: Path, files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as content:
        for name, data in files.items():
            content.writestr(name, data)
    return path.read_bytes()


@pytest.fixture
def server(archive: bytes) -> Iterator[Server]:
    server = Server(archive)
    yield server
    server.http.shutdown()
    server.http.server_close()


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if not path.is_dir() and path.suffix != ".hdf5"}


def test_a_task_is_fetched_and_loads(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    place = download(NAME, tmp_path, url=server.url, progress=lambda *what: told.append(what))
    assert place == tmp_path / "classification_v1.0" / NAME
    assert len(open_task(place).train) == 6
    assert told[-1][0] == "unpacking" and told[-1][1] == told[-1][2]
    assert [path.name for path in place.parent.iterdir()] == [NAME]  # neither archive nor state is left
    download(NAME, tmp_path, url=server.url)
    assert len(server.requests) == 1  # it was there already


def test_what_nobody_names_a_checksum_of_is_not_fetched(server: Server, tmp_path: Path) -> None:
    server.names_sha256 = False
    with pytest.raises(ValueError, match=r"names no SHA-256.*--sha256"):
        download(NAME, tmp_path, url=server.url)
    assert files_in(tmp_path) == set()
    assert download(NAME, tmp_path, url=server.url, sha256=hashlib.sha256(server.body).hexdigest()).is_dir()


def test_a_folder_that_is_not_whole_is_replaced(server: Server, tmp_path: Path) -> None:
    place = download(NAME, tmp_path, url=server.url)
    (place / "id_0005.hdf5").unlink()
    with pytest.raises(FileNotFoundError, match="run: skyweave download"):
        open_task(place)
    assert main(["download", "geobench", "--task", NAME, "-o", str(tmp_path), "--url", server.url]) == 0
    assert len(open_task(place).train) == 6 and [path.name for path in place.parent.iterdir()] == [NAME]
    (place / "id_0005.hdf5").unlink()
    server.body = b"nothing"
    with pytest.raises(ValueError, match="no archive"):
        download(NAME, tmp_path, url=server.url)
    assert (place / "id_0004.hdf5").exists()  # what was there stays until something better is


def test_what_breaks_off_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.breaks = [1000, 2000, 0, 3000]
    place = download(NAME, tmp_path, url=server.url, pause=0)
    assert server.requests == [None, "bytes=1000-", "bytes=3000-", "bytes=3000-", "bytes=6000-"]
    assert len(open_task(place).train) == 6


def test_the_next_run_goes_on_too(server: Server, tmp_path: Path) -> None:
    server.breaks = [5000] + [0] * MAX_STALLED_ATTEMPTS
    with pytest.raises(OSError, match=r"breaks off after 5000 of \d+ bytes; 5000 bytes are kept, try again later"):
        download(NAME, tmp_path, url=server.url, pause=0)
    assert not (tmp_path / "classification_v1.0" / NAME).exists()
    server.requests.clear()
    download(NAME, tmp_path, url=server.url, pause=0)
    assert server.requests == ["bytes=5000-"]


def test_another_file_on_the_server_begins_anew(server: Server, tmp_path: Path) -> None:
    server.breaks = [5000] + [0] * MAX_STALLED_ATTEMPTS
    with pytest.raises(OSError):
        download(NAME, tmp_path, url=server.url, pause=0)
    server.etag = '"second"'
    assert len(open_task(download(NAME, tmp_path, url=server.url, pause=0)).test) == 3


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.ranges, server.breaks = False, [5000]
    assert len(open_task(download(NAME, tmp_path, url=server.url, pause=0)).test) == 3


def test_a_part_of_the_wrong_place_is_never_joined(server: Server, tmp_path: Path) -> None:
    server.breaks, server.wrong_place = [5000], True
    with pytest.raises(OSError, match="sends from byte 5007, not from 5000; 5000 bytes are kept"):
        download(NAME, tmp_path, url=server.url, pause=0)


def test_an_archive_that_was_whole_is_not_fetched_again(server: Server, tmp_path: Path, archive: bytes) -> None:
    server.breaks = [5000] + [0] * MAX_STALLED_ATTEMPTS
    with pytest.raises(OSError):
        download(NAME, tmp_path, url=server.url, pause=0)
    part = tmp_path / "classification_v1.0" / f".{NAME}.zip.part"
    part.write_bytes(archive)
    download(NAME, tmp_path, url=server.url, pause=0)
    assert server.requests[-1] == f"bytes={len(archive)}-"


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server: Server, tmp_path: Path) -> None:
    server.codes = [503, 429, 200]
    download(NAME, tmp_path / "a", url=server.url, pause=0)
    assert len(server.requests) == 3
    server.codes = [404]
    with pytest.raises(OSError, match="the server answers 404"):
        download(NAME, tmp_path / "b", url=server.url, pause=0)
    server.codes = [500] * MAX_STALLED_ATTEMPTS
    with pytest.raises(OSError, match=r"the server answers 500 [^;]*; 0 bytes are kept"):
        download(NAME, tmp_path / "c", url=server.url, pause=0)


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be reached"):
        download(NAME, tmp_path, url="http://127.0.0.1:9/a.zip", pause=0)
    for address in ("ftp://127.0.0.1/a.zip", "file:///etc/passwd"):
        with pytest.raises(ValueError, match="only http and https are fetched"):
            download(NAME, tmp_path, url=address)
    with pytest.raises(FileNotFoundError, match="no address"):
        download(NAME, tmp_path, url="a.zip")
    with pytest.raises(KeyError, match="GEO-Bench has no task"):
        download("m-mars", tmp_path)


def test_the_servers_checksum_is_checked(server: Server, tmp_path: Path) -> None:
    server.redirects = True
    download(NAME, tmp_path / "good", url=server.url, pause=0)
    assert len(server.requests) == 2
    server.breaks = [1000]
    download(NAME, tmp_path / "broken", url=server.url, pause=0)
    with pytest.raises(ValueError, match=r"its SHA-256 is \w+, not 0+; it was removed: download again"):
        download(NAME, tmp_path / "bad", url=server.url, sha256="0" * 64, pause=0)
    assert files_in(tmp_path / "bad") == set()


def test_an_archive_on_this_machine_is_left_alone(tmp_path: Path, archive: bytes) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(archive)
    download(NAME, tmp_path / "a", url=str(path), sha256=hashlib.sha256(archive).hexdigest())
    with pytest.raises(ValueError, match="its SHA-256 is") as caught:
        download(NAME, tmp_path / "b", url=str(path), sha256="0" * 64)
    assert path.exists() and "removed" not in str(caught.value)


GOOD = '{"train": ["a"], "valid": ["b"], "test": ["c"]}'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "0 folders with a default_partition.json"),
        ({"a/default_partition.json": "{}", "b/default_partition.json": "{}"}, "2 folders"),
        ({f"{NAME}/default_partition.json": GOOD}, "3 of 3 samples have no file"),
        ({f"{NAME}/default_partition.json": "nonsense"}, "no JSON"),
        ({f"{NAME}/default_partition.json": GOOD, f"{NAME}/task_specs.pkl": "cos\nsystem\n."}, "asks for os.system"),
    ],
)
def test_archives_of_something_else(tmp_path: Path, server: Server, files: dict[str, str], message: str) -> None:
    server.body = zipped(tmp_path / "a.zip", {name: text.encode() for name, text in files.items()})
    with pytest.raises(ValueError, match=rf"no archive of m-eurosat, or damaged \(.*{message}.*it was removed"):
        download(NAME, tmp_path / "out", url=server.url, pause=0)
    assert files_in(tmp_path / "out") == set()
    assert [path.name for path in (tmp_path / "out" / "classification_v1.0").iterdir()] == []


def test_archives_that_are_damaged(tmp_path: Path, server: Server, archive: bytes) -> None:
    middle = len(archive) // 3
    for body in (archive[:-100], archive[:middle] + bytes(64) + archive[middle + 64 :], b"<html>login</html>"):
        server.body = body
        with pytest.raises(ValueError, match="no archive of m-eurosat, or damaged"):
            download(NAME, tmp_path / "out", url=server.url, pause=0)
        assert list((tmp_path / "out" / "classification_v1.0").iterdir()) == []


def test_nothing_is_written_outside_the_folder(tmp_path: Path, server: Server, archive: bytes) -> None:
    """Members that climb out, and files of other kinds, are left out; links are refused."""
    path = tmp_path / "a.zip"
    path.write_bytes(archive)
    with zipfile.ZipFile(path, "a") as content:
        content.writestr("../../escaped.json", "x")
        content.writestr("/absolute.json", "x")
        content.writestr(f"{NAME}/../../../escaped.json", "x")
        content.writestr(f"{NAME}/run.py", "x")
        content.writestr(f"{NAME}/.hidden.json", "x")
        content.writestr("__MACOSX/._a.json", "x")
    place = download(NAME, tmp_path / "out", url=str(path))
    assert files_in(tmp_path / "out") == {p.name for p in place.iterdir() if p.suffix != ".hdf5"}
    assert not {"escaped.json", "absolute.json", "run.py"} & files_in(tmp_path)
    with zipfile.ZipFile(path, "a") as content:
        link = zipfile.ZipInfo(f"{NAME}/link.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        content.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="is a link"):
        download(NAME, tmp_path / "again", url=str(path))


def test_an_archive_larger_than_the_disk(tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(archive)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(OSError, match="10 are free; free some space"):
        download(NAME, tmp_path / "out", url=str(tmp_path / "a.zip"))


def test_the_command(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "download",
                "geobench",
                "--task",
                "M-EUROSAT",
                "-o",
                str(tmp_path),
                "--url",
                server.url,
                "--keep",
                "--json",
            ]
        )
        == 0
    )
    place = tmp_path / "classification_v1.0" / NAME
    assert json.loads(capsys.readouterr().out) == {"tasks": {NAME: str(place)}}
    assert (place.parent / f"{NAME}.zip").read_bytes() == server.body
    assert main(["download", "geobench", "--task", NAME, "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{NAME}: {place}\n"
    assert main(["download", "geobench", "--task", "list"]) == 0
    assert "m-SA-crop-type" in capsys.readouterr().out
    assert main(["download", "geobench", "--task", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tasks"]) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out"], "say which to fetch"),
        (["--all", "--task", NAME, "-o", "out"], "say which to fetch"),
        (["--task", NAME], "say where to"),
        (["--task", "m-mars", "-o", "out"], "GEO-Bench has no task"),
        (["--all", "-o", "out", "--url", "http://a"], "are of one archive"),
    ],
)
def test_the_command_explains_itself(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "geobench", *arguments]) == 2
    assert message in capsys.readouterr().err
