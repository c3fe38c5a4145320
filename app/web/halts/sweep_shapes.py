"""What a mass cancel is asked, by clients and by operators, and what they are told."""

from typing import Annotated

from pydantic import Field

from app.web.clients.queries import BrokerName
from app.web.clients.schemas import Asked, Name, Symbol
from app.web.operator_schemas import Reason
from app.web.told import Told

RequestId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Tag 11 of the request. Sent again, it touches no order placed since.",
        examples=["end-of-day-1"],
    ),
]


class ScopeAsked(Asked):
    """Which orders: all that every named thing is true of."""

    account_id: Name | None = Field(
        None, description="Tag 1; absent: each of the key's own.", examples=["A-1"]
    )
    symbol: Symbol | None = Field(None, description="Tag 55.")
    trading_session_id: Name | None = Field(None, description="Tag 336.")
    list_id: Name | None = Field(None, description="Tag 66.")


class SweepAsked(ScopeAsked):
    """A client's mass cancel; at least one thing is named."""

    request_id: RequestId


class OperatorSweep(ScopeAsked):
    """An operator's mass cancel: what was seen before, and why."""

    broker_id: BrokerName | None = Field(None, description="Only what is at this broker.")
    everything: bool = Field(False, description="Names nothing, and means it.")
    request_id: RequestId
    expected_count: int | None = Field(
        None, ge=0, description="As the dry run said; 412 if there is more by now.", examples=[3]
    )
    selection_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{24}$")] | None = Field(
        None, description="Of the dry run: what was placed since is left alone."
    )
    reason: Reason


class SweptTold(Told):
    """What this call did. Not `done`: send it again, it goes on where it stopped."""

    request_id: str
    canceled: int = Field(description="They had never left, and never will.")
    cancel_requested: int = Field(description="They may be at a broker: it is asked.")
    done: bool
    replayed: bool = Field(description="The request had come before.")
