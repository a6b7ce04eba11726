from .config import ProbeConfig, load_probe_config
from .prepared import PreparedProbe, prepare_probe
from .probe import run_probe
from .result import BaselineComparison, ProbeResult, ProbeRow

__all__ = [
    "BaselineComparison",
    "PreparedProbe",
    "ProbeConfig",
    "ProbeResult",
    "ProbeRow",
    "load_probe_config",
    "prepare_probe",
    "run_probe",
]
