"""One order's life on one page: what happened to it, who did it, and what can be done still.

Steps, attempts, executions, the doubt and what operators did stand in four records; here they
are one story, in the order of time, because whoever settles a doubt at 22:31 compares them. The
trap is two clocks: an execution carries the broker's time, and may stand before the step that it
caused; each line says which record it is from.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from app import codec
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import UNSENT, Order, is_stray
from app.domain.records import AttemptView, Doubt, OrderEvent
from app.domain.values import PendingRequest
from app.web.console.acts import HALT, SETTLE, Act, button, doubt_acts
from app.web.console.markup import Piece, Safe, tag
from app.web.console.shapes import moment, order_status, span
from app.web.console.sight import AuditRow, Viewer
from app.web.console.words import deed
from app.web.shapes import plain, plain_or_none

# More lines than this on one page help nobody; an order of a thousand fills has them in the API.
SHOWN: Final = 400
BEFORE: Final = frozenset({"reserved", "held", "queued", "sending"})
NONE: Final = "\N{EN DASH}"
LONG: Final = frozenset({"Order", "Session", "Its id there"})
AUDIT: Final = "audit:read"
AUDIT_SHOWN: Final = 100


class Records(NamedTuple):
    """All that there is about one order."""

    order: Order
    events: list[OrderEvent]
    attempts: list[AttemptView]
    executions: list[ExecutionReport]
    doubts: list[Doubt]
    audit: list[dict[str, object]]


class Line(NamedTuple):
    """One thing that happened."""

    at: int
    kind: str  # step, attempt, fill, doubt, audit
    says: str
    who: str
    why: str
    rank: int = 2  # of one millisecond: first what leads to an attempt, then it, then what follows


def resources_of(order_id: str) -> list[str]:
    """Return under which names the audit log knows an order, refused calls included."""
    one = quote(order_id, safe="")
    verbs = [f"/admin/v1/orders/{one}/{verb}" for verb in ("cancel", "hold", "release")]
    verbs += [f"/admin/v1/in-doubt/{one}/{verb}" for verb in ("resolve", "probe")]
    return [f"order/{order_id}", *verbs]


def order_page(found: Records, viewer: Viewer, now: int) -> tuple[Piece, ...]:
    """Return the inside of an order's page."""
    order = found.order
    lines = sorted(_lines(found), key=lambda line: (line.at, line.rank))
    cut = tag("p", f"The latest {SHOWN} of {len(lines):,} lines.") if len(lines) > SHOWN else None
    audited = None
    if not viewer.may(AUDIT):
        audited = tag("p", "What operators did is not shown: your key lacks audit:read.")
    return (
        tag(
            "div",
            tag("p", _status(order), *_doubt(found.doubts, now), class_="status"),
            tag("div", list(_buttons(found, viewer)), class_="acts order"),
            class_="now",
        ),
        tag("section", _facts(order), class_="panel", aria_label="What it asks for"),
        tag(
            "section",
            tag("h2", "Life"),
            _story(lines[-SHOWN:]),
            cut,
            audited,
            class_="panel",
        ),
    )


def _status(order: Order) -> Piece:
    waits = None
    if order.pending_request is not PendingRequest.NONE:
        waits = f", {order.pending_request} asked for"
    return [order_status(order.status), waits]


def _doubt(doubts: Iterable[Doubt], now: int) -> Iterator[Piece]:
    for doubt in doubts:
        yield f" at {doubt.broker_id} for {span((now - doubt.since) // 1_000)}"


def _buttons(found: Records, viewer: Viewer) -> Iterator[Safe | None]:
    for doubt in found.doubts:
        for act in doubt_acts(doubt):
            yield button(act, viewer, SETTLE)
    order = found.order
    if not order.is_terminal and order.pending_request is not PendingRequest.CANCEL:
        yield button(cancel_act(order), viewer, HALT, class_="danger")


def cancel_act(order: Order) -> Act:
    """Return the act that ends an order: at once, or by its broker."""
    where = order.broker_id or "its broker"
    if order.status in UNSENT and not is_stray(order):
        says = "It has not left: it ends at once, and no broker ever sees it."
    else:
        says = (
            f"It may be at {where}, which is asked to cancel it. What trades before the answer"
            " stays traded, and a doubt stays a doubt."
        )
    return Act(
        label="Cancel order…",
        title=f"Cancel order {order.order_id}",
        says=f"{says} There is no undo: to trade it after all, its owner sends a new one.",
        method="POST",
        path=f"/admin/v1/orders/{quote(order.order_id, safe='')}/cancel",
        grade="name",
        version=order.version,
        typed=order.order_id,
        key="cancel",
    )


