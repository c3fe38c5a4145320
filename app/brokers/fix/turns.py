"""What is done about each message after the logon, by its number and its type. Pure.

First whether the peer may be believed, then whether it is this message's turn, then what it
says. The trap is to skip the turn: a report obeyed before the one that is missing would let
the number move past it, and the fill in the gap would never be asked for.
"""

from collections.abc import Mapping
from typing import Final

from app.brokers.fix import checks, logon, sayings, tags
from app.brokers.fix.commands import (
    Alarm,
    Command,
    Deliver,
    Disconnect,
    Fault,
    Fill,
    Instant,
    Message,
    ResetNumbers,
)
from app.brokers.fix.standing import OUT_OF_RANGE, Standing, State, text_of, too_low

# What somebody here reads. Any other type is answered that we do not support it.
READ: Final = frozenset(
    {tags.EXECUTION_REPORT, tags.CANCEL_REJECT, tags.BUSINESS_REJECT, tags.LIST_STATUS}
)

# A request to begin anew, and the one that is the answer to our answer.
ECHO: Final = 2
_Values = Mapping[int, str]


def obeyed(standing: Standing, message: Message, values: _Values, at: Instant) -> list[Command]:
    """Return what to do about a message of a session that is logged on."""
    if message.begin_string != standing.identity.begin_string:
        return standing.leave("Incorrect BeginString", at)
    if message.number < 0:
        return standing.cut("MsgSeqNum missing")
    fault = checks.misplaced(standing.identity, values, at.wall_ms)
    if fault is not None:
        # It may be a fill that lay in our socket while we were stopped: its number does not move,
        # so after the next logon it is asked for, and comes again under a stamp of then.
        return [*standing.disbelieved(message, fault), *standing.leave(fault.words, at)]
    if _is_reset_logon(message, values):
        return _begun_anew(standing, message, values, at)
    if message.type == tags.SEQUENCE_RESET and values.get(tags.GAP_FILL) != "Y":
        return _reset(standing, message, values, at)
    return _by_number(standing, message, values, at)


def _by_number(standing: Standing, message: Message, values: _Values, at: Instant) -> list[Command]:
    if message.number > standing.inbound.next_in:
        return _came_early(standing, message, values, at)
    if message.number < standing.inbound.next_in:
        return _came_again(standing, message, values)
    fault = checks.faulty(message, values)
    if fault is not None and not (message.type in READ and checks.is_beside(fault)):
        rejected = standing.rejected(message, fault, at)
        # A broker says no report again because we reject it: whoever reads them keeps this one.
        is_lost = message.type in READ
        return [Deliver(message._replace(fault=fault)), *rejected] if is_lost else rejected
    if message.type in tags.SESSION_TYPES:
        return _of_session(standing, message, values, at)
    if message.type in READ:
        return [Deliver(message), *standing.turned(message, at)]
    return [sayings.unsupported(message), *standing.turned(message, at)]


def _of_session(
    standing: Standing, message: Message, values: _Values, at: Instant
) -> list[Command]:
    """Obey the very message that was expected."""
    match message.type:
        case tags.TEST_REQUEST:
            return [*standing.turned(message, at), sayings.heartbeat(values[tags.TEST_ID])]
        case tags.RESEND_REQUEST:
            return [*_asked(standing, message, values, at), *standing.turned(message, at)]
        case tags.SEQUENCE_RESET:
            return _gap_filled(standing, message, values, at)
        case tags.LOGOUT:
            return _logged_out(standing, message, values, at)
        case tags.LOGON:
            return standing.cut("Logon while logged on")
        case tags.REJECT:
            said = Alarm(f"the broker rejected a message of ours: {text_of(values)}")
            return [Deliver(message), said, *standing.turned(message, at)]
        case _:  # a heartbeat
            standing.outbound.answered(values.get(tags.TEST_ID))
            return standing.turned(message, at)


def _came_early(
    standing: Standing, message: Message, values: _Values, at: Instant
) -> list[Command]:
    """Ask for what is missing; only what cannot wait for its turn is obeyed now."""
    commands: list[Command] = []
    if checks.faulty(message, values) is None:
        if message.type == tags.RESEND_REQUEST:  # both sides wait for each other otherwise
            commands = _asked(standing, message, values, at)
        elif message.type == tags.LOGOUT:
            return _logged_out(standing, message, values, at)
        elif message.type == tags.HEARTBEAT_TYPE:  # a heartbeat is not resent
            standing.outbound.answered(values.get(tags.TEST_ID))
    if standing.state is State.LEAVING:
        return commands
    return [*commands, *standing.early(message, at, ask=True)]


