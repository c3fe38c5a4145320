"""Holds an adapter to its port: one answer for each item, and no exception.

An adapter that breaks it has a bug, and a bug is silence: no verdict about any order of the call.
The trap is a caller that lets the exception pass, or counts on the answers' number: an order whose
answer belongs to another is sent again.
"""

import logging
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

from app.domain.messages import Unknown
from app.domain.working import NOTHING_SHOWN, ShownOrders

T = TypeVar("T")
log: Final = logging.getLogger(__name__)


async def held(call: Awaitable[Sequence[T]], items: int, of: str) -> Sequence[T | Unknown]:
    """Return what an adapter answers about so many items; `of` names what they are."""
    try:
        answers = await call
    except Exception as e:  # noqa: BLE001 - an adapter's bug is silence, not a verdict
        return [Unknown(f"the adapter raised {type(e).__name__}")] * items
    if len(answers) != items:
        return [Unknown(f"the adapter answered for {of}")] * items
    return answers


async def held_to_show(call: Awaitable[ShownOrders]) -> ShownOrders:
    """Return what an adapter shows of all orders; a bug of its shows nothing."""
    try:
        return await call
    except Exception as e:  # noqa: BLE001 - as above
        log.warning("an adapter raised %s", type(e).__name__)
        return NOTHING_SHOWN
