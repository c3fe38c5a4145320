"""What a client may ask for: filters, pages, whose orders. What is not known here is refused."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.domain.values import Status
from app.web.clients.schemas import Market, Name, Symbol

BrokerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
# Whether the month has that many days is asked of the calendar.
DATE: Final = "[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
# Of 18 bytes, as `cursors.py` writes them.
Cursor = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{24}$"),
    Field(description="A next_cursor, as it was given."),
]
# A name such as 2026-03-02T14:30:00Z; nothing that Python alone would read as an instant.
Instant = Annotated[
    str,
    StringConstraints(pattern=rf"^{DATE}T{TIME}Z$"),
    Field(examples=["2026-03-02T14:30:00.000Z"]),
]
# Of a stream. A browser that has none sends nothing, or an empty one.
PLACE: Final = r"^([0-9]{13}(-[0-9A-Z]{26}-[0-9]{6})?)?$"
PAGE_MAX: Final = 1_000
BOOK_PAGE_MAX: Final = 500


class OrdersAsked(BaseModel):
    """Which orders of one account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Name
    status: Status | None = None
    symbol: Symbol | None = None
    list_id: Name | None = None
    market: Market | None = None
    broker_id: BrokerName | None = None
    client_order_id: Name | None = None
    updated_after: Instant | None = None
    created_from: Instant | None = Field(None, alias="created.gte")
    created_before: Instant | None = Field(None, alias="created.lt")
    trade_date: Annotated[str, StringConstraints(pattern=rf"^{DATE}$")] | None = None
    cursor: Cursor | None = None
    limit: int = Field(100, ge=1, le=PAGE_MAX)


class StreamAsked(BaseModel):
    """Whose orders to follow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Name
    ticket: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Instead of a key: it opens one stream."
    )
    last_event_id: str | None = Field(
        None, pattern=PLACE, description="As the header, for who can send none."
    )


class ListAsked(BaseModel):
    """Whose list: ids of lists are each account's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Name


class BookAsked(BaseModel):
    """Which orders of the account's view."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Status | None = None
    cursor: Cursor | None = None
    limit: int = Field(100, ge=1, le=BOOK_PAGE_MAX)


class SessionsAsked(BaseModel):
    """Sessions of which market; absent: of all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    market: Market | None = None
