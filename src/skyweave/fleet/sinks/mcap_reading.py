"""Reads recorded fleets, whoever wrote the files: in order, with bounds on sizes, up to where a file is cut off."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, McapRecord, Message
from mcap.stream_reader import StreamReader, breakup_chunk

from skyweave.core.errors import FleetError

MAX_RECORD_BYTES = 1 << 26  # of a record, and of a chunk of records after decompression
MAX_CHANNELS = 10_000

log = logging.getLogger("skyweave.fleet")


class RecordedMessage(NamedTuple):
    """One message of a recording.

    Attributes:
        topic: that it came under.
        encoding: of the message, as its channel says.
        time: when it was recorded, nanoseconds.
        data: its bytes.
    """

    topic: str
    encoding: str
    time: int
    data: bytes


def read_recorded_messages(path: Path) -> Iterator[RecordedMessage]:
    """Yield the messages of a recording in the order of the file; of one that is cut off, those before the cut.

    Args:
        path: of the file.

    Raises:
        FleetError: it is no MCAP file, or damaged at its beginning.
        FileNotFoundError: no such file.
    """
    count, channels = 0, dict[int, Channel]()
    with path.open("rb") as stream:
        try:
            for record in _records(StreamReader(stream, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES)):
                if isinstance(record, Channel) and len(channels) < MAX_CHANNELS:
                    channels[record.id] = record
                channel = channels.get(record.channel_id) if isinstance(record, Message) else None
                if isinstance(record, Message) and channel is not None:
                    count += 1
                    yield RecordedMessage(channel.topic, channel.message_encoding, record.log_time, record.data)
        except GeneratorExit:
            raise
        except Exception as error:  # the reader raises many kinds on odd bytes
            if not count:
                raise FleetError(f"{path} is no MCAP file, or is cut off ({error}); copy or record it again") from None
            log.warning(
                "%s is cut off or damaged after %d messages (%s); what comes then is not read", path, count, error
            )


def _records(reader: StreamReader) -> Iterator[McapRecord]:
    """Yield all records, those in chunks among them."""
    for record in reader.records:
        if isinstance(record, Chunk):
            yield from breakup_chunk(decompress_chunk(record))
        else:
            yield record


def decompress_chunk(chunk: Chunk) -> Chunk:
    """Return a chunk without compression, if it is not too large.

    Args:
        chunk: of a file.

    Raises:
        McapError: it is too large, or of a compression that is not known.
    """
    if chunk.uncompressed_size > MAX_RECORD_BYTES:
        raise McapError(f"a chunk of {chunk.uncompressed_size} bytes")
    data = chunk.data
    if chunk.compression == "zstd":
        data = _bounded_zstd(chunk.data)
    elif chunk.compression == "lz4":
        import lz4.frame

        data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=MAX_RECORD_BYTES)
    elif chunk.compression:
        raise McapError(f"compression {chunk.compression[:20]!r}")
    return Chunk(
        compression="",
        data=data,
        message_start_time=chunk.message_start_time,
        message_end_time=chunk.message_end_time,
        uncompressed_crc=0,
        uncompressed_size=len(data),
    )


def _bounded_zstd(data: bytes) -> bytes:
    """Decompress no more than `MAX_RECORD_BYTES`, whatever the frame says of its size."""
    import zstandard

    with zstandard.ZstdDecompressor(max_window_size=MAX_RECORD_BYTES).stream_reader(data) as stream:
        return bytes(stream.read(MAX_RECORD_BYTES))
