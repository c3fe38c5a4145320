"""Remembers over a restart what people were told, so that it is not told again.

One small file: the incidents as people know them, as the events that said so, and where their
message stands. It is written after each message and before the events are committed; a crash
between the message and the file repeats that one message. Where the file is lost, the events
that were not committed are told again, and later news of an old incident opens a new message.

The trap is a memory that one can not do without: a file that cannot be read or written is said
once, and alarms go on.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from app import codec
from app.alarms.digest import Incident
from app.alarms.news import News, NotNews, read
from app.ports.bus import Event

_log: Final = logging.getLogger("openbell.alarms")
# A restart takes seconds: who goes on after it is among the last.
REMEMBERED_MAX: Final = 50
# What a file can be that somebody else has written.
_UNREADABLE: Final = (
    OSError,
    NotNews,
    codec.Malformed,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)


class Known(NamedTuple):
    """An incident as people know it, and the thread of its message if there is one."""

    incident: Incident
    thread: str | None


class Memory:
    """The file; without a path, nothing outlives the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def load(self) -> list[Known]:
        """Return what was known, the oldest first; nothing if that cannot be read."""
        if self._path is None or not self._path.exists():
            return []
        try:
            raw = await asyncio.to_thread(self._path.read_bytes)
            return [_known(one) for one in codec.decode(raw)]
        except _UNREADABLE as e:
            _log.warning("what people were told is forgotten: %s", type(e).__name__)
            return []

    async def save(self, known: Iterable[Known]) -> None:
        """Replace the file as a whole."""
        if self._path is None:
            return
        text = codec.encode([_told(one) for one in list(known)[-REMEMBERED_MAX:]])
        try:
            await asyncio.to_thread(_replace, self._path, text)
        except OSError as e:
            _log.warning("what people were told cannot be kept: %s", e)


def _replace(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(text)
    fresh.replace(path)


def _told(known: Known) -> dict[str, Any]:
    incident, thread = known
    events = [fact.event for fact in incident.facts.values()]
    return {
        "incident_id": incident.incident_id,
        "since": incident.since,
        "thread": thread,
        "events": [event._asdict() | {"payload": event.payload.decode()} for event in events],
    }


def _known(told: Mapping[str, Any]) -> Known:
    facts: dict[str, News] = {}
    for fields in told["events"]:
        news = read(Event(**fields | {"payload": fields["payload"].encode()}))
        if news is not None:
            facts[news.id] = news
    if not facts:
        raise ValueError("an incident without a fact")
    return Known(Incident(told["incident_id"], told["since"], facts), told["thread"])
