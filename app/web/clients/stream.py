"""`GET /v1/stream`: server-sent events, one for each step of an account's orders.

    retry: 2000                      come again so soon
    id: 1772461740000                where you stand; send it as Last-Event-ID when you come again
    event: order.updated             one step; data is its order as it stands now
    event: resync                    too much was missed: list the orders, then go on from here
    :                                we are both still here

At least once: after a resume the steps of the last minute may come again, under the same ids.

The trap is a stream that keeps the server from ending, or a reader who holds what he never
reads. So it ends when the house drains, a buffer is cut when it is full, a write has a time, and
a key that was revoked ends its streams with the next beat.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import Send

from app.domain.errors import Code
from app.domain.steps import Place, Step
from app.reference import Reference
from app.web.access.keys import authorize
from app.web.clients.feed import LATE_MS, Feed, Follower
from app.web.clients.queries import StreamAsked
from app.web.house import House
from app.web.problems import invalid_at
from app.web.shapes import event_shape, order_shape
from app.web.spec import Call, Reply, Spec, encode

READ: Final = "orders:read"
EVENT_STREAM: Final = b"text/event-stream"
# Proxies cut what is silent for a minute, some for half of it.
HEARTBEAT_S: Final = 15.0
# A reader whose buffers, and the system's, take nothing for so long is gone.
WRITE_S_MAX: Final = 20.0
# Whoever was away for a day reads his orders anew, and not a day's steps.
RESUME_MS_MAX: Final = 86_400_000
RETRY: Final = b"retry: 2000\n"
BEAT: Final = b":\n\n"
_PLACE: Final = re.compile(r"([0-9]{13})(?:-([0-9A-Z]{26})-([0-9]{6}))?", re.ASCII)


def framed(reference: Callable[[], Reference]) -> Callable[[Step], bytes]:
    """Return what makes a step an event: encoded once, whoever follows."""

    def frame(step: Step) -> bytes:
        told = {
            "order_id": step.order.order_id,
            "account_id": step.order.account_id,
            "client_order_id": step.order.client_order_id,
            **event_shape(step.event),
            "order": order_shape(step.order, reference().calendar),
        }
        return b"event: order.updated\nid: %s\ndata: %s\n\n" % (id_of(step.place), encode(told))

    return frame


def id_of(place: Place) -> bytes:
    """Return a place as an id; ids sort as places do."""
    if not place.order_id:
        return b"%013d" % place.at
    return b"%013d-%s-%06d" % (place.at, place.order_id.encode(), place.sequence)


def place_of(last_event_id: str) -> Place:
    """Return the place that an id names, or refuse what is none of ours."""
    found = _PLACE.fullmatch(last_event_id)
    if found is None:
        raise invalid_at("Last-Event-ID", "expected an id of this stream, as it was given")
    at, order_id, sequence = found.groups()
    return Place(int(at), order_id or "", int(sequence or 0))


def resync(reason: str, place: Place | None = None) -> bytes:
    """Return the event that says: what you have is not all; list the orders again."""
    at = b"" if place is None else b"id: %s\n" % id_of(place)
    return b"event: resync\n%sdata: %s\n\n" % (at, encode({"reason": reason}))


class Stream(Reply):
    """A reply that goes on until one side ends it."""

    def __init__(self, request: Request, feed: Feed, follower: Follower, frame: "_Frame") -> None:
        super().__init__(200, b"", content_type=EVENT_STREAM)
        self.headers = [
            (b"content-type", EVENT_STREAM),
            (b"x-accel-buffering", b"no"),  # a proxy that gathers would hold every event back
        ]
        self.last: Place | None = None  # where the reader stood when he was here before
        self.now = 0
        self.may_go_on: Callable[[], bool] = lambda: True
        self._request = request
        self._feed = feed
        self._follower = follower
        self._frame = frame

    async def send(self, send: Send) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                gone = both.create_task(self._until_gone())
                try:
                    await self._talk(_patient(send))
                finally:
                    gone.cancel()
        except* ClientDisconnect:
            pass  # nobody is left to be told
        finally:
            self._feed.leave(self._follower)

    async def _until_gone(self) -> None:
        """Read what the client says until he leaves; only then it can be known that he has."""
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnect

    async def _talk(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        known = await self._caught_up(send)
        while await self._tell(send, known):
            pass
        await send({"type": "http.response.body", "body": b""})

    async def _caught_up(self, send: Send) -> set[Place]:
        """Tell what was missed; return what may come a second time, from the feed."""
        known: set[Place] = set()
        here = Place(self.now)
        last = self.last
        if last is None:
            await send(_part(RETRY + b"id: %s\n\n" % id_of(here)))
            return known
        if not self.now - RESUME_MS_MAX <= last.at <= self.now + LATE_MS:
            await send(_part(RETRY + resync("unknown-place", here)))
            return known
        await send(_part(RETRY + b"\n"))
        async for steps in self._feed.missed(self._follower.account_id, last):
            await send(_part(b"".join(map(self._frame, steps))))
            known |= {p for step in steps if (p := step.place).at >= self._follower.since}
        return known

    async def _tell(self, send: Send, known: set[Place]) -> bool:
        """Tell what is new, or that we are here; return whether it goes on."""
        taken = await self._follower.take(HEARTBEAT_S)
        if self._follower.is_cut:
            await send(_part(resync("too-slow")))
            return False
        if self._follower.has_ended or not self.may_go_on():
            return False
        frames = [frame for place, frame in taken if place not in known]
        known.difference_update(place for place, _ in taken)
        await send(_part(b"".join(frames) or BEAT))
        return True


_Frame = Callable[[Step], bytes]


def _part(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _patient(send: Send) -> Send:
    """Wait for a reader, and not for ever."""

    async def patiently(message: Any) -> None:
        try:
            async with asyncio.timeout(WRITE_S_MAX):
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None

    return patiently


def stream_specs(house: House) -> Sequence[Spec[Any, Any]]:
    feed = house.feed
    if feed is None:
        return ()
    frame = framed(house.reference)

    async def stream(call: Call[None, StreamAsked]) -> Reply:
        """Follow an account's orders: server-sent events, one for each step.

        Send the last id that you have as `Last-Event-ID`, and nothing is lost; some may come
        twice. After `resync` list the orders: what you have is not all.
        """
        authorize(call.who, READ, call.query.account_id)
        last = call.request.headers.get("last-event-id") or call.query.last_event_id
        place = place_of(last) if last else None
        follower = await feed.follow(call.query.account_id)
        told = Stream(call.request, feed, follower, frame)
        told.last, told.now = place, house.clock.now()
        told.may_go_on = lambda: _may(house, call)
        return told

    return (
        Spec(
            method="GET",
            path="/v1/stream",
            name="stream_orders",
            scope=READ,
            handler=stream,
            asks=StreamAsked,
            answers={200: None},
            refuses=(Code.NOT_FOUND, Code.VALIDATION_FAILED, Code.OVERLOADED, Code.DRAINING),
            takes_orders=True,
            tickets=True,
            streams=True,
        ),
    )


def _may(house: House, call: Call[Any, StreamAsked]) -> bool:
    """Whether the key is as good as it was when the stream began."""
    who = house.keyring.standing(call.who.key_id)
    return who is not None and READ in who.scopes and who.sees(call.query.account_id)
