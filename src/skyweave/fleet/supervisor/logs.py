"""The log of a node: lines of text, or of JSON."""

import json
import logging
import sys
import time
from typing import Any

LOGGER_NAME = "skyweave.fleet"


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


def set_up_logging(as_json: bool) -> logging.Logger:
    """Log a node's events to standard error; return its logger.

    Args:
        as_json: one JSON object a line instead of text.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logger = logging.getLogger(LOGGER_NAME)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