def _came_again(standing: Standing, message: Message, values: _Values) -> list[Command]:
    if values.get(tags.POSSIBLE_DUPLICATE) != "Y":
        return standing.cut(too_low(message, standing.inbound.next_in))
    is_reset = message.type == tags.SEQUENCE_RESET
    if is_reset or tags.ORIGINAL_SENDING_TIME in values or message.type == tags.REJECT:
        return []  # we have it
    tag = str(tags.ORIGINAL_SENDING_TIME)
    return [sayings.reject(message, Fault(tags.TAG_MISSING, tag, "Required tag missing"))]


def _gap_filled(
    standing: Standing, message: Message, values: _Values, at: Instant
) -> list[Command]:
    new = int(values[tags.NEW_NUMBER])
    if new <= message.number:
        fault = Fault(tags.BAD_VALUE, str(tags.NEW_NUMBER), OUT_OF_RANGE)
        return standing.rejected(message, fault, at)
    return standing.moved(new, at)


def _reset(standing: Standing, message: Message, values: _Values, at: Instant) -> list[Command]:
    """Obey a SequenceReset that is no gap fill: its own number means nothing."""
    fault = checks.faulty(message, values)
    if fault is not None:
        return standing.rejected(message, fault, at)
    new, expected = int(values[tags.NEW_NUMBER]), standing.inbound.next_in
    if new < expected:
        fault = Fault(tags.BAD_VALUE, str(tags.NEW_NUMBER), OUT_OF_RANGE)
        return [sayings.reject(message, fault)]
    if new == expected:
        return []
    skipped = f"the broker skipped its numbers {expected} to {new - 1}: look orders up"
    return [Alarm(skipped), *standing.moved(new, at)]


def _begun_anew(
    standing: Standing, message: Message, values: _Values, at: Instant
) -> list[Command]:
    """Obey a Logon with 141=Y in mid-session: both sides count from 1 again."""
    refusal = logon.refusal(standing.identity, message, values, at.wall_ms)
    if refusal is not None or standing.state is State.LEAVING:
        return standing.cut(refusal or "a new numbering while logging out")
    standing.begun_anew += 1
    if standing.begun_anew > 1:
        return _begun_again(standing, message)
    said = "the broker began a new numbering"
    standing.begin(at, State.TESTING, next_out=1, next_in=1)
    answer = sayings.logon(standing.identity, 1, reset=True)
    turn = standing.turned(message, at)
    return [Alarm(said), ResetNumbers(said), answer, *turn, *standing.test(at)]


def _begun_again(standing: Standing, message: Message) -> list[Command]:
    """Obey the same request again, before the numbering that it asked for has stood its test.

    Engines that take our answer for a request of ours answer it in turn, and count as we do from
    there. Whoever answers an answer to that would go on for ever.
    """
    nothing_since = standing.inbound.next_in == message.number + 1
    if standing.begun_anew == ECHO and nothing_since:
        return [Alarm("the broker answers a new numbering with another one")]
    return standing.cut("the broker keeps beginning a new numbering")


def _asked(standing: Standing, message: Message, values: _Values, at: Instant) -> list[Command]:
    """Answer a ResendRequest: nothing is ever sent again, everything is a gap."""
    begin, end = int(values[tags.BEGIN_NUMBER]), int(values[tags.END_NUMBER])
    if not begin or 0 < end < begin:
        tag = tags.END_NUMBER if begin else tags.BEGIN_NUMBER
        return [sayings.reject(message, Fault(tags.BAD_VALUE, str(tag), OUT_OF_RANGE))]
    outbound = standing.outbound
    next_out = outbound.next_out
    if begin > next_out:
        return standing.cut(f"expected a request up to {next_out}, was for {begin}")
    if begin == next_out:
        return []
    was_tested = outbound.tested
    outbound.lacks(begin)
    if outbound.is_looping:
        return standing.cut(f"the broker keeps asking for {begin}")
    fill = Fill(begin, None if end == 0 or end >= next_out - 1 else end + 1)
    if was_tested or standing.state is State.LEAVING:
        said = f"the broker asked again for {begin} to {end or next_out - 1}: filled, not sent"
        return [fill, Alarm(said)]
    return [fill, *standing.test(at)]


def _logged_out(
    standing: Standing, message: Message, values: _Values, at: Instant
) -> list[Command]:
    turn = standing.turned(message, at)
    said = f"the broker logged out: {text_of(values)}"
    if standing.state is State.LEAVING:
        return [*turn, Disconnect(said)]
    return [*turn, sayings.logout(None), Disconnect(said)]


def _is_reset_logon(message: Message, values: _Values) -> bool:
    is_first = message.type == tags.LOGON and message.number == 1
    return is_first and values.get(tags.RESET_NUMBERS) == "Y"
