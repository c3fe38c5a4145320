"""What an order's executions come to, whichever came first.

A trade counts once. A correction stands in its place, a bust takes it away, and both may come
before it, twice, or speak of an earlier correction. So a trade is never added and subtracted
step by step: it is worth what everything that was said of it makes of it, and the order moves
by the difference. The trap is arithmetic that follows the order of arrival: a bust after a
correction would take away the trade that the correction had already replaced.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final, NamedTuple

from app.domain.errors import InvalidTransition
from app.domain.messages import ExecutionReport, ExecutionType

_E = ExecutionType
TRADES: Final = frozenset({_E.TRADE, _E.TRADE_CANCEL, _E.TRADE_CORRECT})
ZERO: Final = Decimal(0)
# Above every price and quantity on earth, and small enough that all of the below stays exact.
AMOUNT_END: Final = Decimal(10) ** 18
PLACES_MAX: Final = 18
AT_END: Final = 253_402_300_800_000  # the year 10,000, which no calendar here can write
# Two such numbers multiplied have 72 digits, and a hundred million of those add 8 more. Were
# anything rounded, sums would depend on the order of arrival: so it raises instead.
EXACT: Final = Context(prec=100, traps=[Inexact, InvalidOperation])

Identity = tuple[str, str, str]
_Name = tuple[str, str | None]


class Amounts(NamedTuple):
    """How much was traded, and for how much money."""

    quantity: Decimal
    value: Decimal


NOTHING: Final = Amounts(ZERO, ZERO)


def identity(report: ExecutionReport) -> Identity:
    """Return what makes an execution that execution, and no other."""
    return report.broker_id, str(report.trade_date), report.execution_id


def same_fact(one: ExecutionReport, two: ExecutionReport) -> bool:
    """Return whether two reports of one identity say the same."""
    return (
        one.execution_type is two.execution_type
        and one.last_quantity == two.last_quantity
        and one.last_price == two.last_price
        and one.referenced_execution_id == two.referenced_execution_id
    )


def judge(report: ExecutionReport) -> None:
    """Raise `InvalidTransition` for an execution that cannot be, whatever the order."""
    if report.execution_type is not _E.TRADE and not report.referenced_execution_id:
        raise InvalidTransition(f"execution {report.execution_id}: it names no trade")
    if not 0 <= report.at < AT_END:
        raise InvalidTransition(f"execution {report.execution_id}: no such instant, {report.at}")
    if report.execution_type is _E.TRADE_CANCEL:
        return
    if not is_amount(report.last_quantity) or not is_amount(report.last_price):
        raise InvalidTransition(
            f"execution {report.execution_id}: expected a price and a positive quantity,"
            f" were {report.last_price} and {report.last_quantity}"
        )


def is_amount(number: Decimal | None) -> bool:
    """Whether this can be a price or a traded quantity, and sums of it stay exact."""
    if number is None or not number.is_finite() or not ZERO < number < AMOUNT_END:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -PLACES_MAX


class Trades:
    """The executions of one order, each once."""

    def __init__(self, known: Iterable[ExecutionReport] = ()) -> None:
        self._by_name: dict[_Name, ExecutionReport] = {}
        self._later: defaultdict[_Name, list[ExecutionReport]] = defaultdict(list)
        for report in known:
            self._note(report)

    def add(self, report: ExecutionReport) -> Amounts:
        """Count one more execution; return by how much it moves the order."""
        judge(report)
        root = self._root(report)
        before = NOTHING if root is None or root is report else self._worth(root)
        self._note(report)
        after = NOTHING if root is None else self._worth(root)
        return Amounts(
            EXACT.subtract(after.quantity, before.quantity),
            EXACT.subtract(after.value, before.value),
        )

    def _note(self, report: ExecutionReport) -> None:
        self._by_name.setdefault((report.broker_id, report.execution_id), report)
        if report.execution_type is not _E.TRADE:
            self._later[report.broker_id, report.referenced_execution_id].append(report)

    def _root(self, report: ExecutionReport) -> ExecutionReport | None:
        """Return the trade that all this is about; None if it has not come yet."""
        found: ExecutionReport | None = report
        for _ in range(len(self._by_name) + 1):  # bounded: ids that point in a circle end too
            if found is None or found.execution_type is _E.TRADE:
                return found
            found = self._by_name.get((found.broker_id, found.referenced_execution_id))
        return None

    def _worth(self, trade: ExecutionReport) -> Amounts:
        standing = trade
        for _ in range(len(self._by_name) + 1):
            later = self._later.get((standing.broker_id, standing.execution_id))
            if not later:
                break
            if any(report.execution_type is _E.TRADE_CANCEL for report in later):
                return NOTHING
            standing = max(later, key=lambda report: (report.at, report.execution_id))
        assert standing.last_price is not None, "it was judged when it came"
        value = EXACT.multiply(standing.last_price, standing.last_quantity)
        return Amounts(standing.last_quantity, value)
