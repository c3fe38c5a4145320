"""What a door is, what it hands to its handler, and what comes back.

One `Spec` feeds the lock, the reader of the body and the OpenAPI document, and mypy checks the
handler against it, so that none of the four can drift from the others.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final, Generic, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Message, Send

from app.domain.errors import Code
from app.domain.proposal import Approval
from app.domain.records import Actor
from app.web.access.keyfile import SCOPES
from app.web.access.keys import Principal
from app.web.origin import ip_of, via_of
from app.web.problems import invalid

B = TypeVar("B")
Q = TypeVar("Q")
M = TypeVar("M", bound=BaseModel)

BODY_BYTES_MAX: Final = 65_536
BATCH_BYTES_MAX: Final = 1_048_576
JSON: Final = b"application/json"

encode: Final = msgspec.json.Encoder().encode


class Reply:
    """A finished answer: no header is computed twice, no body encoded twice."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        *headers: tuple[bytes, bytes],
        content_type: bytes = JSON,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]

    async def send(self, send: Send) -> None:
        start: Message = {
            "type": "http.response.start",
            "status": self.status,
            "headers": self.headers,
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


def ok(document: object, *headers: tuple[bytes, bytes], status: int = 200) -> Reply:
    """Answer with a document."""
    return Reply(status, encode(document), *headers)


@dataclass(slots=True)
class Call(Generic[B, Q]):
    """One request, let in."""

    request: Request
    who: Principal
    request_id: str
    version: int | None  # of If-Match
    body: B
    query: Q
    raw: bytes = b""  # the body, as it came
    approval: Approval | None = None  # another person's, where the call had been proposed
    brought: Request | None = None  # then by this request of that other person

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def actor(self, reason: str) -> Actor:
        """Return who acts, why and from where, as the audit log keeps it."""
        brought = self.brought or self.request
        via, ip = via_of(brought), ip_of(brought)
        return Actor(self.who.name, reason, self.request_id, self.approval, via, ip)


@dataclass(frozen=True, slots=True)
class Reader(Generic[B]):
    """How a body is read: `model` describes it, `decode` takes (bytes, content type)."""

    model: type[BaseModel]
    decode: Callable[[bytes, str], B]


def json_of(model: type[M]) -> Reader[M]:
    """Read one JSON object, strictly."""

    def decode(raw: bytes, _content_type: str) -> M:
        try:
            return model.model_validate_json(raw)
        except ValidationError as e:
            raise invalid(e) from None

    return Reader(model, decode)


@dataclass(frozen=True, slots=True)
class Retirement:
    """A door that is going: since when it is old, when it closes, and which one follows it.

    Each of its replies says so (RFC 9745, RFC 8594), for nobody reads a changelog twice.
    """

    since: int  # milliseconds since 1970
    until: int | None = None
    successor: str | None = None
    words: str = "/docs"

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return what each of its replies carries."""
        found = [(b"deprecation", b"@%d" % (self.since // 1_000))]
        if self.until is not None:
            found.append((b"sunset", formatdate(self.until / 1_000, usegmt=True).encode()))
        links = f'<{self.words}>; rel="deprecation"'
        if self.successor is not None:
            links += f', <{self.successor}>; rel="successor-version"'
        return (*found, (b"link", links.encode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(Generic[B, Q]):
    """What a door is, for the reader, for OpenAPI and for the lock."""

    method: str
    path: str
    name: str  # operationId: clients are generated from it, so it never changes
    scope: str | None  # None: no key; only probes, callbacks, documents
    handler: Callable[[Call[B, Q]], Awaitable[Reply]]
    reads: Reader[B] | None = None
    asks: type[Q] | None = None
    answers: Mapping[int, object]
    refuses: tuple[Code, ...] = ()
    if_match: str = ""  # "", optional, required
    confirms: bool = False  # a large step wants X-Confirm
    names: Callable[[Call[B, Q]], str | None] | None = None  # what X-Confirm names; None: nothing
    body_bytes_max: int = BODY_BYTES_MAX
    audited: bool = False  # a mutation by an operator
    takes_orders: bool = False  # closed while draining
    replays: bool = False  # takes an Idempotency-Key; whatever is audited and a POST does
    retires: Retirement | None = None
    tickets: bool = False  # a one-time ticket in the query opens it as well as a key
    cancels: bool = False  # whoever cannot cancel is trapped in the market
    approved: bool = False  # a second person's key stands in X-Approver-Key
    media: str = JSON.decode()  # what its 200 is
    streams: bool = False  # the answer is an event stream, and goes on
    shows: tuple[str, ...] = ()  # headers of its answers: ETag, Location, Idempotent-Replayed

    def __post_init__(self) -> None:
        assert self.scope is None or self.scope in SCOPES, self.scope


def takes_key(spec: Spec[Any, Any]) -> bool:
    """Whether a repeated Idempotency-Key gets the first answer again."""
    return spec.replays or (spec.audited and spec.method == "POST")


def etag(version: int) -> tuple[bytes, bytes]:
    return (b"etag", b'"v%d"' % version)
