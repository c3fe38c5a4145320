"""Copies that brokers have shown of orders that we held to be nowhere: seen, settled by two.

Nobody settles one alone, and nobody lends a key for it: one person proposes the verdict with its
evidence, another one approves it, and then it is done (`proposals`). The trap is haste: of all
that can be said, `not_received` alone can lead to a second copy, and it still sends nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import Field

from app.domain.errors import Code, Refused
from app.domain.holding import StrayVerdict, StrayWord
from app.domain.order import Order
from app.domain.values import GONE, rfc3339
from app.web.clients.schemas import Asked, Name, Number, OrderTold, Words
from app.web.halts.seen_order import seen_order
from app.web.halts.selections import accounts_of
from app.web.house import House
from app.web.operator_schemas import Reason
from app.web.problems import invalid_at
from app.web.shapes import order_shape, plain
from app.web.spec import Call, Reply, Spec, etag, json_of, ok
from app.web.told import AccountId, At, BrokerId, OrderId, SessionId, Told, Version

SEE: Final = "admin:read"
SETTLE: Final = "admin:settle"
SHOWN_MAX: Final = 100  # each is somebody's work for minutes: more than these nobody reads at once


class StraySettled(Asked):
    """What two people have found out, and what it rests on."""

    attempt_id: Name = Field(
        description="The broker_order_key of the attempt that the broker has shown.",
        examples=["01KJRZ3VH0S3H6Q1M2N4P5R6T7-01"],
    )
    verdict: StrayVerdict = Field(examples=["canceled"])
    price: Number | None = Field(None, description="For filled: tag 6, of what was left.")
    broker_order_id: Words | None = Field(None, min_length=1, description="Tag 198.")
    evidence: Reason
    reason: Reason


class CopyTold(Told):
    """An attempt that had been settled as at no broker."""

    attempt_id: str
    broker_id: BrokerId
    outcome: str = Field(examples=["not_received"])


class StrayTold(Told):
    """One order that is held because a broker has shown a copy of it."""

    order_id: OrderId
    account_id: AccountId
    trading_session_id: SessionId
    symbol: str = Field(description="Tag 55.", examples=["AAPL"])
    side: str = Field(description="Tag 54.", examples=["buy"])
    quantity: str = Field(description="Tag 38.", examples=["10"])
    filled_quantity: str = Field(description="Tag 14.", examples=["4"])
    pending_request: str = Field(examples=["none"])
    updated_at: At
    version: Version
    attempts: list[CopyTold]


class StraysTold(Told):
    """The oldest of them."""

    data: list[StrayTold]


class Strays:
    """What is held because nobody knows enough."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def listed(self, call: Call[None, None]) -> Reply:
        """List the orders of which a broker has shown a copy, the oldest first."""
        found = await self._house.holds.strays(accounts_of(call.who, None, SEE), SHOWN_MAX)
        return ok({"data": [await self._shape(order) for order in found]})

    async def settle(self, call: Call[StraySettled, None]) -> Reply:
        """Settle one by evidence: proposed by one person, approved by another."""
        word, order = call.body, await seen_order(self._house, call, SETTLE)
        if call.approval is None:
            raise Refused(
                Code.SECOND_PRINCIPAL_REQUIRED,
                "propose it (POST /admin/v1/proposals, settle_stray); another person approves it",
            )
        if (word.verdict is StrayVerdict.FILLED) != (word.price is not None):
            raise invalid_at("price", "filled needs the price, and nothing else does")
        terms = {"evidence": word.evidence}
        optional = {"price": word.price, "broker_order_id": word.broker_order_id}
        terms |= {name: value for name, value in optional.items() if value is not None}
        said = StrayWord(word.attempt_id, word.verdict, terms)
        by = call.actor(word.reason)
        after = await self._house.holds.settle_stray(order.order_id, order.version, said, by)
        return ok(order_shape(after, self._house.reference().calendar), etag(after.version))

    async def _shape(self, order: Order) -> dict[str, Any]:
        attempts = await self._house.orders.attempts(order.order_id)
        return {
            "order_id": order.order_id,
            "account_id": order.account_id,
            "trading_session_id": order.trading_session_id,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": plain(order.quantity),
            "filled_quantity": plain(order.filled_quantity),
            "pending_request": order.pending_request,
            "updated_at": rfc3339(order.updated_at),
            "version": order.version,
            "attempts": [
                {
                    "attempt_id": attempt.broker_order_key,
                    "broker_id": attempt.broker_id,
                    "outcome": attempt.outcome,
                }
                for attempt in attempts
                if attempt.outcome in GONE
            ],
        }


def stray_specs(house: House) -> Sequence[Spec[Any, Any]]:
    strays = Strays(house)
    return (
        Spec(
            method="GET",
            path="/admin/v1/strays",
            name="list_strays",
            scope=SEE,
            handler=strays.listed,
            answers={200: StraysTold},
        ),
        Spec(
            method="POST",
            path="/admin/v1/strays/{order_id}/settle",
            name="settle_stray",
            scope=SETTLE,
            handler=strays.settle,
            reads=json_of(StraySettled),
            answers={200: OrderTold},
            shows=("ETag",),
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.NOT_FOUND,
                Code.NOT_STRAY,
                Code.SECOND_PRINCIPAL_REQUIRED,
                Code.STALE_VERSION,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
            audited=True,
        ),
    )
