"""Fetching a task's published archive: resumed where it broke off, checked, and unpacked aside before it is there."""

import hashlib
import http.client
import json
import re
import shutil
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.downstream.geobench.folder import open_task
from skyweave.downstream.geobench.tasks import GeobenchTask, get_task

URL = "https://huggingface.co/datasets/recursix/geo-bench-1.0/resolve/main/{collection}/{name}.zip"
"""Where the benchmark's authors publish it."""
Progress = Callable[[str, int, int], None]
"""Called with what is going on (``fetching``, ``checking``, ``unpacking``), how many bytes are done, of how many."""
MAX_STALLED_ATTEMPTS = 6
"""Tries without a single new byte before giving up."""
TRANSIENT_STATUSES = (408, 429, 500, 502, 503, 504)
"""HTTP statuses after which another try may succeed."""
CHUNK_BYTES = 2**20
UNPACKED = (".hdf5", ".json", ".pkl", ".csv")


def download(
    name: str,
    folder: str | Path,
    *,
    url: str | None = None,
    sha256: str | None = None,
    keep: bool = False,
    progress: Progress | None = None,
    pause: float = 1.0,
) -> Path:
    """Fetch a task into ``folder/COLLECTION/NAME``, unless it is there already; a folder that is not whole is replaced.

    What was fetched before a break stays in ``.NAME.zip.part`` beside it and is gone on with the next time, if the
    server still has the same file. The archive's SHA-256 is checked: that of the caller, or else the one that the
    server names (Hugging Face does); where neither does, nothing is fetched. Every file in it has a checksum of its
    own. Only after all samples of the partitions are there does
    the folder get its name.

    Args:
        name: of the task.
        folder: that holds the collections of tasks.
        url: of another server, or the path of an archive that is on this machine; default: the published one.
        sha256: of the archive, in hexadecimal.
        keep: leave the archive beside the folder.
        progress: told of what goes on.
        pause: seconds before the second try; doubled for each further one.

    Returns:
        The task's folder.

    Raises:
        UnknownNameError: (a ``KeyError``) no such task.
        OSError: nothing can be reached, it broke off too often, or the disk is full; what was fetched is kept.
        ValueError: an archive that is damaged, of another checksum or of another task (it is removed); an address that
            is neither http nor https nor a file; or one of which nobody names the checksum.
        ModuleNotFoundError: h5py, the extra ``geobench``, is not installed.
    """
    import h5py  # noqa: F401  # missed now, not after gigabytes

    task = get_task(name)
    place = Path(folder) / task.collection / task.name
    if _is_whole(place, task):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    source = URL.format(collection=task.collection, name=task.name) if url is None else url
    report = progress or (lambda what, done, total: None)
    if "://" not in source:
        archive = _local_archive(source)
        _check_sum(archive, sha256, report, remove=False)
        _unpack(archive, place, task, report, remove=False)
        return place
    archive = place.parent / f".{task.name}.zip.part"
    _check_sum(archive, _fetch(source, archive, report, pause, sha256), report, remove=True)
    _unpack(archive, place, task, report, remove=True)
    _state(archive).unlink(missing_ok=True)
    if keep:
        archive.replace(place.parent / f"{task.name}.zip")
    else:
        archive.unlink()
    return place


def _local_archive(source: str) -> Path:
    """Return the path of an archive on this machine; it is there."""
    if not Path(source).is_file():
        raise FileNotFoundError(f"{source} is no address (https://...) and no file on this machine; give one of them")
    return Path(source)


def _is_whole(place: Path, task: GeobenchTask) -> bool:
    try:
        open_task(place, task.name)
    except (OSError, ValueError):
        return False
    return True


