"""The signals by which a user, a service manager or a closed terminal asks a process to end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], object]


def end_signals() -> list[signal.Signals]:
    """Return the signals that ask this process to end; a terminal that closes does not where `nohup` started it."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def on_end_signal(handler: Handler) -> None:
    """Call a function when the process is asked to end. Only in a main thread.

    Args:
        handler: called with the number of the signal and the frame.
    """
    for number in end_signals():
        signal.signal(number, handler)


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
    """Let every end signal raise ``KeyboardInterrupt`` in the block, so that it is left as tidily as by Ctrl-C.

    Outside of a main thread, where Python does not handle signals, nothing changes.

    Yields:
        The numbers of the signals that came.
    """
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in end_signals()}
    for number, handler in before.items():
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)
    try:
        yield received
    finally:
        _restore_handlers(before)


def _restore_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    """Set the handler of each signal as it was; None, of one that Python did not set, becomes the default."""
    for number, handler in handlers.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)
