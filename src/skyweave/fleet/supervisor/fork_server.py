"""The fork servers that nodes are started from; light, so that they import libraries while their user does.

There are two, so that one that is killed costs nobody the seconds that importing takes: the second is forked from the
first, and whichever ends is forked anew from the other.
"""

import multiprocessing
import os
import select
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import forkserver, reduction, util
from multiprocessing.context import ForkServerProcess
from typing import Any

PRELOADED_MODULES = ["skyweave.fleet.supervisor.parent_watch", "skyweave.fleet.supervisor.preload"]


class ForkServer(forkserver.ForkServer):
    """A fork server of multiprocessing's that may also be forked from another one."""

    _forkserver_address: str | None
    _forkserver_alive_fd: int | None  # the end of a pipe, of which the server alone holds the other
    _forkserver_pid: int | None  # None where it is no child of this process

    def __init__(self) -> None:
        super().__init__()
        self.set_forkserver_preload(PRELOADED_MODULES)

    def was_started(self) -> bool:
        """Return whether the server ran at any time."""
        return self._forkserver_alive_fd is not None

    def is_running(self) -> bool:
        """Return whether the server has not ended: then nobody would hold the other end of its pipe."""
        if self._forkserver_alive_fd is None:
            return False
        poller = select.poll()
        poller.register(self._forkserver_alive_fd, 0)
        return not poller.poll(0)

    def ensure_running(self) -> None:
        """Start the server if it does not run."""
        if not self.is_running():
            self._forget()
            super().ensure_running()

    def fork(self) -> None:
        """Start the server from the one that runs.

        Raises:
            OSError, EOFError: that one has ended meanwhile.
        """
        self._forget()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(tempfile.mktemp(dir=util.get_temp_dir()))  # a folder that nobody else can enter
            listener.listen()
            reader, writer = os.pipe()
            try:
                ForkServerProcess(target=_Serve(listener.fileno(), reader), daemon=True).start()
            except BaseException:
                os.close(writer)
                raise
            finally:
                os.close(reader)
            if self.was_started():  # the other one ended meanwhile, and this one was started instead
                os.close(writer)
            else:
                self._forkserver_address, self._forkserver_alive_fd = listener.getsockname(), writer

    def _forget(self) -> None:
        """Close what is left of a server that has ended."""
        if self._forkserver_alive_fd is not None:
            os.close(self._forkserver_alive_fd)
        if self._forkserver_pid is not None:
            os.waitpid(self._forkserver_pid, 0)
        self._forkserver_alive_fd = self._forkserver_pid = None


class _Serve:
    """What a forked server does; its descriptors go with it."""

    def __init__(self, *descriptors: Any) -> None:
        self._descriptors = descriptors

    def __reduce__(self) -> tuple[Any, ...]:
        return _Serve, tuple(map(reduction.DupFd, self._descriptors))

    def __call__(self) -> None:
        listener, alive = (descriptor.detach() for descriptor in self._descriptors)
        forkserver.main(listener, alive, [])


SERVERS = (ForkServer(), ForkServer())


def process_context() -> Any:
    """Return multiprocessing's context for nodes.

    On Linux they are forked from a process that has imported all libraries, elsewhere they are spawned.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    forkserver.connect_to_new_process = _connect_to_new_process  # which is the only one that it knows, otherwise
    return multiprocessing.get_context("forkserver")


def preload_libraries() -> None:
    """Begin importing, in a fork server; return at once."""
    if sys.platform == "linux" and not any(server.is_running() for server in SERVERS):
        SERVERS[0].ensure_running()


def keep_ready() -> None:
    """Once there is a fork server: where one of both does not run, fork it from the other, which takes a moment."""
    if not any(server.was_started() for server in SERVERS):
        return
    preload_libraries()
    for server in SERVERS:
        if not server.is_running():
            with suppress(OSError, EOFError):  # of processes or descriptors there are none, or both are killed now
                server.fork()


def _connect_to_new_process(fds: Sequence[int]) -> tuple[int, int]:
    server = next((server for server in SERVERS if server.is_running()), SERVERS[0])
    return server.connect_to_new_process(fds)
