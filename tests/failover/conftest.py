"""The house in which a route is led."""

from collections.abc import Iterator

import pytest

from tests.failover.house import House
from tests.virtual import Virtual


@pytest.fixture
def house() -> Iterator[House]:
    with Virtual() as virtual:
        house = House(virtual)
        yield house
        house.close()
