"""Every configuration that is shipped can be read."""

from pathlib import Path
from typing import Any

import pytest

from skyweave.core.config import read_record
from skyweave.downstream.labels.probe_config import ProbeConfig
from skyweave.perception.train import TrainConfig
from skyweave.pretraining.config import PretrainConfig
from skyweave.simulator.config import WorldConfig

KINDS: dict[str, Any] = {
    "world": WorldConfig,
    "perception": TrainConfig,
    "pretrain": PretrainConfig,
    "probe": ProbeConfig,
}
CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@pytest.mark.parametrize(
    "file", [file for kind in KINDS for file in sorted((CONFIGS / kind).glob("*.yaml"))], ids=lambda file: file.stem
)
def test_it_can_be_read(file: Path) -> None:
    assert read_record(file, KINDS[file.parent.name])
