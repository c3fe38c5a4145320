"""What verification found, in a form that a program may act upon: signed JSON, one day a row.

    {"schema": "openbell.verification.v1",
     "record": "parquet" | "ledger",           what the view was compared with
     "source": …, "store": …, "made_at": …, "before": "2026-01-06" | null,
     "verdict": "equal" | "different",         equal: every day is, nothing rejected or unreadable
     "days": [{"trade_date": …, "state": "equal" | "different",
               "record": {totals, "groups": […]}, "view": {totals, "groups": […]},
               "compared": n, "missing": n, "altered": n, "superseded": n,
               "extra": n, "repeated": n}, …],   in the view alone; more than once in the record
     "rejected": n, "unreadable": ["file: reason", …],
     "differences": [{"order_id", "trade_date", "field", "record", "view"}, …],   the first 100
     "signature": {"algorithm": "hmac-sha256", "key_id": …, "value": …}}

Totals are `orders`, `quantity`, `notional` (exact decimals as text), `accepted_first`,
`accepted_last` (milliseconds), `checksum` (16 hexadecimal digits). The signature is HMAC-SHA256
over the document without it: names sorted, no spaces, UTF-8.

The trap is to drop a ledger's day on an old report. So the gate does not only ask whether the
report says "equal": it must be ours, of the ledger, and what stands in the partition now must
still add up to what was compared.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, NamedTuple

import msgspec

from app import codec
from app.accounts.history.findings import Findings, Seen
from app.accounts.history.totals import DayTotals
from app.domain.values import rfc3339

SCHEMA: Final = "openbell.verification.v1"
ALGORITHM: Final = "hmac-sha256"
KEY_BYTES_MIN: Final = 32
_canonical: Final = msgspec.json.Encoder(order="sorted")

Kind = Literal["parquet", "ledger"]


class BadReport(ValueError):
    """A report that says nothing: not ours, not whole, or of another kind."""


class DayFinding(NamedTuple):
    """One day's two sides."""

    seen: Seen
    view: DayTotals

    @property
    def extra(self) -> int:
        """How many documents the view has that the record has not."""
        return max(0, self._surplus)

    @property
    def repeated(self) -> int:
        """How many rows of the record name an order that another row has named."""
        return max(0, -self._surplus)

    @property
    def _surplus(self) -> int:
        return self.view.whole.orders - (self.seen.totals.whole.orders - self.seen.missing)

    @property
    def is_equal(self) -> bool:
        return (
            self.seen.totals.groups == self.view.groups
            and not self.seen.missing
            and not self.seen.altered
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was compared with what."""

    record: Kind
    source: str
    store: str
    before: date | None = None


def report_of(
    subject: Subject, days: Sequence[DayFinding], findings: Findings, now: int
) -> dict[str, Any]:
    """Return the report of what was found, not signed yet."""
    rest = findings.rejected or findings.unreadable
    return {
        "schema": SCHEMA,
        "record": subject.record,
        "source": subject.source,
        "store": subject.store,
        "made_at": rfc3339(now),
        "before": None if subject.before is None else subject.before.isoformat(),
        "verdict": _word(all(day.is_equal for day in days) and not rest),
        "days": [_day(day) for day in days],
        "rejected": findings.rejected,
        "unreadable": list(findings.unreadable),
        "differences": [difference._asdict() for difference in findings.differences],
    }


def signed(report: Mapping[str, Any], key: bytes) -> bytes:
    """Return the report with its signature, as it is kept."""
    assert len(key) >= KEY_BYTES_MIN, "a key that can be guessed signs nothing"
    signature = {"algorithm": ALGORITHM, "key_id": key_id(key), "value": _hmac(report, key)}
    return codec.encode({**report, "signature": signature})


def read_report(raw: bytes, key: bytes) -> dict[str, Any]:
    """Return a report whose signature fits, or raise `BadReport`."""
    try:
        told = codec.decode(raw)
    except codec.Malformed as e:
        raise BadReport(f"it is no JSON: {e}") from e
    report: dict[str, Any] = told if isinstance(told, dict) else {}
    signature = report.pop("signature", None)
    if not isinstance(signature, dict) or signature.get("algorithm") != ALGORITHM:
        raise BadReport(f"it bears no signature by {ALGORITHM}")
    if signature.get("key_id") != key_id(key):
        raise BadReport(f"it is signed with another key than {key_id(key)}")
    if not hmac.compare_digest(str(signature.get("value")), _hmac(report, key)):
        raise BadReport("its signature does not fit: it has been changed")
    if report.get("schema") != SCHEMA:
        raise BadReport(f"expected {SCHEMA}, was {report.get('schema')!r}")
    return report


def allows_drop(raw: bytes, *, key: bytes, standing: DayTotals) -> str | None:
    """Return why a ledger's day may not be dropped on this report, or None if it may.

    `standing` is what stands in the partition now: `totals_of` over the fold of its orders.
    """
    try:
        report = read_report(raw, key)
    except BadReport as e:
        return f"the report cannot be believed: {e}"
    if report["record"] != "ledger":
        return f"the report is about {report['record']}, not about the ledger"
    day = standing.trade_date.isoformat()
    found = next((found for found in report["days"] if found["trade_date"] == day), None)
    if found is None:
        return f"the report says nothing about {day}"
    if found["state"] != _word(True):
        return f"verification failed for {day}: the view is not what the ledger says"
    if found["record"] != _side(standing) or found["view"] != _side(standing):
        return f"{day} is not what was verified any more: verify it again"
    if standing.whole.orders and not found["compared"]:
        return f"not one order of {day} was compared field by field"
    return None


def key_id(key: bytes) -> str:
    """Name a key without saying it."""
    return hashlib.blake2b(key, digest_size=8, person=b"openbell-key-id").hexdigest()


def _day(day: DayFinding) -> dict[str, Any]:
    seen = day.seen
    return {
        "trade_date": seen.totals.trade_date.isoformat(),
        "state": _word(day.is_equal),
        "record": _side(seen.totals),
        "view": _side(day.view),
        "compared": seen.compared,
        "missing": seen.missing,
        "altered": seen.altered,
        "superseded": seen.superseded,
        "extra": day.extra,
        "repeated": day.repeated,
    }


def _side(totals: DayTotals) -> dict[str, Any]:
    return totals.whole.as_json() | {"groups": totals.as_json()["groups"]}


def _word(is_equal: bool) -> str:  # noqa: FBT001 - the word of one truth
    return "equal" if is_equal else "different"


def _hmac(report: Mapping[str, Any], key: bytes) -> str:
    return hmac.new(key, _canonical.encode(report), hashlib.sha256).hexdigest()
