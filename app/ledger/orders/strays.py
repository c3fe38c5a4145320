"""A copy that a broker has shown of an order that we held to be nowhere, settled by two people.

Such an order is held (`stray-evidence`): it may be live, so nothing lets it go and no timer ends
it. What ends it is the broker's own report; or, where none will come, a person's word by evidence
that another person has approved, which leads through the same moves as that report. The trap is
the word that nothing was ever there: it makes a second copy possible. So it is not taken once the
order has traded, and it releases nothing: that is another act, by whoever may.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain import holding as law
from app.domain.errors import Code, Refused
from app.domain.holding import StrayVerdict, StrayWord
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import Order, is_stray
from app.domain.records import Actor, Change
from app.domain.values import GONE, Status
from app.ledger import rows
from app.ledger.dialect import Statement
from app.ledger.dispatch import attempts, reporting
from app.ledger.dispatch.attempts import Attempt
from app.ledger.dispatch.verdicts import Word, report_of
from app.ledger.operators import audit
from app.ledger.orders import booking

_STRAYS: Final = Statement(
    lambda d: d.listed(
        d.array("h.order_id"),
        "(SELECT h.order_id FROM held_orders AS h WHERE h.reason_code = :stray"
        f" AND ({d.given('everyone', 'integer')} = 1 OR h.account_id {d.among('accounts')})"
        " ORDER BY h.accept_sequence LIMIT :limit) AS h",
    )
)
_ENDS: Final = {
    StrayVerdict.CANCELED: (ExecutionType.CANCELED,),
    StrayVerdict.EXPIRED: (ExecutionType.EXPIRED,),
    # It ends at the broker, and what was left of it has traded: a late fill, as any other.
    StrayVerdict.FILLED: (ExecutionType.CANCELED, ExecutionType.TRADE),
}
assert {*_ENDS, StrayVerdict.NOT_RECEIVED} == set(StrayVerdict), "every verdict has its moves"


def listed(connection: Connection, accounts: Sequence[str] | None, limit: int) -> list[Order]:
    """Return the orders held for a copy, the oldest first; `accounts` None: of everybody."""
    found = _STRAYS.run(
        connection,
        stray=Code.STRAY_EVIDENCE.code,
        everyone=int(accounts is None),
        accounts=codec.text(accounts or []),
        limit=limit,
    )
    ids = [order_id for (order_id,) in codec.decode(found.scalar_one())]
    orders = rows.by_ids(connection, ids)
    return [orders[order_id] for order_id in ids]


def settle(
    connection: Connection, seen: tuple[str, int], said: StrayWord, by: Actor, now: int
) -> Order:
    """Settle one, `seen` as (order id, version), audited; or raise `Refused`."""
    order_id, verdict = seen[0], said.verdict
    before, word = booking.seen(connection, *seen), Word(said.attempt_id, verdict, said.terms)
    attempt = attempts.by_keys(connection, [word.key]).get(word.key)
    if before.status is not Status.HELD or not is_stray(before):
        raise Refused(Code.NOT_STRAY, f"the order is {before.status}", status=before.status)
    if attempt is None or attempt.order_id != order_id or attempt.outcome not in GONE:
        raise Refused(Code.NOT_STRAY, f"no copy is in question of attempt {word.key}")
    if verdict is StrayVerdict.NOT_RECEIVED:
        _refute(connection, before, by, now)
    else:
        reports = [_report(before, attempt, word, kind, now) for kind in _ENDS[verdict]]
        reporting.apply(connection, reports, by.name, now)
    after = rows.by_ids(connection, [order_id])[order_id]
    assert not is_stray(after) or after.is_terminal, f"{verdict} left {order_id} {after.status}"
    told = {**word.terms, "verdict": verdict, "status": after.status, "version": after.version}
    was = {"status": before.status, "version": before.version, "attempt": word.key}
    audit.append(connection, by, Change("stray.settle", f"order/{order_id}", was, told), now)
    return after


def _refute(connection: Connection, before: Order, by: Actor, now: int) -> None:
    after = law.refuted(before, now)
    if isinstance(after, Code):
        raise Refused(after, f"it has traded {before.filled_quantity}: a copy was there")
    move = rows.Move(before, [after], f"no copy was there, by {by.name}")
    rows.write(connection, [move], by.name)


def _report(
    order: Order, attempt: Attempt, word: Word, kind: ExecutionType, now: int
) -> ExecutionReport:
    left = order.quantity - order.filled_quantity
    if kind is ExecutionType.TRADE and left <= 0:
        raise Refused(Code.NOT_STRAY, "all of it has traded: say canceled")
    return report_of(order, attempt.broker_id, word, kind, now)
