"""What holding back, letting go and canceling are asked, and how what is held looks outside."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.domain.holding import HeldOrder
from app.domain.values import rfc3339
from app.web.clients.queries import BOOK_PAGE_MAX, Cursor
from app.web.clients.schemas import Name
from app.web.halts.sweep_shapes import RequestId, ScopeAsked
from app.web.operator_schemas import Reason


class ManyAsked(ScopeAsked):
    """Many orders at once: what was seen before, and why."""

    everything: bool = Field(False, description="Names nothing, and means it.")
    request_id: RequestId
    expected_count: int | None = Field(
        None, ge=0, description="As the dry run said; 412 if there is more by now.", examples=[9]
    )
    selection_id: Cursor | None = Field(
        None, description="Of the dry run: what was placed since is left alone."
    )
    reason: Reason


class HeldAsked(BaseModel):
    """Which held orders, and from where on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Name | None = None
    cursor: Cursor | None = None
    limit: int = Field(100, ge=1, le=BOOK_PAGE_MAX)


def held_shape(held: HeldOrder) -> dict[str, Any]:
    return held._asdict() | {"held_at": rfc3339(held.held_at)}
