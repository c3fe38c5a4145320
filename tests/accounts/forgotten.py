"""What pymongo's asynchronous client forgets: a socket, when it is closed while it connects.

The garbage collector closes it, with a warning that our tests take for an error, and it would
fall on whichever test runs then. So a test of that client carries `FORGETS_SOCKETS`, and collects
before it ends. To be taken out with PYTHON-5867 (mongo-python-driver#2858, not in 4.20).
"""

import gc
from typing import Final

import pytest

from app.accounts.mongo import Driver

FORGETS_SOCKETS: Final = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def collect(driver: Driver) -> None:
    """Close what the client forgot, while the warning is still ignored."""
    if driver == "pymongo":
        gc.collect()
