from .probe import ProbeResult, prepare, run_probe

__all__ = [
    "ProbeResult",
    "prepare",
    "run_probe",
]
