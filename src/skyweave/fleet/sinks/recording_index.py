"""Where in a recording what was recorded when is: any time of it can be gone to without reading what lies before."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcap.records import Channel, Chunk, McapRecord, Message
from mcap.stream_reader import MAGIC_SIZE, StreamReader, breakup_chunk

from skyweave.core.errors import FleetError
from skyweave.fleet.sinks.mcap_reading import (
    MAX_CHANNELS,
    MAX_RECORD_BYTES,
    RecordedMessage,
    decompress_chunk,
)


@dataclass(frozen=True)
class _Piece:
    """A record at the top level of a file that holds messages: a chunk of them, or one.

    Attributes:
        offset: of the record, bytes.
        begin: of the first message, nanoseconds.
        end: of the last message, nanoseconds.
    """

    offset: int
    begin: int
    end: int


class RecordingIndex:
    """The pieces of an MCAP file by time. The file is read once from front to end, and is not kept in memory.

    Args:
        path: of the file.

    Attributes:
        begin: time of the first message, nanoseconds; of the whole recording once `scan` is through.
        end: of the last message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin, self.end = 0, 0
        self._pieces: list[_Piece] = []
        self._channels: dict[int, Channel] = {}

    def scan(self) -> Iterator[tuple[RecordedMessage, float]]:
        """Yield every message in the order of the file, and how much of the file has been read (0 to 1).

        A file that is cut off ends where it is cut off.

        Raises:
            FleetError: it is no MCAP file, or holds no messages.
            FileNotFoundError: no such file.
        """
        size = max(self.path.stat().st_size, 1)
        with self.path.open("rb") as stream:
            records = iter(StreamReader(stream, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES).records)
            while True:
                offset = max(stream.tell(), MAGIC_SIZE)  # which is read with the first record
                messages = self._next_messages(records)
                if messages is None:
                    break
                if messages:
                    times = [message.time for message in messages]
                    self._pieces.append(_Piece(offset, min(times), max(times)))
                for message in messages:
                    yield message, stream.tell() / size
        if not self._pieces:
            raise FleetError(f"{self.path} holds no messages; `skyweave fleet record` makes such a recording")
        self._pieces.sort(key=lambda piece: piece.begin)
        self.begin, self.end = self._pieces[0].begin, max(piece.end for piece in self._pieces)

    def between(self, begin: int, end: int) -> Iterator[RecordedMessage]:
        """Yield the messages after a time and up to another, by time.

        Args:
            begin: nanoseconds.
            end: nanoseconds.
        """
        first = bisect_left(self._pieces, begin, key=lambda piece: piece.end)
        with self.path.open("rb") as stream:
            for piece in self._pieces[first:]:
                if piece.begin > end:
                    return
                stream.seek(piece.offset)
                reader = StreamReader(stream, skip_magic=True, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES)
                record = next(iter(reader.records), None)
                messages = [] if record is None else list(self._messages(record))
                yield from sorted((one for one in messages if begin < one.time <= end), key=lambda one: one.time)

    def _next_messages(self, records: Iterator[McapRecord]) -> list[RecordedMessage] | None:
        """Return the messages of the next record; None at the end of the file, or where it is cut off."""
        try:
            record = next(records, None)
            return None if record is None else list(self._messages(record))
        except Exception as error:  # the reader raises many kinds on odd bytes
            if self._pieces:
                return None
            raise FleetError(f"{self.path} is no MCAP file, or is cut off ({error}); copy or record it again") from None

    def _messages(self, record: McapRecord) -> Iterator[RecordedMessage]:
        """Yield the messages of a record, and remember the channels that it declares."""
        for part in breakup_chunk(decompress_chunk(record)) if isinstance(record, Chunk) else [record]:
            if isinstance(part, Channel) and len(self._channels) < MAX_CHANNELS:
                self._channels[part.id] = part
            channel = self._channels.get(part.channel_id) if isinstance(part, Message) else None
            if isinstance(part, Message) and channel is not None:
                yield RecordedMessage(channel.topic, channel.message_encoding, part.log_time, part.data)
