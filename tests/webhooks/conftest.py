"""One room for each test, in virtual time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.virtual import Virtual
from tests.webhooks.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Lend a room with nobody to tell."""
    with Virtual() as virtual:
        rig = Rig(virtual, tmp_path)
        yield rig
        rig.close()
