from .probe import ProbeResult, prepare_probe, run_probe

__all__ = [
    "ProbeResult",
    "prepare_probe",
    "run_probe",
]
