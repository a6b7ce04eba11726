"""Energy is what the machine counted, and nothing where it counted nothing."""

from pathlib import Path

import pytest

from skyweave.inference.stac.energy import count_energy, describe_energy


def write_counter(folder: Path, name: str, energy: int) -> None:
    package = folder / name
    package.mkdir(exist_ok=True)
    (package / "energy_uj").write_text(str(energy))
    (package / "max_energy_range_uj").write_text("1000000000")


def test_counters_of_all_packages_also_when_they_start_anew(tmp_path: Path) -> None:
    write_counter(tmp_path, "intel-rapl:0", 5_000_000)
    write_counter(tmp_path, "intel-rapl:1", 999_000_000)
    write_counter(tmp_path, "intel-rapl:0:0", 0)  # a part of a package
    with count_energy(tmp_path) as use:
        write_counter(tmp_path, "intel-rapl:0", 8_000_000)
        write_counter(tmp_path, "intel-rapl:1", 1_000_000)
        write_counter(tmp_path, "intel-rapl:0:0", 2_000_000)
    assert use.joules == pytest.approx(3 + 2)


def test_nothing_is_made_up(tmp_path: Path) -> None:
    with count_energy(tmp_path / "none") as use:
        pass
    assert use.joules is None
    fields = describe_energy("cpu", 3.0, None)
    assert set(fields) == {"device_type", "inference_duration_s", "name", "platform"} and fields["name"]
    assert "energy_kwh" not in describe_energy("mps", 3.0, 10.0)  # the processor's energy is not the accelerator's
