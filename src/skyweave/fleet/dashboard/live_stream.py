"""Streams over WebSockets: the newest text whenever something changed.

Who reads slowly skips texts, and who does not read is let go.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from aiohttp import WSMsgType, web

MAX_PERIOD_S = 1.0  # after which a text is sent although nothing changed
MAX_SENDING_S = 5.0  # that a client may take to read a text
MAX_RECEIVED_BYTES = 1024
HEARTBEAT_S = 10.0

ControlCallback = Callable[[str], None]
"""Called with what a client sends."""


async def stream_texts(
    request: web.Request,
    version: Callable[[], int],
    write: Callable[[], str],
    period: float,
    control: ControlCallback = lambda message: None,
) -> web.WebSocketResponse:
    """Send texts over a WebSocket until the client leaves.

    Args:
        request: of the client.
        version: returns a number that changes with the text.
        write: returns the text.
        period: seconds between two texts.
        control: called with what the client sends.
    """
    websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MAX_RECEIVED_BYTES, compress=False)
    await websocket.prepare(request)
    sending = asyncio.create_task(_send_texts(request, websocket, version, write, period))
    try:
        with contextlib.suppress(ConnectionError):  # who floods with pings, and leaves
            async for message in websocket:
                if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                    break
                if message.type == WSMsgType.TEXT:
                    control(message.data)
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
    return websocket


async def _send_texts(
    request: web.Request,
    websocket: web.WebSocketResponse,
    version: Callable[[], int],
    write: Callable[[], str],
    period: float,
) -> None:
    sent_version, sent_at = -1, 0.0
    while not websocket.closed:
        now = time.monotonic()
        if version() != sent_version or now - sent_at > MAX_PERIOD_S:
            sent_version, sent_at = version(), now
            try:
                async with asyncio.timeout(MAX_SENDING_S):
                    await websocket.send_str(write())
            except (ConnectionError, RuntimeError, TimeoutError):
                if request.transport is not None:
                    request.transport.abort()
                return
        await asyncio.sleep(period)
