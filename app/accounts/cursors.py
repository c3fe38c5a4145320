"""Where a listing goes on: a place among an account's orders, and a check that it is its own.

Pages go by `accept_sequence`, which never moves, so an order that changes between two pages is
neither shown twice nor missed. Every book gives the same cursors, so a client may turn a page
while the gateway moves from one store to another.

The check finds mistakes, it is no secret: a forged cursor that passes only turns to another page
of the caller's own orders, for every query names the account.
"""

import base64
import hashlib
from typing import Final

from app.domain.errors import Code, Refused

PAGE_MAX: Final = 500
# Above every `accept_sequence`, for the first page. History may count below zero.
FIRST: Final = 2**63 - 1
# Together 18 bytes, so that base64 has no padding and every letter of a cursor counts.
SEQUENCE_BYTES: Final = 8
CHECK_BYTES: Final = 10


def cursor_at(accept_sequence: int, account_id: str) -> str:
    """Return the cursor that goes on below this order."""
    place = accept_sequence.to_bytes(SEQUENCE_BYTES, "big", signed=True)
    return base64.urlsafe_b64encode(place + _check(place, account_id)).decode()


def place_of(cursor: str | None, account_id: str) -> int:
    """Return below which order the page begins; refuse a cursor that this account never got."""
    if cursor is None:
        return FIRST
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    place, check = raw[:SEQUENCE_BYTES], raw[SEQUENCE_BYTES:]
    if check != _check(place, account_id):
        raise Refused(Code.VALIDATION_FAILED, "cursor: expected a next_cursor of this listing")
    return int.from_bytes(place, "big", signed=True)


def page_size(limit: int) -> int:
    """Return how many orders a page may show of those that were asked for."""
    return max(1, min(limit, PAGE_MAX))


def _check(place: bytes, account_id: str) -> bytes:
    return hashlib.blake2b(
        place + account_id.encode(), digest_size=CHECK_BYTES, person=b"openbell-cursor"
    ).digest()
