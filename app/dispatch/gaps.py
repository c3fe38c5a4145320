"""What a broker shows and does not explain: fills without executions, orders that it lacks. Pure.

A status that says "filled" names no execution, and a fill that we made up would be counted again
when the real one comes. "Unknown order" about an order that works proves nothing either. So
neither changes an order: it is a gap, told as an anomaly until the executions come, the order is
shown again or ends, or somebody has acknowledged it.

The trap is a restart, which forgets what an ended order still lacks: nobody asks about that one
again. So the anomaly itself names the orders, and the next life takes them over from there.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from app.domain.anomaly import (
    Anomaly,
    Finding,
    Observed,
    Recommended,
    Severity,
    Subject,
    Threshold,
)
from app.domain.messages import Found
from app.domain.order import WORKING, Order
from app.domain.trades import EXACT
from app.domain.values import Status

FILLS: Final = "fills.missing"
ABSENT: Final = "orders.absent"
# "Partially filled" without a number: anything at all, in the finest unit that is traded.
ANYTHING: Final = Decimal("0.00000001")
NOTHING: Final = Decimal(0)
# Enough to begin with; their number is told beside them.
NAMED_MAX: Final = 100
# It is looked at again with each round, so it holds for longer than one.
VALID_FOR_S: Final = 1_200.0


def traded(order: Order) -> Decimal:
    return EXACT.add(order.filled_quantity, order.overfilled_quantity)


def least_traded(found: Found, quantity: Decimal) -> Decimal:
    """Return how much of an order the broker says has traded, at the least."""
    if found.filled_quantity:
        return found.filled_quantity
    match found.status:
        case Status.FILLED:
            return quantity if found.quantity is None else found.quantity
        case Status.PARTIALLY_FILLED:
            return ANYTHING
        case _:
            return NOTHING


class Gaps:
    """One broker's gaps: by key what must have traded at the least, or that it was not known."""

    def __init__(self, broker_id: str) -> None:
        self._subject = Subject("broker", broker_id)
        self._gaps: dict[str, dict[str, Decimal]] = {FILLS: {}, ABSENT: {}}
        self._seen: dict[str, frozenset[str]] = {FILLS: frozenset(), ABSENT: frozenset()}
        self._told: dict[str, tuple[str, ...]] = {FILLS: (), ABSENT: ()}

    @property
    def keys(self) -> set[str]:
        return {key for gaps in self._gaps.values() for key in gaps}

    def knows(self, key: str) -> bool:
        """Whether this order has been told of, or acknowledged."""
        known = (*self._gaps.values(), *self._seen.values())
        return any(key in keys for keys in known)

    def note(self, rule: str, key: str, amount: Decimal = NOTHING) -> None:
        """Note a gap that was looked at twice."""
        if key not in self._seen[rule]:
            self._gaps[rule][key] = amount

    def explained(self, rule: str, key: str) -> None:
        self._gaps[rule].pop(key, None)

    def follow(self, orders: Mapping[str, Order]) -> None:
        """Forget what has been explained since: by executions, or by the order's end."""
        for key, least in list(self._gaps[FILLS].items()):
            if key not in orders or traded(orders[key]) >= least:
                self.explained(FILLS, key)
        for key in list(self._gaps[ABSENT]):
            if key not in orders or orders[key].status not in WORKING:
                self.explained(ABSENT, key)

    def hear(self, standing: Sequence[Anomaly]) -> None:
        """Take over what a former life found, and forget what somebody has acknowledged."""
        for anomaly in standing:
            rule = anomaly.rule_id
            if rule not in self._gaps or anomaly.subject != self._subject:
                continue
            named = _named(anomaly)
            if not self._told[rule]:  # another life's
                self._gaps[rule] = named | self._gaps[rule]
                self._told[rule] = tuple(sorted(named)) or ("?",)
            if anomaly.acknowledged_at is not None:
                self._seen[rule] |= frozenset(named)
                for key in named:
                    self.explained(rule, key)

    def news(self) -> list[Finding]:
        """Return what others have not been told, the ends too."""
        return [self.finding(rule) for rule in self._gaps if self._changed(rule)]

    def told(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            named = finding.evidence.get("orders", {})
            assert isinstance(named, Mapping)
            self._told[finding.rule_id] = tuple(sorted(named))

    def _changed(self, rule: str) -> bool:
        return tuple(sorted(self._gaps[rule])[:NAMED_MAX]) != self._told[rule]

    def finding(self, rule: str) -> Finding:
        gaps = self._gaps[rule]
        named = {key: str(gaps[key]) for key in sorted(gaps)[:NAMED_MAX]}
        count = len(gaps)
        return Finding(
            rule_id=rule,
            rule_version=1,
            subject=self._subject,
            severity=Severity.CRITICAL if gaps else None,
            observed=Observed("orders", float(count), "orders", 0.0, count),
            threshold=Threshold(">=", 1.0, 0.0, 0.0),
            recommended=Recommended("reconcile"),
            evidence={"orders": named} if named else {},
            valid_for_s=VALID_FOR_S,
        )


def _named(anomaly: Anomaly) -> dict[str, Decimal]:
    """Read back the orders that a finding named; what is no amount was not written by us."""
    orders = anomaly.evidence.get("orders")
    if not isinstance(orders, Mapping):
        return {}
    found: dict[str, Decimal] = {}
    for key, amount in orders.items():
        try:
            found[str(key)] = Decimal(str(amount))
        except InvalidOperation:
            continue
    return found
