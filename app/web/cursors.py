"""Where the next page begins, in a form that fits no other listing.

The check finds mistakes and is no secret: the query names the account in any case, so a forged
cursor shows nothing that its maker could not ask for.
"""

import base64
import hashlib
from typing import Final

from app.domain.errors import Code, Refused

# Together 18 bytes, so that base64 has no padding and every letter of a cursor counts.
PLACE_BYTES: Final = 8
CHECK_BYTES: Final = 10
PLACE_MAX: Final = 2**63 - 1  # what SQL can compare


def cursor_at(place: int, listing: tuple[object, ...]) -> str:
    """Return the cursor of this place in this listing (the account and its filters)."""
    raw = place.to_bytes(PLACE_BYTES, "big")
    return base64.urlsafe_b64encode(raw + _check(raw, listing)).decode()


def place_of(cursor: str, listing: tuple[object, ...]) -> int:
    """Return the place, or refuse a cursor of another listing."""
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    place, check = raw[:PLACE_BYTES], raw[PLACE_BYTES:]
    if check != _check(place, listing):
        raise Refused(Code.VALIDATION_FAILED, "cursor: expected a next_cursor of this listing")
    return min(int.from_bytes(place, "big"), PLACE_MAX)


def _check(place: bytes, listing: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(
        place + repr(listing).encode(), digest_size=CHECK_BYTES, person=b"openbell-orders"
    ).digest()
