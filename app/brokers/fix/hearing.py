"""What a broker says about orders: one message in, what it proves out. Pure.

ExecType (150) is what happened, OrdStatus (39) where the order stands, and they are not mixed:
a fill is counted by its own execution, never by a status. What cannot be read is told as
`trouble` and is `unread`, never dropped in silence: it may have been a fill. The traps are two
refusals that look like the end of an order: "duplicate" (it is there already) and "unknown order"
in answer to a question (it may not have come yet); neither becomes a report.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from app.brokers.fix import checks, refusals, tags
from app.brokers.fix.commands import Message
from app.brokers.fix.executions import (
    NONE,
    expect_once,
    hint_of,
    kind_of,
    report_of,
    terms_of,
)
from app.brokers.fix.listing import list_status
from app.brokers.fix.said import PENDING_REPLACE, REJECTED, Said, addressed, reported
from app.brokers.fix.words import Dialect, is_replace, order_key_in
from app.brokers.wire import Unreadable
from app.domain.messages import (
    Absent,
    Accepted,
    ExecutionReport,
    ExecutionType,
    Found,
    Lookup,
    Rejected,
    Unknown,
)
from app.domain.values import Status, legible

# OrdStatus (39) where it names an end, or a fill; any other is a working order.
STATUSES: Final = {
    "1": Status.PARTIALLY_FILLED,
    "2": Status.FILLED,
    "4": Status.CANCELED,
    "8": Status.REJECTED,
    "C": Status.EXPIRED,
}
WORKING: Final = frozenset("035679ABDE")
PENDING_CANCEL: Final = "6"
REPLACED: Final = "5"
STATUS_REPORT: Final = "I"
TO_REPLACE: Final = "2"
# OrdRejReason (103) of a refusal that says nothing: it may mean the question, or an unknown order.
NO_REASONS: Final = frozenset({None, "0", "99"})
REFUSED: Final = frozenset({ExecutionType.REJECTED, ExecutionType.REPLACE_REJECTED})
_Values = Mapping[int, str]


def heard(broker_id: str, dialect: Dialect, message: Message) -> list[Said]:
    """Return what an application message or a session Reject says; at least one thing."""
    values = dict(message.fields)
    if message.fault is not None and not checks.is_beside(message.fault):
        # It was rejected. Which of its fields may be believed, nobody can say.
        return [_unread(f"{message.fault.words} ({message.fault.tag})", addressed(values).key)]
    match message.type:
        case tags.EXECUTION_REPORT:
            return [_execution(broker_id, dialect, message, values)]
        case tags.CANCEL_REJECT:
            return [_cancel_reject(broker_id, dialect, values)]
        case tags.BUSINESS_REJECT:
            return [_business_reject(dialect, values)]
        case tags.REJECT:
            return [_session_reject(values)]
        case tags.LIST_STATUS:
            return list_status(broker_id, dialect, message)
        case _:
            return [_unread(f"nobody here reads {legible(message.type)[:8]}")]


def _execution(broker_id: str, dialect: Dialect, message: Message, values: _Values) -> Said:
    filled = None
    try:
        expect_once(message, values)
        kind = kind_of(dialect, values)
        filled = hint_of(values, tags.FILLED_QUANTITY)
        if kind is ExecutionType.REJECTED and is_replace(values.get(tags.CLIENT_ORDER_ID)):
            # The order was taken under another id, and stands.
            kind = ExecutionType.REPLACE_REJECTED
        if kind in REFUSED or values.get(tags.ORDER_STATUS) == REJECTED:
            asked = addressed(values, filled_quantity=filled)
            if (refused := _refused(dialect, asked, values)) is not None:
                return refused
        report = report_of(broker_id, dialect, values, kind)
    except Unreadable as e:
        doubt = Unknown(f"unreadable report: {e}")
        return addressed(
            values,
            filled_quantity=filled,
            submitted=doubt,
            replaced=doubt if values.get(tags.EXECUTION_TYPE) == REPLACED else None,
            shown=doubt if tags.STATUS_ID in values else None,
        )._replace(trouble=doubt.cause, unread=True)
    return _proven(report, filled, values)


def _unread(why: str, key: str | None = None) -> Said:
    return Said(key=key, trouble=why, unread=True)


def _refused(dialect: Dialect, said: Said, values: _Values) -> Said | None:
    """Return what a refusal says that does not end the order, None if it is an order's end."""
    number = values.get(tags.ORDER_REJECT_REASON)
    is_question = said.status_id is not None or values[tags.EXECUTION_TYPE] == STATUS_REPORT
    if number in dialect.unknown_order_reasons:
        # Without the question's id it may be an odd answer to the order: that proves nothing.
        doubtful = None if is_question else Unknown("the broker says: unknown order")
        return said._replace(shown=Absent(), submitted=doubtful, replaced=doubtful)
    if number == refusals.DUPLICATE_ORDER:
        doubt = refusals.order_refused(values)
        shown = Unknown("duplicate id") if is_question else None
        return said._replace(submitted=doubt, replaced=doubt, shown=shown)
    says_nothing = number in NO_REASONS and values.get(tags.ORDER_ID, NONE) == NONE
    if says_nothing and (is_question or is_replace(said.request)):
        doubt = Unknown("refused, with neither an order nor a reason")
        return said._replace(shown=doubt, replaced=None if is_question else doubt)
    if is_replace(said.request):
        return None  # it is read as a refused replace
    original = values.get(tags.ORIGINAL_CLIENT_ORDER_ID)
    if said.request != said.key or original not in {None, said.request}:
        return said._replace(canceled=refusals.order_refused(values))
    return None


