"""Ends the fork server when its supervisor ends while libraries are still being imported: that lasts many seconds.

It is imported before them; afterwards the fork server itself notices that it is alone.
"""

import os
import threading

POLL_S = 0.1

_imported = threading.Event()


def _watch(parent: int) -> None:
    while not _imported.wait(POLL_S):
        if os.getppid() != parent:
            os._exit(0)


_watching = threading.Thread(target=_watch, args=(os.getppid(),), name="parent", daemon=True)
_watching.start()


def end_watch() -> None:
    """End the watch, when all libraries are imported: nodes are forked from a process with one thread."""
    _imported.set()
    _watching.join()
