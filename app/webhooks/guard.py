"""Decides where we may connect to on somebody else's word: to the public internet, and by TLS.

A customer names the URL, and we stand inside a network: what we can reach, he must not reach
through us. A URL is judged when it is given and again before each delivery, and each address that
its name leads to is judged before a connection goes there.

Addresses are judged by a list of what is not public, because the library's own word for it says
yes to multicast, to NAT64 and to 6to4 of 127.0.0.1. An address that carries another one is
refused as a whole: nobody serves webhooks there. The other trap is two readers of one URL: a host
that we read as one name and the client library as another. So a URL is taken apart by one strict
pattern and put together again from the parts, and what does not fit is refused, not repaired.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

# One sentence for all: which of our own names exist is nobody's business.
NOT_PUBLIC: Final = "it has no public address"
URL_LENGTH_MAX: Final = 2_048
HOST_LENGTH_MAX: Final = 253
# Where TLS is served in public; any other port is somebody's database.
PORTS: Final = frozenset({443, 8443})
_URL: Final = re.compile(
    r"(https?)://(\[[0-9A-Fa-f.]{0,39}:[0-9A-Fa-f:.]{1,44}\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?"
    r"((?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?)",
    re.ASCII,
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# 127.1, 0x7f.1, 2130706433, 0177.0.0.1: the system's resolver reads all of them as addresses.
_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.ASCII)
# Names that mean this machine, this network or nobody.
_OURS: Final = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa")
_RESERVED: Final = ("test", "example", "invalid", "onion", "alt")
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a carrier
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and every cloud's metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# Of IPv6 only 2000::/3 is public at all: that leaves out ::, ::1, ::/96, ::ffff:0:0/96 (mapped),
# 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64), 100::/64, fc00::/7, fe80::/10, fec0::/10 and ff00::/8.
_PUBLIC_6: Final = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarks and other assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Forbidden(Exception):
    """A URL or an address to which we do not connect, and why."""


class Rules(NamedTuple):
    """What the settings allow."""

    hosts: tuple[str, ...] = ()  # these and what is below them; none: any that is public
    loopback: bool = False  # http to this machine, for development


class Target(NamedTuple):
    """A URL that was judged, in its parts."""

    scheme: str
    host: str  # in lower case, an IPv6 address without its brackets
    port: int
    path: str  # with its query

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def target_of(url: str, rules: Rules) -> Target:
    """Return where a URL leads, or raise `Forbidden`."""
    found = _URL.fullmatch(url)
    if found is None or len(url) > URL_LENGTH_MAX:
        raise Forbidden(
            "expected https://host/path in plain ASCII, without user, password or fragment"
        )
    scheme, host, port, path = found.groups()
    host = host.lower()
    number = int(port) if port else 443 if scheme == "https" else 80
    target = Target(scheme, host.strip("[]"), number, path if path.startswith("/") else f"/{path}")
    if rules.loopback and _is_loopback(target.host):
        return target
    if scheme != "https":
        raise Forbidden("expected https")
    if number not in PORTS:
        raise Forbidden(f"expected port {' or '.join(map(str, sorted(PORTS)))}")
    _check_host(host, rules)
    return target


def check_address(address: str, rules: Rules) -> None:
    """Raise `Forbidden` unless an address that a name led to is one we may connect to."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:  # a zone, or no address at all
        raise Forbidden(NOT_PUBLIC) from None
    if rules.loopback and any(read in network for network in _LOOPBACK):
        return
    if not _is_public(read):
        raise Forbidden(NOT_PUBLIC)


def check_addresses(addresses: Sequence[str], rules: Rules) -> None:
    """Judge every address of a name: one that is not public condemns the name."""
    if not addresses:
        raise Forbidden(NOT_PUBLIC)
    for address in addresses:
        check_address(address, rules)


def _check_host(host: str, rules: Rules) -> None:
    if host.startswith("["):
        check_address(host.strip("[]"), rules)
    else:
        labels = host.split(".")
        if all(_NUMBER.fullmatch(label) for label in labels) or _NUMBER.fullmatch(labels[-1]):
            _check_dotted(host, rules)
        else:
            _check_name(host, labels)
    if rules.hosts and not any(host == h or host.endswith(f".{h}") for h in rules.hosts):
        raise Forbidden("this gateway sends to the hosts that its settings name, and to no other")


def _check_dotted(host: str, rules: Rules) -> None:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise Forbidden("expected a name, or an address as four decimal numbers") from None
    check_address(host, rules)


def _check_name(host: str, labels: list[str]) -> None:
    if len(host) > HOST_LENGTH_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise Forbidden("expected a host name; one with other letters as xn--…")
    if len(labels) < 2 or labels[-1] in (*_OURS, *_RESERVED):  # noqa: PLR2004 - a name has a dot
        raise Forbidden("expected a public host name")


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    if address.scope_id is not None or address not in _PUBLIC_6:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        read = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(read in network for network in _LOOPBACK)
