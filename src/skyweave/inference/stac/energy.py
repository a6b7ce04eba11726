"""What a run used of energy, where the machine counts it, and on what it ran."""

import contextlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RAPL_FOLDER = Path("/sys/class/powercap")
"""Where Linux shows the energy counters of the processor packages."""
JOULES_PER_KWH = 3.6e6


@dataclass
class EnergyUse:
    """Energy of a run.

    Attributes:
        joules: of the processor packages; None: the machine does not count it, or only for its administrator.
    """

    joules: float | None = None


@contextlib.contextmanager
def count_energy(folder: Path = RAPL_FOLDER) -> Iterator[EnergyUse]:
    """Yield a record that is complete after the block: what the processors used, by this and all other programs.

    Args:
        folder: of the counters.
    """
    use, before = EnergyUse(), _read_counters(folder)
    try:
        yield use
    finally:
        use.joules = _energy_since(before, folder)


def describe_energy(device: str, seconds: float, joules: float | None) -> dict[str, Any]:
    """Return the ``emb:energy`` object; what was not measured is left out.

    Args:
        device: where the model computed, as torch names it.
        seconds: of wall-clock time.
        joules: of the processor packages, if counted; left out where another device computed.
    """
    is_cpu = device.startswith("cpu")
    fields: dict[str, Any] = {
        "device_type": "cpu" if is_cpu else "gpu",
        "inference_duration_s": round(seconds, 3),
        "name": _device_name(device),
        "platform": "local",
    }
    if joules is not None and is_cpu:
        fields["energy_kwh"] = joules / JOULES_PER_KWH
        if seconds > 0:
            fields["avg_power_w"] = joules / seconds
    return fields


def _read_counters(folder: Path) -> dict[Path, int]:
    """Return the counters of whole packages in microjoules; none where they are missing or cannot be read."""
    counters = {}
    for path in folder.glob("intel-rapl:[0-9]*"):
        if path.name.count(":") == 1:
            with contextlib.suppress(OSError, ValueError):
                counters[path] = int((path / "energy_uj").read_text())
    return counters


def _energy_since(before: dict[Path, int], folder: Path) -> float | None:
    """Return the joules since counters were read, each of which starts anew after its largest value."""
    after = _read_counters(folder)
    if not before or before.keys() != after.keys():
        return None
    microjoules = 0
    for path, start in before.items():
        used = after[path] - start
        if used < 0:
            try:
                used += int((path / "max_energy_range_uj").read_text())
            except (OSError, ValueError):
                return None
        microjoules += used
    return microjoules / 1e6


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    if not device.startswith("cpu"):
        return device
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
