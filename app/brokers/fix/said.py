"""What one message of a broker says and proves, and how it names what it is about. Pure.

The trap is a name that is read in two ways: a cancel's id leads to the order that it cancels, and
the id itself says who asked.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from app.brokers.fix import tags
from app.brokers.fix.executions import refused
from app.brokers.fix.words import Dialect, order_key_in
from app.brokers.wire import Unreadable
from app.domain.messages import Answer, ExecutionReport, ExecutionType, Found, Lookup
from app.domain.values import Status, is_replace_key

PENDING_REPLACE: Final = "E"  # OrdStatus (39)
REJECTED: Final = "8"
_Values = Mapping[int, str]


class Said(NamedTuple):
    """What one message, or one item of a list, says and proves. What it does not say is None."""

    key: str | None = None  # the broker_order_key that it is about
    request: str | None = None  # 11 as it stands: a cancel's or a replace's own id
    number: int | None = None  # 45: our message that it refuses
    refused_type: str | None = None  # 372: of that message
    status_id: str | None = None  # 790, or the 379 of a refused question
    mass_id: str | None = None  # 584
    is_last: bool = False  # 912: nothing more of this mass status follows
    list_id: str | None = None  # 66
    report: ExecutionReport | None = None  # to be published
    submitted: Answer | None = None
    canceled: Answer | None = None
    replaced: Answer | None = None
    shown: Lookup | None = None
    is_pending: bool = False  # 39=E: a replace of it is not decided there
    filled_quantity: Decimal | None = None  # 14: what must have traded there by now
    trouble: str | None = None  # a person should hear of this
    unread: bool = False  # because nobody could read it: it is kept for him

    @property
    def is_refused_replace(self) -> bool:
        """Whether it shows a replace that was refused: the order goes on under another id."""
        is_refused = isinstance(self.shown, Found) and self.shown.status is Status.REJECTED
        return is_refused and self.key is not None and is_replace_key(self.key)


def addressed(values: _Values, **more: Any) -> Said:
    """Say what it is about, and more: in one go, because a changed copy costs as much again."""
    request = values.get(tags.CLIENT_ORDER_ID)
    return Said(
        key=None if request is None else order_key_in(request),
        request=request,
        status_id=values.get(tags.STATUS_ID),
        mass_id=values.get(tags.MASS_STATUS_ID),
        is_last=values.get(tags.LAST_REPORT) == "Y",
        is_pending=values.get(tags.ORDER_STATUS) == PENDING_REPLACE,
        **more,
    )


def reported(
    broker_id: str, dialect: Dialect, said: Said, values: _Values, kind: ExecutionType
) -> Said:
    """Add a refusal that is no ExecutionReport as the report that it amounts to."""
    try:
        return said._replace(report=refused(broker_id, dialect, values, kind))
    except Unreadable as e:
        return said._replace(trouble=f"unreadable refusal: {e}", unread=True)
