"""What every test may ask for."""

import os
from pathlib import Path

import hypothesis
import pytest

# At a desk, new examples every time; in CI the same ones, so that a change is judged by what it changed.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)  # machines are shared there
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real imagery: ``$SKYWEAVE_DATA``, else ``../shared/data`` beside the checkout.

    Without it a test is skipped on a desk and fails in CI, where it is meant to be.
    """
    declared = os.environ.get("SKYWEAVE_DATA")
    folder = Path(declared) if declared else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        message = f"no real imagery at {folder}; set SKYWEAVE_DATA to its folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
