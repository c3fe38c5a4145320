"""B-22x: answers of HTTP that are no broker's word about this order. The line gives them itself."""

from collections.abc import Sequence
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.silence import must_be
from app.brokers.conformance.verdict import Failed
from app.domain.messages import Absent, Answer, Found, NotSent, Throttled, Unknown

WAIT_S: Final = 7
ENDLESS: Final = 6 * 1024 * 1024


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return an answer of HTTP/1.1 that ends its connection."""
    lines = [f"HTTP/1.1 {status} -", "Content-Type: application/json", "Connection: close"]
    lines += [f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def _answer(kit: Kit, says: bytes) -> Answer:
    broker = await kit.spoken(says)
    return only(await kit.submit(broker, kit.order()))


async def _each(kit: Kit, says: Sequence[bytes], *kinds: type[Answer]) -> str:
    """Submit one order to each of these answers; all must prove the same."""
    broker = await kit.spoken(says[0])
    for words in says:
        kit.line.says = words
        answer = only(await kit.submit(broker, kit.order()))
        if not isinstance(answer, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise Failed(f"{expected} for {words[:60]!r}", answer)
    return f"{len(says)} kinds of answer"


@case(
    "B-221",
    "A 429 is throttled for as long as it says",
    Need.LINE,
    proves="the pace goes down by the broker's own number, and no order is in doubt",
    source="order-model 5, Throttled; FIX BusinessRejectReason (380) = 8",
)
async def too_many(kit: Kit) -> str:
    answer = await _answer(kit, reply(429, b"{}", f"Retry-After: {WAIT_S}"))
    must_be(answer, Throttled)
    if answer != Throttled(float(WAIT_S)):
        raise Failed(f"a wait of {WAIT_S} s, as Retry-After said", answer)
    return str(answer)


@case(
    "B-222",
    "A 401 or 403 is not sent, for our credentials",
    Need.LINE,
    proves="an expired token rejects no customer's order, and opens the gate",
    source="order-model 5, NotSent",
)
async def unauthorized(kit: Kit) -> str:
    for status in (401, 403):
        answer = await _answer(kit, reply(status, b"{}"))
        if not isinstance(answer, NotSent) or not answer.credentials:
            raise Failed(f"NotSent(credentials=True) for {status}", answer)
    return "NotSent(credentials=True)"


@case(
    "B-223",
    "A status that proves nothing is unknown",
    Need.LINE,
    proves="a proxy's error is not the broker's refusal",
    source="order-model 5, Unknown; 11 row 2",
)
async def no_proof(kit: Kit) -> str:
    page = b"<html>something is wrong</html>"
    return await _each(kit, [reply(status, page) for status in (408, 500, 502, 504)], Unknown)


@case(
    "B-224",
    "A redirect is unknown, and nobody follows it",
    Need.LINE,
    proves="an order goes to the address that settings name, and to no other",
    source="order-model 5: no client may retry",
)
async def redirect(kit: Kit) -> str:
    broker = await kit.spoken(reply(307, b"", "Location: /elsewhere"))
    order = kit.order()
    answer = only(await kit.submit(broker, order))
    if (count := kit.line.carriers(order.broker_order_key)) > 1:
        raise Failed("one request", f"{count} requests")
    return must_be(answer, Unknown)


@case(
    "B-225",
    "An answer that nobody can read is unknown",
    Need.LINE,
    proves="what was not clearly said is not said",
    source="order-model 5, Unknown",
)
async def unreadable(kit: Kit) -> str:
    bodies = [b"", b"<html>all is well</html>", b"null", b'{"a":', b"\xff\xfe", b"[" * 100_000]
    return await _each(kit, [b"\x16\x03\r\n\r\n", *(reply(200, b) for b in bodies)], Unknown)


@case(
    "B-226",
    "An answer without end is unknown",
    Need.LINE,
    proves="a broker's bug does not fill our memory",
    source="order-model 5, Unknown",
)
async def endless(kit: Kit) -> str:
    return must_be(await _answer(kit, reply(200, b" " * ENDLESS)), Unknown)


@case(
    "B-405",
    "A look-up that was not answered by the broker proves nothing",
    Need.LINE,
    proves="an error page is no absence",
    source="order-model 2, authoritative negative; 11 rows 3 and 4",
)
async def lookup_words(kit: Kit) -> str:
    page = b"<html>no such page</html>"
    says = [reply(status, page) for status in (401, 404, 429, 500, 503)] + [reply(200, b"{}")]
    broker = await kit.spoken(says[0])
    for words in says:
        kit.line.says = words
        found = only(await kit.seen(broker.find([kit.key()])))
        if isinstance(found, Absent | Found):
            raise Failed(f"Unknown for {words[:60]!r}", found)
    return f"{len(says)} kinds of answer"


CASES: Final = (too_many, unauthorized, no_proof, redirect, unreadable, endless)
