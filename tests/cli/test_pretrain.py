"""The command says what is wrong in one line."""

from pathlib import Path

import pytest

from skyweave.cli.main import main

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "pretrain" / "tiny.yaml"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--data", ".", "--resume"], "holds no run to resume"),
        (["--data", ".", "--set", "optimizer.steps=2"], "did you mean 'optimiser'"),
    ],
)
def test_mistakes(options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", str(CONFIG), "-o", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()
