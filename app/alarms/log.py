"""The default: one line of JSON for each message, in the program's log.

It is also where a message goes that no other channel would take, so that it stands somewhere.
"""

import logging
from typing import Final

from app import codec
from app.alarms.alarm import Answer, Told
from app.alarms.message import Message
from app.alarms.news import Level

NAME: Final = "openbell.alarms"
_log: Final = logging.getLogger(NAME)


class LogAlarm:
    """Tells whoever reads the log."""

    pause_s = 0.0

    async def tell(self, message: Message, thread: str | None) -> Answer:  # noqa: ARG002 - a port
        """Write it down."""
        level = logging.ERROR if message.level >= Level.CRITICAL else logging.WARNING
        _log.log(level, "%s", line(message))
        return Told("logged")

    async def close(self) -> None:
        """Nothing is open."""


def line(message: Message, **more: str) -> str:
    """Return a message as one line."""
    facts = {
        "event": "alarm",
        "incident_id": message.incident_id,
        "level": message.level.name.lower(),
        "drill": message.drill,
        "title": message.title,
        "news": message.news,
        "did": message.did,
        "left": message.left,
        "fields": dict(message.fields),
        **more,
    }
    return codec.text(facts)
