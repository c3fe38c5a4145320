"""Lends each story a floor of its own, moments before the bell."""

from collections.abc import Iterator

import pytest

from tests.scenarios.floor import SESSION_OPENS, Floor
from tests.virtual import Virtual

# The process has been up for a second when the bell rings: its first window is open by then.
BEFORE_THE_BELL_MS = 1_500


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """Lend the time shortly before the bell: a minute of waiting costs more than most stories."""
    with Virtual(now=SESSION_OPENS - BEFORE_THE_BELL_MS) as virtual:
        yield virtual


@pytest.fixture
def floor(virtual: Virtual) -> Iterator[Floor]:
    """Lend a gateway that is ready."""
    floor = Floor(virtual)
    yield floor
    floor.crash()
