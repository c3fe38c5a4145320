"""What a client asks for, and the fingerprint that tells a replay from a conflict.

The fingerprint is over the meaning, not the bytes: 10, 10.0 and 1E+1 are one quantity. What
is absent is left out, so a field that a later release adds changes no hash on disk. The trap
is a form that two different orders share: each value stands with its length, so that no
text can imitate the next field.
"""

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from hashlib import sha256
from typing import Final, NamedTuple

from app.domain.values import OrderType, Side, TimeInForce


class OrderRequest(NamedTuple):
    """One new order as the client sent it, parsed."""

    account_id: str  # 1
    client_order_id: str  # 11
    symbol: str  # 55
    market: str  # 207, a MIC
    side: Side  # 54
    order_type: OrderType  # 40
    quantity: Decimal  # 38
    limit_price: Decimal | None  # 44
    currency: str  # 15
    time_in_force: TimeInForce  # 59
    trading_session_id: str | None  # 336; None: the session that is open
    list_id: str | None  # 66
    text: str | None  # 58


# By name, so that no later reordering of the fields changes a hash.
_FIELDS: Final = tuple(sorted((name, i) for i, name in enumerate(OrderRequest._fields)))
# Wide enough that nothing is ever rounded: two long numbers must not become one.
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def request_hash(request: OrderRequest) -> str:
    """Return the SHA-256 of the request's meaning, in hexadecimal."""
    parts = []
    for name, index in _FIELDS:
        value = request[index]
        if value is None:
            continue
        word = _canonical(value) if isinstance(value, Decimal) else value
        parts.append(f"{name}={len(word)}:{word}\n")
    # A JSON escape can smuggle in half of a surrogate pair; it must hash, not raise.
    return sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(number: Decimal) -> str:
    return str(number.normalize(_EXACT)) if number else "0"