def _facts(order: Order) -> Safe:
    price = plain_or_none(order.limit_price)
    average = plain_or_none(order.average_price)
    filled = plain(order.filled_quantity)
    shown = (
        ("Order", tag("span", order.order_id, class_="id")),
        ("Account", order.account_id),
        ("Client id", order.client_order_id),
        ("Symbol", f"{order.symbol} ({order.market})"),
        ("Side", str(order.side)),
        ("Quantity", plain(order.quantity)),
        ("Price", "market" if price is None else f"{price} {order.currency}"),
        ("Filled", filled if average is None else f"{filled} at {average}"),
        ("Session", order.trading_session_id),
        ("Broker", order.broker_id or NONE),
        ("Its id there", order.broker_order_id or NONE),
        ("Reason", (order.reason_code or NONE).replace("_", " ")),
        ("Taken", moment(order.accepted_at)),
        ("Changed", moment(order.updated_at)),
        ("Version", str(order.version)),
    )
    return tag(
        "dl",
        [
            tag("div", tag("dt", name), tag("dd", value), class_="long" if name in LONG else None)
            for name, value in shown
        ],
    )


def _story(lines: list[Line]) -> Safe:
    rows = [
        tag(
            "tr",
            tag("td", moment(line.at)),
            tag("td", tag("span", line.kind, class_=f"kind {line.kind}")),
            tag("td", _marked(line), class_="says"),
            tag("td", line.who),
            tag("td", line.why, class_="why-cell"),
            class_=line.kind,
        )
        for line in lines
    ]
    columns = ("When", "Record", "What", "By", "Why")
    head = tag("thead", tag("tr", [tag("th", name, scope="col") for name in columns]))
    return tag("div", tag("table", head, tag("tbody", rows), class_="life"), class_="wide")


def _marked(line: Line) -> Piece:
    if line.kind == "doubt":
        return tag("span", tag("span", "◆ ", aria_hidden="true"), line.says, class_="mark doubt")
    return line.says


def _lines(found: Records) -> Iterator[Line]:
    for event in found.events:
        says = event.type.removeprefix("order.").replace("_", " ")
        rank = 0 if says in BEFORE else 2
        yield Line(event.at, "step", says, event.actor, event.cause, rank)
    for attempt in found.attempts:
        yield from _of_attempt(attempt)
    for report in found.executions:
        yield Line(report.at, "fill", _traded(report), report.broker_id, report.reason or "")
    for doubt in found.doubts:
        says = f"no answer from {doubt.broker_id}: it may be there"
        yield Line(doubt.since, "doubt", says, "openbell", "it is asked about until that is known")
    for row in found.audit:
        yield _audited(row)


def _of_attempt(attempt: AttemptView) -> Iterator[Line]:
    name = f"attempt {attempt.attempt_number} at {attempt.broker_id}"
    key = f"key {attempt.broker_order_key}"
    yield Line(attempt.claimed_at, "attempt", f"{name}: on disk, may leave", "openbell", key, 1)
    if attempt.settled_at is not None:
        says = f"{name}: {attempt.outcome.replace('_', ' ')}"
        yield Line(attempt.settled_at, "attempt", says, attempt.settled_by or "", key)


def _traded(report: ExecutionReport) -> str:
    kind = report.execution_type
    word = "traded" if kind is ExecutionType.TRADE else str(kind).replace("_", " ")
    price = plain_or_none(report.last_price)
    amount = f" {plain(report.last_quantity)}" if report.last_quantity else ""
    at = f" at {price}" if price is not None else ""
    return f"{word}{amount}{at} ({report.execution_id})"


def _audited(row: AuditRow) -> Line:
    action = str(row["action"])
    says = deed(action, "the order").replace(" as operator", "")
    return Line(int(row["at"]), "audit", says + _change(row), str(row["actor"]), str(row["reason"]))


def _change(row: AuditRow) -> str:
    before, after = (_read(row[name]) for name in ("before", "after"))
    if not isinstance(after, Mapping):
        return ""
    if "detail" in after:
        return f" ({after['detail']})"
    was = before.get("status") if isinstance(before, Mapping) else None
    now = after.get("status")
    return f" ({was} → {now})".replace("_", " ") if was and now and was != now else ""


def _read(document: object) -> Any:
    return codec.decode(document) if isinstance(document, str) else document
