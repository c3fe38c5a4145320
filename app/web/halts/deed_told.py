"""What operators are told of held orders, kills and proposals, as OpenAPI describes it.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from typing import Any

from pydantic import Field

from app.web.clients.schemas import OrderTold
from app.web.operators.house_told import OperatorSweptTold
from app.web.routes.course_told import HaltTold
from app.web.told import AccountId, At, AuditId, OrderId, Person, SessionId, Told, Version, Why


class HeldTold(Told):
    """One order that stands in no queue."""

    accept_sequence: int
    order_id: OrderId
    account_id: AccountId
    trading_session_id: SessionId
    reason_code: str | None = Field(examples=["held-by-operator"])
    held_at: At


class HeldPageTold(Told):
    """One page, the youngest order first."""

    data: list[HeldTold]
    has_more: bool
    next_cursor: str | None


class OrderDealtTold(OrderTold):
    """An order as an operator has left it."""

    undo_url: str | None = Field(None, examples=["/admin/v1/orders/O-1/release"])


class HoldPreviewTold(Told):
    """Whether an order would move, and to where: a dry run."""

    dry_run: bool = Field(examples=[True])
    orders_affected: int
    status: str = Field(examples=["held"])


class CancelPreviewTold(Told):
    """Whether an order would end at once: a dry run."""

    dry_run: bool = Field(examples=[True])
    orders_affected: int
    at_once: bool


class ManyDealtTold(Told):
    """What was done to many orders. Not `done`: send it again, it goes on where it stopped."""

    request_id: str
    moved: int
    left: int
    done: bool
    replayed: bool
    audit_id: AuditId


class KilledTold(OperatorSweptTold):
    """A halt and a mass cancel in one."""

    halt: HaltTold


class ProposalTold(Told):
    """A call that waits for a second person, or what became of it."""

    proposal_id: str = Field(examples=["00c0ffee00c0ffee00c0"])
    version: Version
    state: str = Field(examples=["open"])
    operation: str = Field(examples=["set_broker_rate"])
    call: dict[str, Any]
    proposed_by: Person
    reason: Why
    proposed_at: At
    expires_at: At
    decided_by: Person | None
    decided_at: At | None
    decided_why: str | None


class ProposalsTold(Told):
    """The latest ones."""

    data: list[ProposalTold]