def _proven(report: ExecutionReport, filled: Decimal | None, values: _Values) -> Said:
    """Say what a report that could be read proves, beside what it reports."""
    there = Accepted(report.broker_order_id)
    type_, kind = values[tags.EXECUTION_TYPE], report.execution_type
    is_shown = type_ == STATUS_REPORT or tags.STATUS_ID in values
    is_canceled = kind is ExecutionType.CANCELED or type_ == PENDING_CANCEL
    said = addressed(
        values,
        report=report,
        submitted=there,
        canceled=there if is_canceled else None,
        replaced=there if type_ in {REPLACED, PENDING_REPLACE} else None,
        shown=_shown(report.broker_order_id, values) if is_shown else None,
        filled_quantity=filled,
    )
    if kind is ExecutionType.REJECTED:
        return said._replace(submitted=refusals.order_refused(values))
    if kind is ExecutionType.REPLACE_REJECTED:
        return said._replace(submitted=None, replaced=refusals.order_refused(values))
    if values.get(tags.ORDER_STATUS) == REJECTED:  # a status that shows an order refused earlier
        return said._replace(report=None, submitted=refusals.order_refused(values))
    return said


def _shown(order_id: str, values: _Values) -> Lookup:
    status = values.get(tags.ORDER_STATUS, "")
    if status not in STATUSES and status not in WORKING:
        return Unknown(f"found, but in no state that FIX knows: {legible(status)[:8]}")
    traded = hint_of(values, tags.FILLED_QUANTITY)
    working = Status.PARTIALLY_FILLED if traded else Status.NEW
    try:
        quantity, price = terms_of(values)
    except Unreadable:
        quantity, price = None, None
    return Found(
        order_id,
        STATUSES.get(status, working),
        reason=refusals.reason_of(values),
        quantity=quantity,
        limit_price=price,
        filled_quantity=traded,
    )


def _cancel_reject(broker_id: str, dialect: Dialect, values: _Values) -> Said:
    """Read who refuses what: by the request's own id (11), else by what it answers (434)."""
    request = values.get(tags.CLIENT_ORDER_ID)
    original = values.get(tags.ORIGINAL_CLIENT_ORDER_ID) or request
    said = Said(
        key=None if original is None else order_key_in(original),
        request=request,
        trouble="a refused cancel of no order" if original is None else None,
        unread=original is None,
    )
    if is_replace(request):
        return _replace_reject(broker_id, dialect, said, values)
    if values.get(tags.CANCEL_REJECT_RESPONSE) == TO_REPLACE:
        return said._replace(replaced=refusals.replace_refused(values))
    return said._replace(canceled=refusals.cancel_refused(values))


def _replace_reject(broker_id: str, dialect: Dialect, said: Said, values: _Values) -> Said:
    """Say that new terms are refused, as a report too: whoever asked may wait no longer."""
    said = said._replace(replaced=refusals.replace_refused(values))
    if not isinstance(said.replaced, Rejected):
        return said
    return reported(broker_id, dialect, said, values, ExecutionType.REPLACE_REJECTED)


def _business_reject(dialect: Dialect, values: _Values) -> Said:
    said = _citing(values)._replace(status_id=values.get(tags.BUSINESS_REFERENCE))
    match said.refused_type:
        case tags.NEW_ORDER | tags.NEW_LIST:
            return said._replace(submitted=refusals.business_answer(dialect, values))
        case tags.CANCEL:
            answer = refusals.business_answer_to_change(dialect, values)
            return said._replace(canceled=answer)
        case tags.REPLACE:
            answer = refusals.business_answer_to_change(dialect, values)
            return said._replace(replaced=answer)
        case tags.STATUS | tags.MASS_STATUS:
            return said._replace(shown=refusals.business_lookup(values))
        case _:
            return said._replace(trouble=f"business reject: {refusals.text_of(values)}")


def _session_reject(values: _Values) -> Said:
    """Say what a Reject proves of whatever it cites: its type (372) may be left out."""
    answer = refusals.session_answer(values)
    words = f"session reject: {refusals.text_of(values)}"
    said = _citing(values)
    return said._replace(
        submitted=answer, canceled=answer, replaced=answer, shown=Unknown(words), trouble=words
    )


def _citing(values: _Values) -> Said:
    number = values.get(tags.REFERENCED_NUMBER, "")
    return Said(
        number=int(number) if number.isdecimal() and len(number) <= len("9999999999") else None,
        refused_type=values.get(tags.REFERENCED_TYPE),
    )
