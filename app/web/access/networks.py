"""Decides whether an address lies in the networks that a key may come from.

What counts is the address that the connection came from, or the one that a proxy tells which the
server was told to believe (FORWARDED_ALLOW_IPS, this machine unless somebody says otherwise). The
trap is a list that means nothing: X-Forwarded-For is what its sender likes, so nobody here reads
it. An address that cannot be read lies nowhere.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

# A key comes from an office, a data centre and their successors.
NETWORKS_MAX: Final = 32


def network_of(text: str) -> str:
    """Return a network as it is always written, or raise `ValueError`: `10.1.0.0/16`, `::1`."""
    return str(_network(text))


def lies_in(address: str, networks: Sequence[str]) -> bool:
    """Return whether an address lies in one of these; a v4 address in v6's clothes is itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in _network(text) for text in networks)


@lru_cache(maxsize=1_024)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)
