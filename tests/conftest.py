"""What every folder of tests may ask for: time that costs nothing, and real servers."""

from collections.abc import Iterator

import pytest

from tests.virtual import Virtual

# `postgres`, `redis`, `kafka`, `mongo`, FIX acceptors: started when a test asks, ended with it all.
pytest_plugins = ["tests.servers.plugin"]


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """Lend a virtual loop and its clock: `virtual.run(coroutine)`, `virtual.clock.now()`."""
    with Virtual() as virtual:
        yield virtual
