"""A message that nobody here could read, as it is kept for a person. Pure.

Its name is made of the number under which the broker said it, so that what is said again after a
crash is kept once. It is written as it stood on the wire, in the order of its fields. The trap is
a secret in a record that people read: names and passwords are left out.
"""

from app.brokers.fix import tags
from app.brokers.fix.commands import Message
from app.brokers.wire import TEXT_MAX
from app.domain.values import legible
from app.ports.sessions import Unread

# A key of ours has 28 characters; of a stranger's there is enough to search for.
ABOUT_MAX = 64


def unread(
    session_id: str, numbering: int, message: Message, about: str | None, cause: str
) -> Unread:
    """Return what is kept of a message of this numbering."""
    said = [(tag, value) for tag, value in message.fields if tag not in tags.SECRET]
    whole = "".join(f"{tag}={value}\x01" for tag, value in [(8, message.begin_string), *said])
    return Unread(
        name=f"{session_id}-{numbering}-{message.number}",
        about=legible(about or "")[:ABOUT_MAX],
        cause=legible(cause)[:TEXT_MAX],
        raw=whole.encode("latin-1", "replace"),
    )
