"""One drawn ground for all flights."""

import pytest

from fabricated_flight import Drawn, draw_ground


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    return draw_ground()
