"""The one thing that every folder of tests may ask for: time that costs nothing."""

from collections.abc import Iterator

import pytest

from tests.virtual import Virtual


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """Lend a virtual loop and its clock: `virtual.run(coroutine)`, `virtual.clock.now()`."""
    with Virtual() as virtual:
        yield virtual
