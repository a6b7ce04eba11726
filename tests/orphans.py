"""Nothing that tests have started outlives them, however they end: also when they are killed."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

WAITING = "import subprocess, sys; sys.stdin.read(); subprocess.run(sys.argv[1:])"


@contextlib.contextmanager
def run_at_the_end(command: Sequence[str]) -> Iterator[None]:
    """Run a command when the context ends, or this process: another one waits until its end of a pipe is closed.

    Args:
        command: to run.
    """
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITING, *command], stdin=subprocess.PIPE, start_new_session=True, **quiet
    )
    try:
        yield
    finally:
        waiting.communicate(timeout=120)
