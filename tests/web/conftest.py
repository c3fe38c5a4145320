"""One house with open doors for each test."""

from pathlib import Path

import pytest

from tests.web.house import Gateway, a_gateway


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """Lend a gateway that stands one minute before the bell."""
    return a_gateway(tmp_path)
