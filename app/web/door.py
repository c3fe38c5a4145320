"""One way in: who calls, may they, is the body sound; then the handler, then bytes.

FastAPI describes a door when somebody reads the document (`description.py`; OpenAPI comes from
the very models that read the body), and the door itself acts: a request runs through none of the
framework's dependency machinery, which costs more than an order does. The trap of doing both by
hand is that they drift apart; so one `Spec` feeds both.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.domain.errors import Busy, Code, Refused
from app.domain.records import Change
from app.web.access.denials import Denials
from app.web.access.keys import NOBODY, authorize
from app.web.clients.replays import Replays
from app.web.confirmed import must_be_confirmed
from app.web.console.session import arrived
from app.web.house import House
from app.web.problems import Invalid, invalid
from app.web.quotas.toll import CANCELS, ORDERS, READS, Toll, priced, tolled
from app.web.spec import Call, Reply, Spec, takes_key
from app.web.tickets import ticketed

REQUEST_ID: Final = "openbell.request_id"  # the porch puts it into the scope
LEAVING: Final = "openbell.leaving"  # the headers of a door that is going, for the porch
# What an operator was refused and why is as much worth keeping as what he did.
DENIED: Final = frozenset({403, 409, 412})
NAMED_MAX: Final = 256  # of a path: a stranger's may be as long as a header


class Door(Route):
    """A route that acts by its `Spec` alone."""

    def __init__(
        self,
        spec: Spec[Any, Any],
        house: House,
        toll: Toll,
        replays: Replays | None = None,
        denials: Denials | None = None,
    ) -> None:
        spec = priced(spec)
        super().__init__(spec.path, spec.handler, methods=[spec.method], name=spec.name)
        self.spec = spec
        self._house = house
        self._toll = toll
        self._replays = replays or Replays(house.clock)
        self._denials = denials or Denials(house.clock)
        self._tolled = tolled(spec)
        self._leaving = spec.retires.headers() if spec.retires else ()
        self.allowed = spec.method  # with those of its neighbours at the same path
        self.app = self._serve

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a verb by naming those that the path knows, not this door alone."""
        if scope["method"] != self.spec.method:
            raise HTTPException(405, headers={"Allow": self.allowed})
        await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._leaving:
            scope[LEAVING] = self._leaving
        reply = await self._answer(Request(scope, receive), scope[REQUEST_ID])
        await reply.send(send)

    async def _answer(self, request: Request, request_id: str) -> Reply:
        spec = self.spec
        call: Call[Any, Any] = Call(request, NOBODY, request_id, None, None, None)
        if spec.scope is not None:
            shown = await ticketed(request, self._house) if spec.tickets else None
            call.who = shown or await arrived(request, self._house)
        try:
            await self._admit(call)
            return await self._done(call)
        except Refused as e:
            if spec.audited and e.code.status in DENIED:
                await self._note(call, e)
            if self._tolled == ORDERS:
                await self._toll.turned_away(call)
            raise

    async def _done(self, call: Call[Any, Any]) -> Reply:
        """Do it, unless it was done under this Idempotency-Key."""
        key = call.request.headers.get("idempotency-key")
        if key is None or not takes_key(self.spec):
            return await self.spec.handler(call)
        scope = call.request.scope
        asked = (scope["method"].encode(), scope["path"].encode(), scope["query_string"], call.raw)
        first = self._replays.begin(call.who.key_id, key, *asked)
        if first is not None:
            return first
        reply = None
        try:
            reply = await self.spec.handler(call)
        finally:
            self._replays.end(call.who.key_id, key, reply)
        return reply

    async def _admit(self, call: Call[Any, Any]) -> None:
        """Check scope, state, version, query and body: the cheap before the dear."""
        spec, request = self.spec, call.request
        if spec.scope is not None:
            authorize(call.who, spec.scope)
        if self._tolled in {READS, CANCELS}:
            await self._toll.one(call, self._tolled)
        if spec.takes_orders and self._house.health.draining:
            raise Busy(Code.DRAINING, 1.0)
        if spec.asks is not None:
            call.query = query_of(spec.asks, dict(request.query_params))
        if spec.if_match:
            call.version = version_of(request.headers.get("if-match"), spec.if_match)
        if spec.reads is not None:
            call.raw = raw = await _body(request, spec.body_bytes_max)
            call.body = spec.reads.decode(raw, request.headers.get("content-type", ""))
        must_be_confirmed(spec, call)

    async def _note(self, call: Call[Any, Any], refused: Refused) -> None:
        unnoted = self._denials.admit(call.who.key_id)
        if unnoted is None:
            return
        why = {"code": refused.code.code, "detail": refused.detail}
        if unnoted:
            why["unnoted"] = f"{unnoted} before it"
        change = Change(f"denied.{self.spec.name}", call.request.url.path[:NAMED_MAX], None, why)
        await self._house.control.note(change, call.actor(getattr(call.body, "reason", "")))


def hung(doors: Sequence[Door]) -> list[Door]:
    """Return the doors in the order in which they are tried, each knowing its neighbours.

    A path that is written out (`/v1/orders/batch`) stands before one that would take its last
    part for an id; otherwise the order stays, because the hot doors come first.
    """
    verbs: dict[str, list[str]] = {}
    for door in doors:
        verbs.setdefault(door.path, []).append(door.spec.method)
    for door in doors:
        door.allowed = ", ".join(verbs[door.path])
    patterns = [door for door in doors if "{" in door.path]
    first = {
        id(door)
        for door in doors
        if "{" not in door.path and any(p.path_regex.match(door.path) for p in patterns)
    }
    return sorted(doors, key=lambda door: id(door) not in first)


def query_of(model: type[BaseModel], given: Mapping[str, object]) -> BaseModel:
    """Read a query, strictly."""
    try:
        return model.model_validate(given)
    except ValidationError as e:
        raise invalid(e) from None


def version_of(if_match: str | None, wanted: str) -> int | None:
    """Return the version that the caller has seen; `"v3"` is 3."""
    if if_match is None or if_match == "*":
        if wanted == "required":
            raise Refused(Code.IF_MATCH_REQUIRED, 'send If-Match with the ETag, such as "v3"')
        return None
    digits = if_match.removeprefix('"v').removesuffix('"')
    if if_match != f'"v{digits}"' or not digits.isascii() or not digits.isdigit():
        raise Refused(Code.STALE_VERSION, 'expected an ETag such as "v3"')
    # No version has twenty digits, and SQL could not compare it.
    return int(digits[:18])


async def _body(request: Request, bytes_max: int) -> bytes:
    """Read the body, and not one chunk further than it may be long."""
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()) or int(declared[:18]) > bytes_max:
        raise _too_large(bytes_max)
    body = b""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
    return body


def _too_large(bytes_max: int) -> Invalid:
    return Invalid(Code.BODY_TOO_LARGE, f"expected at most {bytes_max} bytes", [])
