"""What a broker says about orders: one message in, what it proves out. Pure.

ExecType (150) is what happened, OrdStatus (39) where the order stands, and they are not mixed:
a fill is counted by its own execution, never by a status. What cannot be read is told as
`trouble` and is `unread`, never dropped in silence: it may have been a fill. The traps are two
refusals that look like the end of an order: "duplicate" (it is there already) and "unknown order"
in answer to a question (it may not have come yet); neither becomes a report.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from app.brokers.fix import checks, refusals, tags
from app.brokers.fix.commands import Message
from app.brokers.fix.executions import (
    NONE,
    expect_once,
    hint_of,
    kind_of,
    refused_replace,
    report_of,
    terms_of,
)
from app.brokers.fix.words import Dialect, is_replace, order_key_in
from app.brokers.wire import Unreadable
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
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
REJECTED: Final = "8"
PENDING_CANCEL: Final = "6"
PENDING_REPLACE: Final = "E"
REPLACED: Final = "5"
STATUS_REPORT: Final = "I"
TO_REPLACE: Final = "2"
# OrdRejReason (103) of a refusal that says nothing: it may mean the question, or an unknown order.
NO_REASONS: Final = frozenset({None, "0", "99"})
REFUSED: Final = frozenset({ExecutionType.REJECTED, ExecutionType.REPLACE_REJECTED})
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


def heard(broker_id: str, dialect: Dialect, message: Message) -> list[Said]:
    """Return what an application message or a session Reject says; at least one thing."""
    values = dict(message.fields)
    if message.fault is not None and not checks.is_beside(message.fault):
        # It was rejected. Which of its fields may be believed, nobody can say.
        return [_unread(f"{message.fault.words} ({message.fault.tag})", _addressed(values).key)]
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
            return _list_status(message, values)
        case _:
            return [_unread(f"nobody here reads {legible(message.type)[:8]}")]


def _execution(broker_id: str, dialect: Dialect, message: Message, values: _Values) -> Said:
    said = _addressed(values)
    try:
        expect_once(message, values)
        kind = kind_of(dialect, values)
        said = said._replace(filled_quantity=hint_of(values, tags.FILLED_QUANTITY))
        if kind is ExecutionType.REJECTED and is_replace(said.request):
            # The order was taken under another id, and stands.
            kind = ExecutionType.REPLACE_REJECTED
        if kind in REFUSED or values.get(tags.ORDER_STATUS) == REJECTED:
            refused = _refused(dialect, said, values)
            if refused is not None:
                return refused
        report = report_of(broker_id, dialect, values, kind)
    except Unreadable as e:
        why = f"unreadable report: {e}"
        shown = None if said.status_id is None else Unknown(why)
        replaced = Unknown(why) if values.get(tags.EXECUTION_TYPE) == REPLACED else None
        said = said._replace(shown=shown, submitted=Unknown(why), replaced=replaced)
        return said._replace(trouble=why, unread=True)
    return _proven(said._replace(report=report), values)


def _unread(why: str, key: str | None = None) -> Said:
    return Said(key=key, trouble=why, unread=True)


def _addressed(values: _Values) -> Said:
    request = values.get(tags.CLIENT_ORDER_ID)
    return Said(
        key=None if request is None else order_key_in(request),
        request=request,
        status_id=values.get(tags.STATUS_ID),
        mass_id=values.get(tags.MASS_STATUS_ID),
        is_last=values.get(tags.LAST_REPORT) == "Y",
        is_pending=values.get(tags.ORDER_STATUS) == PENDING_REPLACE,
    )


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


def _proven(said: Said, values: _Values) -> Said:
    """Add what a report that could be read proves, beside what it reports."""
    report = said.report
    assert report is not None
    order_id = report.broker_order_id
    there: Answer = Accepted(order_id)
    type_ = values[tags.EXECUTION_TYPE]
    if type_ == STATUS_REPORT or said.status_id is not None:
        said = said._replace(shown=_shown(order_id, values))
    if report.execution_type is ExecutionType.REJECTED:
        return said._replace(submitted=refusals.order_refused(values))
    if report.execution_type is ExecutionType.REPLACE_REJECTED:
        return said._replace(replaced=refusals.order_refused(values))
    if report.execution_type is ExecutionType.CANCELED or type_ == PENDING_CANCEL:
        said = said._replace(canceled=there)
    if type_ in {REPLACED, PENDING_REPLACE}:
        said = said._replace(replaced=there)
    if values.get(tags.ORDER_STATUS) == REJECTED:  # a status that shows an order refused earlier
        return said._replace(report=None, submitted=refusals.order_refused(values))
    return said._replace(submitted=there)


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
    answer = refusals.replace_refused(values)
    if not isinstance(answer, Rejected):
        return said._replace(replaced=answer)
    try:
        report = refused_replace(broker_id, dialect, values)
    except Unreadable as e:
        return said._replace(replaced=answer, trouble=f"unreadable refusal: {e}", unread=True)
    return said._replace(replaced=answer, report=report)


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


def _list_status(message: Message, values: _Values) -> list[Said]:
    """Read the orders of a ListStatus (35=N); each begins with its ClOrdID (11)."""
    list_id = values.get(tags.LIST_ID)
    items: list[dict[int, str]] = []
    for tag, value in message.fields:
        if tag == tags.CLIENT_ORDER_ID:
            items.append({})
        if items:
            items[-1].setdefault(tag, value)
    if not items:
        return [Said(list_id=list_id, trouble="a list's status without orders", unread=True)]
    return [_of_list(list_id, item) for item in items]


def _of_list(list_id: str | None, item: _Values) -> Said:
    """Say what a list shows of one order: only a refusal is news, it names no execution."""
    said = _addressed(item)._replace(list_id=list_id)
    if item.get(tags.ORDER_STATUS) != REJECTED:
        return said
    answer = refusals.order_refused(item)
    return said._replace(submitted=answer if isinstance(answer, Rejected) else None)
