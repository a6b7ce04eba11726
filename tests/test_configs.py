"""Every configuration that is shipped can be read."""

from pathlib import Path
from typing import Any

import pytest

from skyweave.core.config import load_config_file
from skyweave.downstream.finetuning.finetune import FinetuneConfig
from skyweave.downstream.probing.config import ProbeConfig
from skyweave.perception.train import PerceptionTrainConfig
from skyweave.pretraining.config import PretrainConfig
from skyweave.simulator.config import WorldConfig

KINDS: dict[str, Any] = {
    "world": WorldConfig,
    "perception": PerceptionTrainConfig,
    "pretrain": PretrainConfig,
    "probe": ProbeConfig,
    "finetune": FinetuneConfig,
}
CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@pytest.mark.parametrize(
    "file", [file for kind in KINDS for file in sorted((CONFIGS / kind).glob("*.yaml"))], ids=lambda file: file.stem
)
def test_it_can_be_read(file: Path) -> None:
    assert load_config_file(file, KINDS[file.parent.name])
