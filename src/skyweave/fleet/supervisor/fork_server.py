"""The fork server that nodes are started from; light, so that it imports libraries while its user does."""

import multiprocessing
import sys
from multiprocessing import forkserver
from typing import Any

PRELOADED_MODULES = ["skyweave.fleet.supervisor.parent_watch", "skyweave.fleet.supervisor.preload"]


def process_context() -> Any:
    """Return multiprocessing's context for nodes.

    On Linux they are forked from a process that has imported all libraries, elsewhere they are spawned.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED_MODULES)
    return context


def preload_libraries() -> None:
    """Begin importing, in the fork server; return at once."""
    if sys.platform == "linux":
        process_context()
        forkserver.ensure_running()
