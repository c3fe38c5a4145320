"""The days of the ledger as operators see them; `openbell partitions` does the same by hand.

They are kept by the process itself, so there is nothing to change here. The trap is a day ahead
that nobody made: `days_ahead` below two is an anomaly long before an order misses its table.
"""

from collections.abc import Sequence
from typing import Any

from app.domain.errors import Code, Refused
from app.web.house import House
from app.web.operators.daybook_told import DaysTold
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, ok


class Days:
    """What stands, and what comes next."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def partitions(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """List the trade dates with their orders and state, and what is done about them next.

        Of a day with many orders `is_rough` is true, and there are at most so many.
        """
        house = self._house
        if house.daybook is None:
            raise Refused(Code.NOT_FOUND, "this process keeps no days")
        book = await house.daybook()
        kept = house.days_kept() if house.days_kept is not None else None
        told = {
            "at": instant(house.clock.now()),
            "days": [day._asdict() for day in book.days],
            "next": [step._asdict() for step in book.steps],
            "looked_for_work": book.looked_for_work,
            "attached": kept and kept.attached,
            "days_ahead": kept and kept.ahead,
            "made_late": kept and kept.made_late,
            "trouble": book.trouble or (kept and kept.trouble),
        }
        return ok(told)


def daybook_specs(house: House) -> Sequence[Spec[Any, Any]]:
    days = Days(house)
    return (
        Spec(
            method="GET",
            path="/admin/v1/partitions",
            name="list_partitions",
            scope="admin:read",
            handler=days.partitions,
            answers={200: DaysTold},
            refuses=(Code.NOT_FOUND,),
        ),
    )
