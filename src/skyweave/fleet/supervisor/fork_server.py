"""The fork server that nodes are started from; light, so that it imports libraries while its user does."""

import multiprocessing
import sys
from multiprocessing import forkserver
from typing import Any

PRELOADED = ["skyweave.fleet.supervisor.preload"]


def process_context() -> Any:
    """How node processes are started: forked from one that has imported all libraries, where they survive a fork."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(PRELOADED)
    return forked


def preload_libraries() -> None:
    """Begin importing, in the fork server; returns at once."""
    if sys.platform == "linux":
        process_context()
        forkserver.ensure_running()