def _fetch(url: str, path: Path, report: Progress, pause: float, sha256: str | None) -> str:
    """The file at ``url`` in ``path``, whole; returns the SHA-256 that it should have."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url}: only http and https are fetched")
    failures = 0
    while True:
        before = _size(path)
        try:
            return _fetch_once(url, path, report, sha256)
        except _BrokenOff as error:
            now = _size(path)
            failures = 0 if now > before else failures + 1
            if failures >= MAX_STALLED_ATTEMPTS:
                raise OSError(f"{url}: {error}; {now} bytes are kept, try again later") from error
        time.sleep(pause * 2**failures)


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


class _BrokenOff(Exception):
    """The network or the server failed, not the disk: worth another try."""


def _fetch_once(url: str, path: Path, report: Progress, sha256: str | None) -> str:
    """One request for what is missing. What came before a break is kept."""
    known = _known(path, url)
    have = _size(path) if known else 0
    headers = {"User-Agent": "skyweave", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known["etag"]}
    redirects = _Redirects()
    try:
        opener = urllib.request.build_opener(redirects)
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=60)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have == known.get("total"):
            return _expected(url, sha256, known.get("sha256"))  # it was whole already
        if error.code == 416:
            path.unlink(missing_ok=True)  # more than the server has: begin anew
        elif error.code not in TRANSIENT_STATUSES:
            raise OSError(f"{url}: the server answers {error.code} {error.reason}") from error
        raise _BrokenOff(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOff(f"it cannot be reached ({getattr(error, 'reason', error)})") from error
    with response:
        total, start = _extent(response)
        if start not in (0, have):
            raise _BrokenOff(f"the server sends from byte {start}, not from {have}")
        have = start
        sha256 = _expected(url, sha256, redirects.sha256 or _sha256_in(response.headers))
        state = {"url": url, "etag": response.headers.get("ETag"), "total": total, "sha256": sha256}
        with write_aside(_state(path)) as aside:
            aside.write_text(json.dumps(state))
        have = _append(response, path, have, total, report)
    if total is not None and have != total:
        raise _BrokenOff(f"it breaks off after {have} of {total} bytes")
    return sha256


def _expected(url: str, given: str | None, named: str | None) -> str:
    """Return the SHA-256 that a file should have: the one of the user, or else of the server."""
    if given is None and named is None:
        raise DataError(
            f"{url}: the server names no SHA-256, so nobody could tell whether it is the right file; give --sha256, or "
            "fetch it yourself and give its path to --url"
        )
    return given or named or ""


def _append(response: http.client.HTTPResponse, path: Path, have: int, total: int | None, report: Progress) -> int:
    """Write what comes behind the first ``have`` bytes of the file; return how many bytes it has then."""
    with path.open("r+b" if have else "wb") as stream:
        stream.seek(have)
        for piece in _pieces(response):
            stream.write(piece)
            have += len(piece)
            report("fetching", have, total or have)
    return have


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            piece = response.read(CHUNK_BYTES)
        except http.client.IncompleteRead as error:
            piece = error.partial
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenOff(f"it breaks off ({error})") from error
        if not piece:
            return
        yield piece


def _known(path: Path, url: str) -> dict[str, Any]:
    """What is known of the part fetched before, if it can be gone on with: the same file of the same server."""
    try:
        state = json.loads(_state(path).read_text())
    except (OSError, ValueError):
        return {}
    strong = _has_strong_etag(state)
    return state if strong and state.get("url") == url else {}


def _has_strong_etag(state: Any) -> bool:
    """Return whether the state names a version that is the same byte for byte."""
    return isinstance(state, dict) and isinstance(state.get("etag"), str) and not state["etag"].startswith("W/")


def _state(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _extent(response: http.client.HTTPResponse) -> tuple[int | None, int]:
    """Length of the whole file, if the server says, and where in it this answer begins."""
    length = response.headers.get("Content-Length")
    if response.status != 206:
        return (int(length) if length and length.isdigit() else None), 0
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if not match:
        raise _BrokenOff("the server sends a part without saying which")
    return int(match[2]), int(match[1])


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Hugging Face names an archive's SHA-256 in the answer that sends on to where it lies."""

    def __init__(self) -> None:
        self.sha256: str | None = None

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DataError(f"{req.full_url}: it sends on to {newurl}, which is not encrypted; refused")
        self.sha256 = _sha256_in(headers) or self.sha256
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _sha256_in(headers: Any) -> str | None:
    named = (headers.get("X-Linked-ETag") or "").strip('"').lower()
    return named if re.fullmatch(r"[0-9a-f]{64}", named) else None


def _check_sum(archive: Path, expected: str | None, report: Progress, remove: bool) -> None:
    if expected is None:  # of a file that is on this machine already
        return
    digest, done, total = hashlib.sha256(), 0, archive.stat().st_size
    with archive.open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            digest.update(piece)
            done += len(piece)
            report("checking", done, total)
    if digest.hexdigest() != expected.lower():
        raise DataError(
            f"{archive}: its SHA-256 is {digest.hexdigest()}, not {expected.lower()}{_removed(archive, remove)}; "
            "fetch it again, or check --sha256"
        )


def _unpack(archive: Path, place: Path, task: GeobenchTask, report: Progress, remove: bool) -> None:
    """The archive's files in ``place``: unpacked aside, checked, then renamed."""
    aside = place.parent / f".{task.name}.unpacking"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            _unpack_members(content, archive, place, task, aside, report)
        open_task(aside, task.name)
        if place.exists():  # and was not whole
            shutil.rmtree(place)
        aside.rename(place)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, FileNotFoundError) as error:
        raise DataError(
            f"{archive}: no archive of {task.name}, or damaged ({error}){_removed(archive, remove)}; fetch it again"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _unpack_members(
    content: zipfile.ZipFile, archive: Path, place: Path, task: GeobenchTask, aside: Path, report: Progress
) -> None:
    """Unpack the members that belong to the task."""
    members = _members(content, archive)
    total = sum(member.file_size for member in members)
    free = shutil.disk_usage(place.parent).free
    if total > free:
        raise OSError(f"{place.parent}: {task.name} takes {total} bytes, and {free} are free; free some space")
    aside.mkdir()
    done = 0
    for member in members:
        with content.open(member) as packed, (aside / PurePosixPath(member.filename).name).open("wb") as stream:
            shutil.copyfileobj(packed, stream, CHUNK_BYTES)
        done += member.file_size
        report("unpacking", done, total)


def _root(content: zipfile.ZipFile) -> PurePosixPath:
    """Return the folder of the archive that holds the partitions; there is one."""
    paths = [PurePosixPath(member.filename) for member in content.infolist()]
    roots = {path.parent for path in paths if path.name == "default_partition.json"}
    if len(roots) != 1:
        raise DataError(f"{len(roots)} folders with a default_partition.json in it")
    return roots.pop()


def _members(content: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    """The files beside the partitions. Folders in their names are dropped: nothing is written anywhere else."""
    root = _root(content)
    members = []
    for member in content.infolist():
        path = PurePosixPath(member.filename)
        if path.parent != root or path.suffix not in UNPACKED or path.name.startswith("."):
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"{member.filename} is a link")
        members.append(member)
    return members


def _removed(archive: Path, remove: bool) -> str:
    """Take a useless archive away, so that the next try begins anew."""
    if not remove:
        return ""
    archive.unlink(missing_ok=True)
    _state(archive).unlink(missing_ok=True)
    return "; it was removed: download again"
