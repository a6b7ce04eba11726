"""How far long work has come: a bar on a terminal, and elsewhere a line now and then, so that no log stays silent."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_INTERVAL_S = 15.0
"""Seconds between two lines where nobody looks at a terminal."""

ReportProgress = Callable[[str, float, float], None]
"""Called with what is done, how far, and of how much."""


class ProgressLines:
    """Writes a line every so many seconds, with the time that remains at the speed so far.

    Args:
        write: called with each line; None: standard error.
        interval: seconds between lines; None: `LINE_INTERVAL_S`.
        clock: returns seconds.
    """

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        interval: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._clock = write or _write_error, clock
        self._interval = LINE_INTERVAL_S if interval is None else interval
        self._written, self._is_first = clock(), True
        self._start: tuple[str, float, float] | None = None  # what, seconds, and how far it was then

    def _is_new(self, what: str, done: float) -> bool:
        """Return whether something else is done than before, or the same from its start."""
        return self._start is None or self._start[0] != what or done < self._start[2]

    def report(self, what: str, done: float, total: float, note: str = "") -> None:
        """Write a line if the last one is long enough ago.

        Args:
            what: is done.
            done: how far.
            total: of how much.
            note: ends the line.
        """
        now = self._clock()
        if self._is_new(what, done):
            self._start = (what, now, done)
        if now - self._written < self._interval:
            return
        self._written = now
        share = f" ({100 * done / total:.0f} %)" if total else ""
        self._write(f"{what}: {done:g} of {total:g}{share}{self._remaining(now, done, total)}{note}")

    def report_line(self, line: str) -> None:
        """Write a line whose work has no known end: the first at once, others if the last one is long enough ago.

        Args:
            line: what is done now.
        """
        now = self._clock()
        if self._is_first or now - self._written >= self._interval:
            self._is_first, self._written = False, now
            self._write(line)

    def _remaining(self, now: float, done: float, total: float) -> str:
        assert self._start is not None
        _, began, at = self._start
        if done <= at or now <= began:
            return ""
        return f", {format_duration((total - done) * (now - began) / (done - at))} left"


@contextmanager
def show_progress(description: str = "") -> Iterator[ReportProgress]:
    """Give a function that shows how far work has come: a bar on a terminal, lines elsewhere.

    Args:
        description: shown before the first call.
    """
    if not _can_draw():
        yield ProgressLines().report
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


@contextmanager
def show_status(description: str) -> Iterator[Callable[[str], None]]:
    """Give a function that shows what is done now: in place on a terminal, as lines now and then elsewhere.

    Args:
        description: shown first.
    """
    if not _can_draw():
        yield ProgressLines().report_line
        return
    from rich.console import Console

    with Console(stderr=True).status(description) as status:
        yield lambda line: status.update(line)


def _can_draw() -> bool:
    """Return whether there is a terminal, and what draws on it."""
    return sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


def format_duration(seconds: float) -> str:
    """Return a duration as people say it: ``40 s``, ``12 min``, ``3 h 20 min``.

    Args:
        seconds: not negative.
    """
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _write_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
