"""What the session says of itself: its own messages, ready to send. Pure.

A Reject names the number, the tag and the reason, so that the broker's people can find what
we refused. The trap is a Reject of a Reject: two engines then refuse each other for ever.
"""

from typing import Final

from app.brokers.fix import tags
from app.brokers.fix.commands import Fault, Identity, Message, Send

# Long enough for any reason of ours; a stranger's text is never quoted whole.
TEXT_MAX: Final = 200


def logon(identity: Identity, next_in: int, *, reset: bool) -> Send:
    fields = [(tags.ENCRYPTION, "0"), (tags.HEARTBEAT, str(identity.heartbeat_s))]
    if reset:
        fields.append((tags.RESET_NUMBERS, "Y"))
    if identity.next_expected:
        fields.append((tags.NEXT_EXPECTED, str(next_in)))
    if identity.username is not None:
        fields.append((tags.USERNAME, identity.username))
    if identity.password is not None:
        fields.append((tags.PASSWORD, identity.password))
    return Send(tags.LOGON, tuple(fields))


def logout(text: str | None) -> Send:
    return Send(tags.LOGOUT, () if text is None else ((tags.TEXT, text[:TEXT_MAX]),))


def heartbeat(test_id: str | None = None) -> Send:
    return Send(tags.HEARTBEAT_TYPE, () if test_id is None else ((tags.TEST_ID, test_id),))


def test_request(test_id: str) -> Send:
    return Send(tags.TEST_REQUEST, ((tags.TEST_ID, test_id),))


def resend_request(begin: int) -> Send:
    """Ask for everything from here on (16=0): what came too early was thrown away."""
    return Send(tags.RESEND_REQUEST, ((tags.BEGIN_NUMBER, str(begin)), (tags.END_NUMBER, "0")))


def reject(message: Message, fault: Fault) -> Send:
    fields = [(tags.REFERENCED_NUMBER, str(max(0, message.number)))]
    if fault.tag is not None:
        fields.append((tags.REFERENCED_TAG, fault.tag))
    fields += [
        (tags.REFERENCED_TYPE, message.type),
        (tags.REJECT_REASON, str(fault.reason)),
        (tags.TEXT, fault.words),
    ]
    return Send(tags.REJECT, tuple(fields))


def unsupported(message: Message) -> Send:
    """Say that we know the type and have no use for it."""
    return Send(
        tags.BUSINESS_REJECT,
        (
            (tags.REFERENCED_NUMBER, str(message.number)),
            (tags.REFERENCED_TYPE, message.type),
            (tags.BUSINESS_REASON, tags.UNSUPPORTED_TYPE),
            (tags.TEXT, "Unsupported Message Type"),
        ),
    )
