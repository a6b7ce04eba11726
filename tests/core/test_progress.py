"""Long work says how far it is, also where standard error is no terminal."""

import pytest

from skyweave.core.progress import ProgressLines, format_duration, show_progress, show_status


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_every_so_many_seconds_with_the_time_that_remains() -> None:
    clock, lines = Clock(), []
    progress = ProgressLines(lines.append, interval=10.0, clock=clock)
    for tile in range(1, 101):
        clock.now = tile * 1.0
        progress.report("embedding", tile, 100)
    assert lines[0] == "embedding: 10 of 100 (10 %), 2 min left"
    assert lines[1] == "embedding: 20 of 100 (20 %), 80 s left"
    assert len(lines) == 10


def test_the_speed_is_that_of_this_work_alone() -> None:
    clock, lines = Clock(), []
    progress = ProgressLines(lines.append, interval=10.0, clock=clock)
    progress.report("observing", 0, 10)
    clock.now = 100.0
    progress.report("evaluating", 1, 5)
    clock.now = 120.0
    progress.report("evaluating", 2, 5)
    assert lines == ["evaluating: 1 of 5 (20 %)", "evaluating: 2 of 5 (40 %), 60 s left"]


def test_lines_without_an_end_are_limited_too() -> None:
    clock, lines = Clock(), []
    progress = ProgressLines(lines.append, interval=10.0, clock=clock)
    for second in range(25):
        clock.now = second
        progress.report_line(f"step {second}")
    assert lines == ["step 0", "step 10", "step 20"]


def test_without_a_terminal_nothing_draws_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyweave.core.progress.LINE_INTERVAL_S", 0.0)
    with show_progress() as report:
        report("embedding", 1, 2)
    with show_status("reading") as show:
        show("seed 0, step 1")
    error = capsys.readouterr().err
    assert error == "embedding: 1 of 2 (50 %)\nseed 0, step 1\n"


def test_durations_are_said_in_words() -> None:
    assert [format_duration(s) for s in (0.4, 89, 90, 5000, 12_000)] == ["0 s", "89 s", "2 min", "83 min", "3 h 20 min"]
