"""Two listeners before one application: clients at one, operators at the other, probes at both.

Where the settings name a port for operators, their API, the console, the metrics and the alerts of
other systems answer there alone, and what clients and brokers call answers at the other port alone;
at the wrong one there is no such thing. So a network can keep strangers from the powers of this
house by a port, before any key is asked for. A broker's reports come from outside, signed, so they
are no operators' affair. The trap is a header that says where a request was sent to: what counts
is the socket that it came in by.
"""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

OPERATORS: Final = ("/admin/", "/console", "/hooks/", "/metrics")
CLIENTS: Final = ("/v1/", "/hooks/brokers/")


def stands_at(path: str, *, operators: bool) -> bool:
    """Return whether a path is served at the operators' listener, or at the clients'."""
    if path.startswith(CLIENTS):
        return not operators
    return operators or not path.startswith(OPERATORS)


class Listeners:
    """An ASGI application around the doors that have two listeners."""

    def __init__(self, rooms: ASGIApp, admin_port: int) -> None:
        self._rooms = rooms
        self._admin_port = admin_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, port = scope.get("server") or ("", None)
        operators = port == self._admin_port
        if scope["type"] == "http" and not stands_at(scope["path"], operators=operators):
            raise HTTPException(404)
        await self._rooms(scope, receive, send)
