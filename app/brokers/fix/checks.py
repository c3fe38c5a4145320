"""What is wrong with a message whose frame was right, as a Reject says it. Pure.

A peer that is not who it should be, or whose clock is not ours, is `misplaced`: reject it and
log out. One bad field is `faulty`: reject that message and go on. The trap is zeal: we have
no dictionary, and a fill rejected for a tag that its broker made up is a fill lost. So tags
that we do not know are passed over, and an application's own fields are the reader's business.
"""

from collections.abc import Mapping
from typing import Final

from app.brokers.fix import stamps, tags
from app.brokers.fix.commands import Fault, Identity, Message

# FIX's own suggestion: a message two minutes old or early is a replay, or a clock is wrong.
ACCURACY_MS: Final = 120_000

_HEADER: Final = (tags.SENDER, tags.TARGET, tags.SENDING_TIME)
_ONCE: Final = frozenset(
    {tags.NUMBER, tags.MESSAGE_TYPE, tags.POSSIBLE_DUPLICATE, tags.POSSIBLE_RESEND}
    | {*_HEADER, tags.ORIGINAL_SENDING_TIME}
    | {tags.NEW_NUMBER, tags.GAP_FILL, tags.BEGIN_NUMBER, tags.END_NUMBER, tags.TEST_ID}
)
_REQUIRED: Final[dict[str, tuple[int, ...]]] = {
    tags.TEST_REQUEST: (tags.TEST_ID,),
    tags.RESEND_REQUEST: (tags.BEGIN_NUMBER, tags.END_NUMBER),
    tags.SEQUENCE_RESET: (tags.NEW_NUMBER,),
    tags.REJECT: (tags.REFERENCED_NUMBER,),
    tags.LOGON: (tags.ENCRYPTION, tags.HEARTBEAT),
}
_WHOLE_NUMBERS: Final[dict[str, tuple[int, ...]]] = {
    tags.RESEND_REQUEST: (tags.BEGIN_NUMBER, tags.END_NUMBER),
    tags.SEQUENCE_RESET: (tags.NEW_NUMBER,),
    tags.REJECT: (tags.REFERENCED_NUMBER,),
    tags.LOGON: (tags.HEARTBEAT, tags.NEXT_EXPECTED),
}
_EVERYWHERE: Final = (tags.POSSIBLE_DUPLICATE, tags.POSSIBLE_RESEND)
_FLAGS: Final[dict[str, tuple[int, ...]]] = {
    tags.SEQUENCE_RESET: (*_EVERYWHERE, tags.GAP_FILL),
    tags.LOGON: (*_EVERYWHERE, tags.RESET_NUMBERS),
}
# What is read of a report; a blank in any other field of it says nothing less.
_MEANT: Final = frozenset(
    {tags.NUMBER, *_HEADER, tags.ORIGINAL_SENDING_TIME, tags.POSSIBLE_DUPLICATE}
    | {tags.POSSIBLE_RESEND, tags.CLIENT_ORDER_ID, tags.ORIGINAL_CLIENT_ORDER_ID, tags.ORDER_ID}
    | {tags.EXECUTION_ID, tags.REFERENCED_EXECUTION_ID, tags.EXECUTION_TYPE, tags.TRANSACTION}
    | {tags.ORDER_STATUS, tags.LAST_QUANTITY, tags.LAST_PRICE, tags.FILLED_QUANTITY}
    | {tags.TRANSACT_TIME, tags.TRADE_DATE, tags.STATUS_ID, tags.ORDER_REJECT_REASON}
    | {tags.CANCEL_REJECT_REASON, tags.CANCEL_REJECT_RESPONSE, tags.REFERENCED_NUMBER}
    | {tags.REFERENCED_TYPE, tags.BUSINESS_REFERENCE, tags.BUSINESS_REASON, tags.LIST_ID}
)
_YES_OR_NO: Final = frozenset({"Y", "N"})
# As long as a sequence number may be: nothing here is turned into a number without a bound.
_DIGITS_MAX: Final = 10


def misplaced(identity: Identity, values: Mapping[int, str], wall_ms: int) -> Fault | None:
    """Return why nothing from this peer may be believed; missing fields are only faulty."""
    if values.get(tags.SENDER, identity.target) != identity.target:
        return Fault(tags.COMP_ID_PROBLEM, str(tags.SENDER), "CompID problem")
    if values.get(tags.TARGET, identity.sender) != identity.sender:
        return Fault(tags.COMP_ID_PROBLEM, str(tags.TARGET), "CompID problem")
    sent = stamps.read(values.get(tags.SENDING_TIME, ""))
    if sent is None:
        return None
    first = stamps.read(values.get(tags.ORIGINAL_SENDING_TIME, ""))
    is_late = first is not None and first > sent and values.get(tags.POSSIBLE_DUPLICATE) == "Y"
    if abs(sent - wall_ms) > ACCURACY_MS or is_late:
        tag = tags.ORIGINAL_SENDING_TIME if is_late else tags.SENDING_TIME
        return Fault(tags.TIME_PROBLEM, str(tag), "SendingTime accuracy problem")
    return None


def faulty(message: Message, values: Mapping[int, str]) -> Fault | None:
    """Return the first thing for which this one message is to be rejected."""
    if message.fault is not None:
        return message.fault
    if len(values) != len(message.fields):
        seen: set[int] = set()
        for tag, _ in message.fields:
            if tag in seen and tag in _ONCE:
                return Fault(tags.TAG_REPEATED, str(tag), "Tag appears more than once")
            seen.add(tag)
    return (
        _missing(values, _HEADER)
        or _wrong_type(message.type)
        or _missing(values, _REQUIRED.get(message.type, ()))
        or _badly_written(message.type, values)
    )


def is_beside(fault: Fault) -> bool:
    """Whether it is a blank in a field that nobody here reads, as brokers leave in Text (58)."""
    return fault.reason == tags.NO_VALUE and fault.tag not in {str(tag) for tag in _MEANT}


def _wrong_type(type_: str) -> Fault | None:
    # U… are types that two sides agreed on; that we did not is the application's answer.
    if type_ in tags.TYPES or type_.startswith("U"):
        return None
    return Fault(tags.INVALID_TYPE, None, "Invalid MsgType")


def _missing(values: Mapping[int, str], wanted: tuple[int, ...]) -> Fault | None:
    for tag in wanted:
        if tag not in values:
            return Fault(tags.TAG_MISSING, str(tag), "Required tag missing")
    return None


def _badly_written(type_: str, values: Mapping[int, str]) -> Fault | None:
    for tag in (tags.SENDING_TIME, tags.ORIGINAL_SENDING_TIME):
        if tag in values and stamps.read(values[tag]) is None:
            return _format_of(tag)
    for tag in _FLAGS.get(type_, _EVERYWHERE):
        if values.get(tag, "Y") not in _YES_OR_NO:
            return _format_of(tag)
    for tag in _WHOLE_NUMBERS.get(type_, ()):
        text = values.get(tag, "0")
        if not text.isdecimal() or len(text) > _DIGITS_MAX:
            return _format_of(tag)
    return None


def _format_of(tag: int) -> Fault:
    return Fault(tags.BAD_FORMAT, str(tag), "Incorrect data format for value")
