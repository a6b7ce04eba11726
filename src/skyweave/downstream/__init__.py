"""Using frozen features: probes on image and dense labels, with baselines in the same table."""

from skyweave.downstream.config import ProbeConfig, load_config
from skyweave.downstream.probe import ProbeResult, prepare, run_probe

__all__ = ["ProbeConfig", "ProbeResult", "load_config", "prepare", "run_probe"]
