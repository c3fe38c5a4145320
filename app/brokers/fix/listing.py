"""What a ListStatus (35=N) says of the orders of a list. Pure.

Each order of a list is an attempt of its own, and only what names it is its word. The trap is to
read the list's state as the orders': a list that is "executing" has said nothing of any of them.
"""

from collections.abc import Mapping
from typing import Final

from app.brokers.fix import refusals, tags
from app.brokers.fix.commands import Message
from app.brokers.fix.said import REJECTED, Said, addressed, reported
from app.brokers.fix.words import Dialect, is_replace
from app.domain.messages import ExecutionType, Rejected

LIST_REFUSED: Final = "7"  # ListOrderStatus (431)
_Values = Mapping[int, str]


def list_status(broker_id: str, dialect: Dialect, message: Message) -> list[Said]:
    """Read the orders of a ListStatus (35=N); each begins with its ClOrdID (11).

    What it does not name has no word in it. But a list that is refused whole may name none.
    """
    about: dict[int, str] = {}
    items: list[dict[int, str]] = []
    for tag, value in message.fields:
        if tag == tags.CLIENT_ORDER_ID:
            items.append({})
        (items[-1] if items else about).setdefault(tag, value)
    list_id = about.get(tags.LIST_ID)
    if not items and about.get(tags.LIST_STATUS_KIND) == LIST_REFUSED:
        return [Said(list_id=list_id, submitted=refusals.list_refused(about))]
    if not items:
        return [Said(list_id=list_id, trouble="a list's status without orders", unread=True)]
    return [_of_list(broker_id, dialect, about, item) for item in items]


def _of_list(broker_id: str, dialect: Dialect, about: _Values, item: _Values) -> Said:
    """Say what a list shows of one order: only a refusal is news, it names no execution."""
    said = addressed(item)._replace(list_id=about.get(tags.LIST_ID))
    answer = refusals.order_refused(item)
    is_order = said.request == said.key and not is_replace(said.request)
    if item.get(tags.ORDER_STATUS) != REJECTED or not is_order or not isinstance(answer, Rejected):
        return said
    said, values = said._replace(submitted=answer), {**about, **item}
    return reported(broker_id, dialect, said, values, ExecutionType.REJECTED)
