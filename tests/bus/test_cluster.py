"""What a start asks of a cluster that is not ready yet."""

from types import SimpleNamespace

from app.bus.cluster import led
from tests.virtual import Virtual


class Young:
    """A cluster whose controller is found at the third look."""

    def __init__(self) -> None:
        self.cluster = SimpleNamespace(controller=None)
        self.looks = 0

    async def force_metadata_update(self) -> None:
        self.looks += 1
        self.cluster.controller = object() if self.looks == 3 else None


def test_a_cluster_without_a_controller_is_waited_for(virtual: Virtual) -> None:
    young = Young()
    virtual.run(led(SimpleNamespace(_client=young)))

    assert young.looks == 3
