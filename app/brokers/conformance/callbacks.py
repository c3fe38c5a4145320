"""B-6xx: what a broker pushes, and what somebody else pushes in its name."""

from collections.abc import Mapping
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit
from app.brokers.conformance.lookups import in_decimals
from app.brokers.conformance.verdict import Failed
from app.domain.messages import ExecutionReport
from app.domain.values import DAY_MS
from app.ports.brokers import BadCallback, Broker

# None of them is a callback of any broker.
NONSENSE: Final = (b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000, b" " * 5_000_000)


def _read(
    broker: Broker, headers: Mapping[str, str], body: bytes
) -> list[ExecutionReport] | BadCallback:
    """Return the reports, or the refusal; another exception breaks the contract."""
    try:
        return list(broker.read_callback(headers, body))
    except BadCallback as e:
        return e
    except Exception as e:
        raise Failed("reports, or BadCallback", f"{type(e).__name__}: {e}") from e


def _refused(broker: Broker, headers: Mapping[str, str], body: bytes) -> str:
    found = _read(broker, headers, body)
    if not isinstance(found, BadCallback):
        raise Failed("BadCallback", f"believed: {found}")
    return f"BadCallback: {found}"


@case(
    "B-601",
    "A genuine callback is read",
    Need.CALLBACKS,
    Need.LIVE,
    proves="what the broker tells of its own accord arrives, in decimals",
    source="ports.brokers.Broker.read_callback; FIX ExecutionReport (8)",
)
async def genuine(kit: Kit) -> str:
    push, broker = await kit.genuine(), await kit.broker()
    reports = _read(broker, push.headers, push.body)
    if isinstance(reports, BadCallback) or not reports:
        raise Failed("reports", reports)
    for report in reports:
        in_decimals(report)
        if report.broker_id != broker.name:
            raise Failed(f"reports of {broker.name}", report.broker_id)
    return f"{len(reports)} reports, the first: {reports[0].execution_type}"


@case(
    "B-602",
    "A callback without a signature is refused",
    Need.CALLBACKS,
    Need.LIVE,
    proves="nobody can fill an order by knowing our address",
    source="ports.brokers.BadCallback",
)
async def unsigned(kit: Kit) -> str:
    push, broker = await kit.genuine(), await kit.broker()
    return _refused(broker, {"Content-Type": "application/json"}, push.body)


@case(
    "B-603",
    "A callback that was changed on its way is refused",
    Need.CALLBACKS,
    Need.LIVE,
    proves="the signature is over these very bytes",
    source="ports.brokers.BadCallback",
)
async def changed(kit: Kit) -> str:
    push, broker = await kit.genuine(), await kit.broker()
    return _refused(broker, push.headers, push.body + b" ")


@case(
    "B-604",
    "A callback under another secret is refused",
    Need.CALLBACKS,
    Need.LIVE,
    Need.SECRET,
    proves="the signature is the broker's own",
    source="ports.brokers.BadCallback",
)
async def foreign(kit: Kit) -> str:
    push = await kit.genuine()
    broker = await kit.broker(**{kit.terms.secret_option: "another-secret-altogether"})
    return _refused(broker, push.headers, push.body)


@case(
    "B-605",
    "A callback of yesterday is refused",
    Need.CALLBACKS,
    Need.LIVE,
    proves="a recorded callback cannot be played next week",
    source="ports.brokers.BadCallback",
)
async def old(kit: Kit) -> str:
    push, broker = await kit.genuine(), await kit.broker()
    kit.clock.ahead_ms = DAY_MS
    return _refused(broker, push.headers, push.body)


@case(
    "B-606",
    "A callback that comes twice says the same twice",
    Need.CALLBACKS,
    Need.LIVE,
    proves="a repetition is applied once, by its execution ids",
    source="FIX ExecID (17), PossDupFlag (43)",
)
async def replayed(kit: Kit) -> str:
    push, broker = await kit.genuine(), await kit.broker()
    first = _read(broker, push.headers, push.body)
    again = _read(broker, push.headers, push.body)
    if isinstance(first, BadCallback) or isinstance(again, BadCallback):
        return "the repetition is refused"
    ids = [[(r.execution_id, r.trade_date) for r in reports] for reports in (first, again)]
    if ids[0] != ids[1]:
        raise Failed("the same execution ids", ids)
    return "the same execution ids"


@case(
    "B-607",
    "Nonsense is refused, whatever it is",
    proves="a stranger at our address breaks nothing",
    source="ports.brokers.BadCallback",
)
async def nonsense(kit: Kit) -> str:
    broker = await kit.broker()
    for body in NONSENSE:
        for headers in ({}, {"X-Signature": "t=1,v1=00"}, {"Authorization": "\u00e9"}):
            _refused(broker, headers, body)
    return f"{len(NONSENSE)} bodies, each refused"


CASES: Final = (genuine, unsigned, changed, foreign, old, replayed, nonsense)
