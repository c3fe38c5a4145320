"""What settings say of one FIX session, checked while we are still starting.

The trap is an option that is misspelled and silently means its default: a session without TLS, or
without its hours. So what is unknown or contradictory is refused, and the message says why.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from app.brokers.fix.commands import Identity
from app.domain.windows import Window, read_window

PORT_MAX: Final = 65_535
COUNTED: Final = frozenset({"orders", "messages"})


class Host(NamedTuple):
    """One address of the broker; the next one is tried when it fails."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How both ends of an encrypted session prove who they are."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context that verifies the broker's certificate and its name, always."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """Where the line leads, when it is up, and what leaves on it in a second."""

    hosts: tuple[Host, ...]
    session_id: str
    tls: TlsOptions | None
    windows: tuple[Window, ...]
    per_second_max: int  # the broker's contract, counted when bytes leave
    counts_all: bool  # whether that counts every message, not orders and cancels alone
    connect_s: float = 5.0
    # A broker that is away is asked often at first, and then seldom enough not to be banned.
    back_off_s_min: float = 0.25
    back_off_s_max: float = 30.0
    # A broker whose buffers, and the system's, take nothing for so long reads nothing any more. Its
    # host may still answer every probe of TCP, so nobody else would ever end the connection.
    write_s: float = 10.0
    # How long goodbye may take, its answer included, before the line is cut.
    farewell_s: float = 2.0
    keep_days: int = 7


def read_hosts(given: str | Sequence[str]) -> tuple[Host, ...]:
    """Read `host:port`, or several in the order in which they are tried."""
    named = [given] if isinstance(given, str) else list(given)
    hosts = []
    for each in named:
        name, _, port = each.rpartition(":")
        if not name or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
            raise ValueError(f"hosts: expected host:port, was {each!r}")
        hosts.append(Host(name.strip("[]"), int(port)))
    if not hosts:
        raise ValueError("hosts: expected at least one host:port")
    return tuple(hosts)


def read_tls(given: bool | Mapping[str, Any]) -> TlsOptions | None:  # noqa: FBT001 - as settings write it
    """Read `true`, `false`, or the files by name."""
    if isinstance(given, bool):
        return TlsOptions() if given else None
    strange = sorted(set(given) - set(TlsOptions.__dataclass_fields__))
    if strange:
        known = sorted(TlsOptions.__dataclass_fields__)
        raise ValueError(f"tls: expected {known}, found {strange}")
    options = TlsOptions(**given)
    if options.key_file is not None and options.cert_file is None:
        raise ValueError("tls: a key_file needs its cert_file")
    return options


def read_line(  # noqa: PLR0913 - keyword-only options, as settings name them
    identity: Identity,
    *,
    hosts: str | Sequence[str],
    tls: bool | Mapping[str, Any] = False,
    windows: Sequence[Mapping[str, str]] = (),
    counts: str = "orders",
    per_second_max: int,
    session_id: str | None = None,
    **times: float,
) -> LineOptions:
    """Return the options of one line, or raise `ValueError` or `TypeError`."""
    if counts not in COUNTED:
        raise ValueError(f"counts: expected one of {sorted(COUNTED)}, was {counts!r}")
    own = session_id or f"{identity.begin_string}:{identity.sender}->{identity.target}"
    return LineOptions(
        hosts=read_hosts(hosts),
        session_id=own,
        tls=read_tls(tls),
        windows=tuple(read_window(window) for window in windows),
        per_second_max=per_second_max,
        counts_all=counts == "messages",
        **times,  # type: ignore[arg-type]
    )
