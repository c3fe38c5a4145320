"""How the session of a broker that lives on one stands: what operators see of it.

Its numbers are shown as whoever holds it has them; the record may be ahead. The trap is a state
that says "up" of a connection: up is a session whose logon has stood its test.
"""

from typing import NamedTuple


class SessionStatus(NamedTuple):
    """A broker's session in one look. Instants are milliseconds since 1970 UTC."""

    session_id: str
    state: str  # logged_on, connecting, waiting, refused, closed (no hours), standing_by
    why: str | None
    host: str | None
    since: int  # when it came to this state
    numbering: int
    next_out: int
    next_in: int
    last_out_at: int | None
    last_in_at: int | None
    alarm: str | None  # the last thing that a person should have heard of
