"""`GET /admin/v1/stream`: how the house stands, and each thing that a person has done in it.

    id: 0000000000017                where you stand in the audit log; send it as Last-Event-ID
    event: audit.recorded            one row of the log, for who may read it; none is lost
    event: overview                  how everything stands, whole, when it has changed
    event: resync                    too much was missed: read the log, then go on from here
    event: gone                      the key is dead
    :                                we are both still here

The console has a stream of its own, of panels that the server has drawn: nobody else can read
those, and a screen needs no history. Here what may be lost without harm is told whole each time,
and what may not be lost, the audit log, is resumed by its own numbers. Followers share one look a
second. The trap is a stream that outlives its key, its reader or the house: each tick asks.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from app.domain.errors import Busy, Code, Refused
from app.ports.away import StoreAway
from app.web.access.keys import EVERY_ACCOUNT, Principal, authorize
from app.web.clients.queries import PLACE
from app.web.clients.stream import BEAT, HEARTBEAT_S
from app.web.console.session import caller
from app.web.console.stream import GONE, LATER_S, RETRY, STREAMS_MAX, Stream
from app.web.house import House
from app.web.operators.audits import READ, row_shape
from app.web.operators.overview import SEE, Overview, as_seen
from app.web.problems import invalid_at
from app.web.spec import Call, Reply, Spec, encode
from app.web.trail import Trail

TICK_S: Final = 1.0
# A store that takes longer is busy with orders; the next tick asks again.
LOOK_S_MAX: Final = 2.0
PAGE: Final = 500
# Whoever missed more reads the log by its own door, page by page, and not at one go.
MISSED_MAX: Final = 10_000
_PLACE: Final = re.compile(PLACE)


class Seen(NamedTuple):
    """What one look found: where the log ends, and the overview with the number of its change."""

    end: int
    number: int
    overview: dict[str, Any]
    told: bytes

    def told_to(self, who: Principal) -> bytes:
        """Return the overview as its reader may see it, written once for all who see all of it."""
        seen = as_seen(self.overview, who)
        return self.told if seen is self.overview else _told(seen)


class Watchtower:
    """Looks once a tick for all who follow."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._overview = Overview(house)
        self._trail = Trail(house.control)
        self._one_at_a_time = asyncio.Lock()
        self._due = 0.0
        self._is_blind = True
        self._body = b""
        self._seen = Seen(0, 0, {"halts": []}, b"")
        self._open = 0

    async def look(self) -> Seen:
        """Return the look of this tick; whoever comes first looks, the others wait for it.

        One that fails has failed for all of them: a hundred who try in turn would each wait for
        those before, and hear neither a beat nor that the house drains.
        """
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            if loop.time() >= self._due:
                self._is_blind = True
                try:
                    async with asyncio.timeout(LOOK_S_MAX):
                        self._seen = await self._look()
                    self._is_blind = False
                finally:
                    self._due = loop.time() + TICK_S
            if self._is_blind:
                raise StoreAway("this tick's look has failed")
            return self._seen

    async def _look(self) -> Seen:
        document = await self._overview.document()
        end, seen = await self._trail.end(), self._seen
        body = encode({name: value for name, value in document.items() if name != "at"})
        if body == self._body:
            return seen._replace(end=end)
        self._body = body
        return Seen(end, seen.number + 1, document, _told(document))

    def stream(self, request: Request, who: Callable[[], Principal], since: int | None) -> Stream:
        """Return a stream for whoever `who` names at each tick, or raise `Busy`."""
        if self._open >= STREAMS_MAX:
            raise Busy(Code.OVERLOADED, LATER_S)
        return Stream(self._events(request, who, since))

    async def _events(
        self, request: Request, who: Callable[[], Principal], since: int | None
    ) -> AsyncGenerator[bytes, None]:
        self._open += 1
        follower = _Follower(self._house, since)
        try:
            yield RETRY
            while not await request.is_disconnected():
                try:
                    principal = who()
                except Refused:
                    yield GONE
                    return
                more = False
                try:
                    told, more = await follower.told(await self.look(), principal)
                except (StoreAway, TimeoutError):
                    told = BEAT  # an answer late or none: what was missed is told with the next
                if told:
                    yield told
                if self._house.health.draining:
                    return
                if not more:
                    await asyncio.sleep(TICK_S)
        finally:
            self._open -= 1


class _Follower:
    """One reader: where he stands in the log, and which overview he has."""

    def __init__(self, house: House, since: int | None) -> None:
        self._house = house
        self._since = since
        self._at: int | None = None  # None until the first look has said where the log ends
        self._number = 0
        self._told_at = 0.0

    async def told(self, seen: Seen, who: Principal) -> tuple[bytes, bool]:
        """Return what is new for this reader, and whether there is more of it already."""
        begin = self._begun(seen) if self._at is None else b""
        rows = await self._rows(seen, who)
        overview = seen.told_to(who) if seen.number != self._number else b""
        self._number = seen.number
        now = asyncio.get_running_loop().time()
        told = begin + b"".join(map(_recorded, rows)) + overview
        if not told and now - self._told_at >= HEARTBEAT_S:
            told = BEAT
        if told:
            self._told_at = now
        return told, len(rows) == PAGE

    def _begun(self, seen: Seen) -> bytes:
        since = self._since
        if since is None:
            self._at = seen.end
            return b"id: %013d\n\n" % seen.end
        if not seen.end - MISSED_MAX <= since <= seen.end:
            self._at = seen.end
            data = encode({"reason": "unknown-place"})
            return b"event: resync\nid: %013d\ndata: %b\n\n" % (seen.end, data)
        self._at = since
        return b""

    async def _rows(self, seen: Seen, who: Principal) -> Sequence[dict[str, Any]]:
        assert self._at is not None, "the first look has said where he stands"
        may_read = READ in who.scopes and who.sees(EVERY_ACCOUNT)
        if not may_read or self._at >= seen.end:
            return ()
        rows = await self._house.control.audit(self._at, PAGE)
        self._at += len(rows)  # the log counts without gaps
        return rows


def _told(overview: dict[str, Any]) -> bytes:
    return b"event: overview\ndata: %b\n\n" % encode(overview)


def _recorded(row: dict[str, Any]) -> bytes:
    told = encode(row_shape(row))
    return b"event: audit.recorded\nid: %013d\ndata: %b\n\n" % (row["sequence"], told)


def _since(last_event_id: str | None) -> int | None:
    """Return the sequence that an id names; a place of another stream names none that is here."""
    if not last_event_id:
        return None
    if _PLACE.fullmatch(last_event_id) is None:
        raise invalid_at("Last-Event-ID", "expected an id of this stream, as it was given")
    return int(last_event_id.partition("-")[0])


def operator_stream_specs(house: House) -> Sequence[Spec[Any, Any]]:
    tower = Watchtower(house)

    async def stream(call: Call[None, None]) -> Reply:
        """Follow the house: its overview when it changes, and each row of the audit log.

        Send the last id that you have as `Last-Event-ID`, and no row is lost. After `resync` read
        the log: what you have is not all. Rows are told to who may read the log, which names
        every account.
        """
        since = _since(call.request.headers.get("last-event-id"))

        def who() -> Principal:
            found = caller(call.request, house)
            authorize(found, SEE)
            return found

        return tower.stream(call.request, who, since)

    return (
        Spec(
            method="GET",
            path="/admin/v1/stream",
            name="stream_operations",
            scope=SEE,
            handler=stream,
            answers={200: None},
            refuses=(Code.VALIDATION_FAILED, Code.OVERLOADED, Code.DRAINING),
            takes_orders=True,
            streams=True,
        ),
    )
