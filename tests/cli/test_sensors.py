"""``skyweave sensors``."""

import json

import pytest

from skyweave.cli.main import main
from skyweave.core.sensors import catalogue, get_sensor, sensor_from_dict


def test_the_list_names_every_sensor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in catalogue())


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries["sentinel1-grd"]["bands"] == ["vv", "vh"]
    assert entries["sentinel2-l2a"]["units"] == ["dn", "dn_offset1000", "reflectance"]


def test_one_sensor_as_json_is_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["sensors", "show", "naip", "--json"], ["sensors", "--json", "show", "naip"]):
        assert main(arguments) == 0
        assert sensor_from_dict(json.loads(capsys.readouterr().out)) == get_sensor("naip")


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_sensor_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "show", name]) == 0
    out = capsys.readouterr().out
    assert all(band.name in out for band in get_sensor(name).bands)


def test_an_unknown_sensor_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "show", "sentinel3"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: no sensor is called 'sentinel3', did you mean 'sentinel")
    assert err.count("\n") == 1
