"""What a client may ask for: filters, pages, whose orders. What is not known here is refused."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.domain.values import Status
from app.web.schemas import Market, Name, Symbol

PAGE_MAX: Final = 1_000
BOOK_PAGE_MAX: Final = 500


class OrdersAsked(BaseModel):
    """Which orders of one account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Name
    status: Status | None = None
    symbol: Symbol | None = None
    list_id: Name | None = None
    trade_date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    cursor: str | None = Field(None, max_length=200, description="A next_cursor, as it was given.")
    limit: int = Field(100, ge=1, le=PAGE_MAX)


class StreamAsked(BaseModel):
    """Whose orders to follow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Name


class BookAsked(BaseModel):
    """Which orders of the account's view."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Status | None = None
    cursor: str | None = Field(None, max_length=200)
    limit: int = Field(100, ge=1, le=BOOK_PAGE_MAX)


class SessionsAsked(BaseModel):
    """Sessions of which market; absent: of all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    market: Market | None = None
