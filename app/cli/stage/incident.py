"""How long a broker's death took to be answered, read from files after the fact.

The ledger knows when the first answer failed, the failover's document when it was noticed, decided
and fenced, and the other broker's own record when it took the first order. All instants are put on
one clock and told from the first failing answer on.
"""

import json
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.domain.drill import OURS, TIMED

FIRST_FAILURE: Final = (
    "SELECT at, cause FROM order_events WHERE at >= ? AND (type = 'order.in_doubt'"
    " OR (type = 'order.queued' AND cause LIKE 'not sent: %')) ORDER BY at"
)


FIRST_ALERT: Final = "SELECT min(opened_at) FROM anomalies WHERE subject = ? AND opened_at >= ?"


class Times(NamedTuple):
    """Seconds from the first failing answer to each step."""

    detected: float
    decided: float
    fenced: float
    first_accepted: float


class Incident(NamedTuple):
    """One failover, and when what happened."""

    alerted: float | None  # seconds from the first failing answer to the first alert of it
    failed_after: float  # seconds from the fault to the first failing answer
    times: Times
    failover: dict[str, Any]

    def lines(self) -> list[str]:
        """Tell it to a person, a line for each step."""
        told, steps = self.failover, self.times._asdict()
        way = f"{told['from_broker']} -> {told['to_broker']}"
        return [
            f"{way}, epoch {told['epoch']}: {told['reason']}",
            f"{0:8.2f} s  the first failing answer, {self.failed_after:.2f} s after the fault",
            *([] if self.alerted is None else [f"{self.alerted:8.2f} s  alerted"]),
            *(f"{at:8.2f} s  {name.replace('_', ' ')}" for name, at in steps.items()),
            f"{told['moved']:,} orders moved, {told['pinned']:,} pinned in doubt",
        ]


def incident(ledger: Path, audit: Path, failover: dict[str, Any], injected_ms: float) -> Incident:
    """Put together what the files say of this failover."""
    failed_ms = _first_failure(ledger, injected_ms)
    steps = {s["state"]: _ms(s["at"]) for s in reversed(failover["steps"])}
    accepted_ms = _first_accepted(audit, failover["route_id"])
    at = (*(steps[state.value] for state in TIMED.values()), accepted_ms)
    alerted_ms = _first_alert(ledger, failover["from_broker"], injected_ms)
    alerted = None if alerted_ms is None else (alerted_ms - failed_ms) / 1_000
    times = Times(*((ms - failed_ms) / 1_000 for ms in at))
    return Incident(alerted, (failed_ms - injected_ms) / 1_000, times, failover)


def _first_alert(ledger: Path, broker: str, since_ms: float) -> float | None:
    """Return when the first anomaly of a broker was noted, which wrote its event."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        values = (f"broker/{broker}", int(since_ms))
        (found,) = connection.execute(FIRST_ALERT, values).fetchone()
    return found if found is None else float(found)


def _first_failure(ledger: Path, since_ms: float) -> float:
    """Return when the ledger heard of the first failing answer."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        for at, cause in connection.execute(FIRST_FAILURE, (int(since_ms),)):
            if not cause.removeprefix("not sent: ").startswith(OURS):
                return float(at)
    raise ValueError("no answer has failed")


def _first_accepted(audit: Path, market: str) -> float:
    """Return when the broker took its first order of a market, by this machine's wall clock."""
    boot_ns = time.time_ns() - time.monotonic_ns()
    with audit.open() as file:
        for line in map(json.loads, file):
            if (line["kind"], line.get("decision"), line.get("market")) == (
                "NEW",
                "accepted",
                market,
            ):
                return float(line["ns"] + boot_ns) / 1e6
    raise ValueError(f"no order of {market} was taken there")


def _ms(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp() * 1_000
