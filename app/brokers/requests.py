"""What we write in the HTTP dialect; `wire` reads what comes back. Pure.

Amounts leave as decimal strings without an exponent. The client's own id stays at home: the keys
that go out are ours.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from app.domain.messages import Cancellation, Replacement, Submission

_encode: Final = msgspec.json.Encoder().encode


def order_body(batch: Sequence[Submission]) -> bytes:
    """Write new orders."""
    return _encode({"orders": [_order(submission) for submission in batch]})


def cancel_body(batch: Sequence[Cancellation]) -> bytes:
    return _encode({"orders": [{"client_order_id": item.broker_order_key} for item in batch]})


def replace_body(batch: Sequence[Replacement]) -> bytes:
    """Write new terms. What has traded already counts in the quantity."""
    return _encode(
        {
            "orders": [
                {
                    "client_order_id": item.broker_order_key,
                    "original_client_order_id": item.original,
                    "quantity": f"{item.quantity:f}",
                    "limit_price": _text(item.limit_price),
                }
                for item in batch
            ]
        }
    )


def lookup_body(keys: Sequence[str]) -> bytes:
    return _encode({"client_order_ids": keys})


def _order(submission: Submission) -> dict[str, str | None]:
    return {
        "client_order_id": submission.broker_order_key,
        "account": submission.account_id,
        "symbol": submission.symbol,
        "market": submission.market,
        "side": submission.side,
        "type": submission.order_type,
        "quantity": f"{submission.quantity:f}",
        "limit_price": _text(submission.limit_price),
        "currency": submission.currency,
        "time_in_force": submission.time_in_force,
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
