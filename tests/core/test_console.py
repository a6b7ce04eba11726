"""Tables keep their heads where there is no terminal."""

import pytest

from skyweave.core.console import WIDTH_WITHOUT_TERMINAL, table_console


def test_a_pipe_is_wide_enough_for_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert table_console().width == WIDTH_WITHOUT_TERMINAL
    monkeypatch.setenv("COLUMNS", "70")
    assert table_console().width == 70
