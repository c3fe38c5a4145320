"""Whether the peer's answer to our Logon is one, and what it says of the numbers. Pure.

A first message that is anything but a good Logon ends the connection: nothing it says may be
believed, and nothing was risked yet. The trap is to follow a peer that counts otherwise than
we do: whoever adopts its number forgets which orders it may hold. So a numbering changes only
where we asked for that, and a peer that expects more than we ever sent is a person's business.
"""

from collections.abc import Mapping
from typing import Final

from app.brokers.fix import checks, tags
from app.brokers.fix.commands import Identity, Message
from app.domain.values import legible

# The peer's interval holds for both sides, because it will act on its own; not any, though.
HEARTBEAT_S_MAX: Final = 3_600
_QUOTED_MAX: Final = 120


def refusal(
    identity: Identity, message: Message, values: Mapping[int, str], wall_ms: int
) -> str | None:
    """Return why this is not the answer to our Logon, None if it is."""
    if message.begin_string != identity.begin_string:
        return "Incorrect BeginString"
    if message.type == tags.LOGOUT:
        text = legible(values.get(tags.TEXT, "no reason given"))[:_QUOTED_MAX]
        return f"the broker refused the logon: {text}"
    if message.type != tags.LOGON:
        return f"the first message was no Logon but {legible(message.type)[:8]}"
    fault = checks.misplaced(identity, values, wall_ms) or checks.faulty(message, values)
    if fault is not None:
        return f"a bad Logon: {fault.words} ({fault.tag})"
    if message.number < 1:
        return "a Logon without a number"
    if values[tags.ENCRYPTION] != "0":
        return "the broker wants encryption inside FIX; TLS is around it"
    if not 1 <= int(values[tags.HEARTBEAT]) <= HEARTBEAT_S_MAX:
        return f"a heartbeat each {values[tags.HEARTBEAT]} s"
    return None


def numbering_fault(message: Message, values: Mapping[int, str], *, began_anew: bool) -> str | None:
    """Return what is wrong with how the peer counts from this logon on."""
    if began_anew and message.number != 1:
        return f"expected a new numbering, was a Logon number {message.number}"
    if not began_anew and values.get(tags.RESET_NUMBERS) == "Y":
        return "the broker wants a new numbering; an operator may reset it"
    return None


def lost_numbers(values: Mapping[int, str], logon_number: int) -> str | None:
    """Say so if the peer expects a number (789) that we never came to."""
    expected = int(values.get(tags.NEXT_EXPECTED, "0"))
    if expected <= logon_number + 1:
        return None
    return f"the broker expects {expected}, we are at {logon_number + 1}: numbers were lost"


def expected_of_us(values: Mapping[int, str], logon_number: int) -> int | None:
    """Return from where on the peer lacks something, by its own NextExpectedMsgSeqNum (789)."""
    expected = int(values.get(tags.NEXT_EXPECTED, "0"))
    return expected if 1 <= expected <= logon_number else None
