"""Finds a port to which a process that was killed can come back.

The trap is a port among those that the kernel lends to clients: somebody who connects elsewhere may
have it meanwhile, and one that calls the dead process again and again can be given it himself, and
is then connected with itself.
"""

from contextlib import suppress
from pathlib import Path
from secrets import randbelow
from socket import create_server
from typing import Final

PORTS: Final = 12_000
LENT: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Linux's own first port for clients, where we cannot ask for this machine's.
LENT_FROM: Final = 32_768
# Below it a process needs rights.
FIRST: Final = 1_024


def free_port() -> int:
    """Find a port that nobody listens on, below those that the kernel lends to clients."""
    below = int(LENT.read_text("utf-8").split()[0]) if LENT.exists() else LENT_FROM
    first = max(below - PORTS, FIRST)
    while True:
        port = first + randbelow(max(below, FIRST + PORTS) - first)
        with suppress(OSError), create_server(("127.0.0.1", port)):
            return port
