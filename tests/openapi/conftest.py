"""One running gateway for each file here: what one test has left is there for the next."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.openapi.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Lend a gateway on the embedded default."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    stage.process.start()
    with closing(stage):
        yield stage
