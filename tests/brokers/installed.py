"""Makes adapters of the tests visible as an installed distribution of somebody else's."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def installed(place: Path, adapters: Iterable[type]) -> Iterator[None]:
    """Name each adapter by its class, in the entry-point group that settings read."""
    about = place / "planted-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    names = [f"{one.__name__} = {one.__module__}:{one.__name__}" for one in adapters]
    (about / "entry_points.txt").write_text("\n".join(["[openbell.brokers]", *names]))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        yield
