"""Telemetry inside videos: DJI's subtitles as a track of MP4, MISB KLV as a stream of MPEG transport streams."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skyweave.core.errors import DataError
from skyweave.telemetry.formats.misb import KlvPacket, misb_samples
from skyweave.telemetry.formats.subtitles import parse_cue, subtitle_samples
from skyweave.telemetry.poses_over_time import NS_PER_S
from skyweave.telemetry.reading import ReadOptions
from skyweave.telemetry.samples import LogSamples

SUFFIXES = (".mp4", ".mov", ".m4v", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".mkv", ".avi", ".webm", ".lrf")
TRANSPORT_SYNC = 0x47  # first byte of each packet of a transport stream
TRANSPORT_PACKET_BYTES = 188
MOV_TEXT_LENGTH_BYTES = 2  # before the text of a subtitle in MP4 (3GPP TS 26.245)
PROPRIETARY = ("djmd", "dbgi")  # tracks of DJI whose layout is not published


class VideoTrackReader:
    """Videos that carry their telemetry."""

    description = "videos with a track of subtitles or KLV (.mp4, .ts)"

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file is a video by its name or its first bytes.

        Args:
            path: file or folder.
            head: its first bytes.
        """
        transport = head[:1] == bytes([TRANSPORT_SYNC]) == head[TRANSPORT_PACKET_BYTES : TRANSPORT_PACKET_BYTES + 1]
        return (path.is_file() and path.suffix.lower() in SUFFIXES) or transport or head[4:8] == b"ftyp"

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read the telemetry of a video; its images are not decoded.

        Args:
            path: of the video.
            options: not used.

        Raises:
            DataError: it cannot be read, or has no track with telemetry.
        """
        import av

        try:
            with av.open(str(path)) as container:
                data = [stream for stream in container.streams if stream.type == "data"]
                subtitles = [stream for stream in container.streams if stream.type == "subtitle"]
                start = _start(container)
                if any(_codec(stream) == "klv" for stream in data):
                    return misb_samples(_klv_packets(container, start), path.name)
                if subtitles:
                    cues = [parse_cue(text, time) for time, text in _texts(container, subtitles[0], start)]
                    return subtitle_samples(cues, path.name)
                raise DataError(_nothing(path, data))
        except av.FFmpegError as error:
            raise DataError(f"{path} cannot be read as a video: {error}") from None


def _start(container: Any) -> float:
    """Seconds at which the first image is shown."""
    video = next(iter(container.streams.video), None)
    return 0.0 if video is None else float((video.start_time or 0) * video.time_base)


def _codec(stream: Any) -> str:
    """Name of a stream's codec; PyAV has no codec context for streams of data."""
    return str(getattr(stream, "name", "") or "")


def _klv_packets(container: Any, start: float) -> Iterator[KlvPacket]:
    """Packets of KLV; one without a time has that of the last image before it."""
    latest = 0
    for packet in container.demux():
        stamp = packet.pts
        time = None if stamp is None else round((float(stamp * packet.time_base) - start) * NS_PER_S)
        if packet.stream.type == "video" and time is not None:
            latest = max(latest, time)
        if packet.stream.type == "data" and packet.size:
            yield KlvPacket(latest if time is None else time, bytes(packet))


def _texts(container: Any, stream: Any, start: float) -> Iterator[tuple[int, str]]:
    for packet in container.demux(stream):
        if packet.pts is None or not packet.size:
            continue
        content = bytes(packet)
        if _codec(stream) == "mov_text":
            length = int.from_bytes(content[:MOV_TEXT_LENGTH_BYTES], "big")
            content = content[MOV_TEXT_LENGTH_BYTES : MOV_TEXT_LENGTH_BYTES + length]
        if content:
            yield round((float(packet.pts * packet.time_base) - start) * NS_PER_S), content.decode("utf-8", "replace")


def _nothing(path: Path, data: list[Any]) -> str:
    tags = {str(stream.metadata.get("handler_name", "")).lower() for stream in data}
    closed = next((name for name in PROPRIETARY if any(name in tag for tag in tags)), "")
    if closed or data:
        what = f"a track {closed!r}" if closed else f"{len(data)} tracks of data"
        return (
            f"{path} has {what} whose layout is not published, and no subtitles; switch on video subtitles, or give "
            "the flight log as .srt or .csv with --telemetry"
        )
    return f"{path} carries no telemetry; give its log with --telemetry"
