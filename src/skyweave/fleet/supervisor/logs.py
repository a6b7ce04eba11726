"""The log of a node: lines of text, or of JSON, written by a thread: a slow disk does not hold up who logs."""

import atexit
import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

LOGGER_NAME = "skyweave.fleet"
MAX_WAITING_LINES = 1000  # what comes on top is left out
FLUSH_TIMEOUT_S = 1.0  # at the end of the process


class TextFormatter(logging.Formatter):
    """A line of text for each event, with its data as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return an event as a line of text.

        Args:
            record: of the event; ``data`` holds its data.
        """
        data: dict[str, Any] = getattr(record, "data", {})
        pairs = " ".join(f"{key}={value}" for key, value in data.items())
        text = f"{time.strftime('%H:%M:%S')} {record.getMessage()} {pairs}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """A JSON object a line for each event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return an event as JSON.

        Args:
            record: of the event; ``data`` holds its data.
        """
        data: dict[str, Any] = getattr(record, "data", {})
        content = {"time": record.created, "level": record.levelname.lower(), "event": record.getMessage(), **data}
        if record.exc_info:
            content["error"] = self.formatException(record.exc_info)
        return json.dumps(content, default=str)


class QueuedLines:
    """Writes lines in a thread of its own: a disk that hangs holds up nobody, and what it does not take is left out.

    Args:
        write: called with each line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines: queue.Queue[str] = queue.Queue(MAX_WAITING_LINES)
        threading.Thread(target=self._write_lines, name="log", daemon=True).start()

    def put(self, line: str) -> None:
        """Queue a line; return at once.

        Args:
            line: of text.
        """
        with suppress(queue.Full):
            self._lines.put_nowait(line)

    def flush(self) -> None:
        """Wait until all lines are written, but no longer than a second."""
        end = time.monotonic() + FLUSH_TIMEOUT_S
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.005)

    def _write_lines(self) -> None:
        while True:
            line = self._lines.get()
            with suppress(OSError, ValueError):  # the disk is full, or nobody reads
                self._write(line)
            self._lines.task_done()


class QueuedHandler(logging.Handler):
    """Writes events to standard error in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = QueuedLines(lambda line: print(line, file=sys.stderr, flush=True))

    def emit(self, record: logging.LogRecord) -> None:
        """Queue an event; return at once.

        Args:
            record: of the event.
        """
        self._lines.put(self.format(record))

    def flush(self) -> None:
        """Wait until what was logged is written, but no longer than a second."""
        self._lines.flush()


def set_up_logging(as_json: bool) -> logging.Logger:
    """Log a node's events to standard error; return its logger.

    Args:
        as_json: one JSON object a line instead of text.
    """
    handler = QueuedHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    atexit.register(handler.flush)
    logger = logging.getLogger(LOGGER_NAME)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
