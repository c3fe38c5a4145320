"""The doors themselves over HTTP: the house of the web tests, on a port of this machine."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.web.house import Gateway


@contextmanager
def served(gateway: Gateway, port: int = 0) -> Iterator[str]:
    """Serve the doors on a free port, on a loop of their own."""
    bound = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(gateway.client.app, lifespan="off", log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()
