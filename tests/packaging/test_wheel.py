"""The sdist and the wheel hold what they must, and the wheel works in an environment where no checkout is.

The wheel is built from the sdist, as a package index would receive both. Its environment is new and empty, except that
it sees the third-party packages of the environment that runs the tests: installing torch again would take minutes.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import skyweave

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def distributions(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(repository), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel installed in it."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False)
    (wheel,) = distributions.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=folder)
    # A path in a .pth file does not run the .pth files there, so that an editable install of the checkout stays unseen.
    (site_packages(folder) / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_sdist_holds_what_make_test_needs(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "Makefile",
        "constraints.txt",
        "mkdocs.yml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "SECURITY.md",
        "tests/conftest.py",
        "scripts/docs_reference.py",
        "configs/world/crossing.yaml",
    } <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", "demo/", "site/"))]


def test_the_wheel_holds_the_package_and_its_data(distributions: Path, repository: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {f"skyweave/{file}" for file in files_under(repository / "src/skyweave")}
    configs = {f"skyweave/configs/{file}" for file in files_under(repository / "configs")}
    assert names == package | configs


def test_the_package_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.metadata, skyweave; print(skyweave.__file__, importlib.metadata.version('skyweave'), sep='|')"
    )
    file, _, version = run(str(installed / "bin/python"), "-c", program, cwd=tmp_path).strip().partition("|")
    assert Path(file).is_relative_to(site_packages(installed))
    assert version == skyweave.__version__


def test_the_demo_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    run(str(installed / "bin/skyweave"), "demo", "--fleet", "0", "-o", "demo", cwd=tmp_path)
    report = (tmp_path / "demo/report.html").read_text()
    assert "data:image/" in report
    assert "</html>" in report


def test_sensors_are_listed(installed: Path, tmp_path: Path) -> None:
    assert "sentinel2-l2a" in run(str(installed / "bin/skyweave"), "sensors", cwd=tmp_path)


def test_a_configuration_of_the_wheel_is_read(installed: Path, tmp_path: Path) -> None:
    config = site_packages(installed) / "skyweave/configs/world/crossing.yaml"
    command = [str(installed / "bin/skyweave"), "simulate", str(config), "-o", "recording"]
    run(*command, "--scenes", "1", "--frames", "1", cwd=tmp_path)
    assert list((tmp_path / "recording").rglob("sample_data.json"))


def files_under(folder: Path) -> list[str]:
    """Return the files in a folder, relative to it, without what Python caches."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return [file.as_posix() for file in files if "__pycache__" not in file.parts]


def site_packages(environment: Path) -> Path:
    """Return the folder of a virtual environment that packages are installed to."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))


def run(*command: str, cwd: Path) -> str:
    """Run a command where nothing points at the checkout; return its standard output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SKYWEAVE"))}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
