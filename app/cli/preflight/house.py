"""What the doors say of the house itself half an hour before the bell: documents in, checks out.

The trap is a list of halts that nobody could read and that looks empty: each check names the
doors that it needs, and is not made without them.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from app.cli.preflight.checks import Check, Document, Heard, Looks, State, instant

# The projector's own batches; as `top` and the console count "behind".
BEHIND_MANY: Final = 5_000
# An event waits for the next turn of the relay, some milliseconds; seconds are trouble.
OUTBOX_OLD_S: Final = 5.0
OUTBOX_DEAD_S: Final = 60.0
TERMINAL_SKEW_S: Final = 2.0
# A doubt younger than this is asked about by itself; an older one waits for a person.
DOUBT_OLD_S: Final = 60
# A key of the first start is named for what it does, so nobody owns it.
NOBODYS: Final = frozenset({"client", "operator", "approver", "viewer", "admin", "root", ""})
ENDED: Final = frozenset({"done", "aborted"})  # failovers of which nothing more will come
NAMED_MAX: Final = 3


def _gateway(heard: Heard) -> Iterator[Check]:
    ready = heard.documents["readyz"]
    if ready["reasons"]:
        reasons = "; ".join(ready["reasons"])
        yield Check("gateway", "fail", f"takes no orders: {reasons}", "openbell doctor")
    else:
        yield Check("gateway", "ok", "takes orders durably")


def _ledger(heard: Heard) -> Iterator[Check]:
    overview = heard.documents["overview"]
    yield Check("ledger", "ok", "was read just now, and stands at the revision that started")
    if overview["keyring"] is not None:
        advice = "mend the key file, or see the issuer; until then the keys of before are in force"
        yield Check("key file", "warn", overview["keyring"], advice)
    if heard.skew_s is not None and heard.skew_s > TERMINAL_SKEW_S:
        says = f"this terminal's clock and the gateway's differ by {heard.skew_s:.1f} s"
        yield Check("clock here", "warn", says, "openbell doctor on both machines")


def _stores(heard: Heard) -> Iterator[Check]:
    lag = heard.documents["lag"]
    if "bus" in lag["away"]:
        yield Check("bus", "fail", "does not answer the gateway", "look at Kafka, then again")
    else:
        yield Check("bus", "ok", "answers")
    if "view" in lag["away"]:
        advice = "look at MongoDB; orders are taken meanwhile"
        yield Check("account view", "fail", "its store does not answer the gateway", advice)
        return
    behind = lag["events_behind"]
    if behind is None:
        says = "its store answers; how far it is behind is unknown"
        yield Check("account view", "warn", says, "openbell view lag")
    elif behind > BEHIND_MANY:
        says = f"{behind:,} events behind"
        yield Check("account view", "warn", says, "openbell view lag")
    else:
        yield Check("account view", "ok", f"{behind:,} events behind")


def _outbox(heard: Heard) -> Iterator[Check]:
    outbox = heard.documents["outbox"]
    waiting, age = outbox["waiting"], outbox["oldest_age_s"]
    state: State = "ok"
    if age is not None and age > OUTBOX_OLD_S:
        state = "fail" if age > OUTBOX_DEAD_S else "warn"
    says = f"{waiting:,} events wait" + ("" if age is None else f", the oldest for {age:.1f} s")
    yield Check("relay", state, says, "" if state == "ok" else "openbell outbox status")
    if outbox["parked"] is None:
        return  # the bus has its own line
    parked = [f"{count:,} of {topic}" for topic, count in outbox["parked"].items() if count]
    if parked:
        yield Check("dead letters", "warn", named(parked), "openbell deadletter list")
    else:
        yield Check("dead letters", "ok", "none")


def _halts(heard: Heard) -> Iterator[Check]:
    halts = heard.documents["overview"]["halts"]
    if not halts:
        yield Check("halts", "ok", "none in force")
    for halt in halts:
        scope = ":".join(filter(None, (halt["scope"], halt["target"])))
        narrow = halt["scope"] in {"account", "symbol"}
        says = f"{scope} by {halt['halted_by']}: {halt['reason']}"
        advice = f'openbell halt off --scope {scope} --reason "…" (another person\'s key)'
        yield Check("halts", "warn" if narrow else "fail", says, advice)


def _held(heard: Heard) -> Iterator[Check]:
    held = sum(heard.documents["overview"]["backlog"]["held"].values())
    if held:
        advice = "openbell api GET /admin/v1/orders/held"
        yield Check("held orders", "warn", f"{held:,} wait for somebody to let them go", advice)
    else:
        yield Check("held orders", "ok", "none")


def _doubts(heard: Heard) -> Iterator[Check]:
    found = heard.documents["doubts"]["data"]
    if not found:
        yield Check("in doubt", "ok", "none")
        return
    oldest = max(doubt["age_s"] for doubt in found)
    says = f"{len(found):,}, the oldest for {oldest:,} s"
    state: State = "fail" if oldest >= DOUBT_OLD_S else "warn"
    yield Check("in doubt", state, says, "openbell doubt list, then doubt probe")


def _anomalies(heard: Heard) -> Iterator[Check]:
    found = heard.documents["anomalies"]["data"]
    if not found:
        yield Check("anomalies", "ok", "none is open")
        return
    new = [one for one in found if one["acknowledged_by"] is None]
    critical = [one for one in new if one["severity"] == "critical"]
    rules = named([f"{one['rule']['id']} of {one['subject']['id']}" for one in critical or found])
    seen = len(found) - len(new)
    says = f"{len(found)} open, {seen} acknowledged: {rules}"
    state: State = "fail" if critical else "warn"
    yield Check("anomalies", state, says, "openbell anomaly list --state open")


def _failovers(heard: Heard) -> Iterator[Check]:
    for one in heard.documents["failovers"]["data"]:
        where = f"{one['route_id']}: {one['from_broker']} to {one['to_broker'] or 'nobody'}"
        if one["state"] not in ENDED:
            advice = f"openbell failover get {one['failover_id']}"
            yield Check("failovers", "fail", f"{where} goes on ({one['state']})", advice)
        elif one["acknowledged_by"] is None:
            advice = f'openbell failover ack {one["failover_id"]} --reason "…"'
            says = f"{where}: nobody has acknowledged it, and the next one waits for that"
            yield Check("failovers", "warn", says, advice)


def _keys(heard: Heard) -> Iterator[Check]:
    now = heard.at
    standing = [key for key in heard.documents["keys"]["data"] if _stands(key, now)]
    nobodys = sorted({key["name"] for key in standing if key["name"].strip().lower() in NOBODYS})
    if nobodys:
        says = f"without an owner: {named(nobodys)}; the audit log cannot tell who used them"
        advice = "openbell key create NAME --role …, then openbell key revoke ID"
        yield Check("keys", "warn", says, advice)
    closes = _closes(heard)
    ending = [key for key in standing if key["expires_at"] and instant(key["expires_at"]) < closes]
    for key in ending[:NAMED_MAX]:
        says = f"{key['name']}'s ends at {key['expires_at']}, before the close"
        yield Check("keys", "warn", says, f"openbell key rotate {key['key_id']}")
    if not nobodys and not ending:
        yield Check("keys", "ok", f"{len(standing)}, each with an owner")


def _stands(key: Document, now: datetime) -> bool:
    ends = key["expires_at"]
    return not key["revoked"] and (ends is None or instant(ends) > now)


def _closes(heard: Heard) -> datetime:
    """Return when the last of the sessions that come next closes."""
    overview = heard.documents["overview"]
    sessions = [*overview["sessions_open"], *overview["sessions_next"]]
    return max((instant(s["closes_at"]) for s in sessions), default=heard.at)


def named(words: list[str]) -> str:
    """Return the first few, and how many more there are."""
    more = len(words) - NAMED_MAX
    return ", ".join(words[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


HOUSE: Final[Looks] = (
    ("gateway", ("readyz",), _gateway),
    ("ledger", ("overview",), _ledger),
    ("bus and view", ("lag",), _stores),
    ("relay", ("outbox",), _outbox),
    ("halts", ("overview",), _halts),
    ("held orders", ("overview",), _held),
    ("in doubt", ("doubts",), _doubts),
    ("anomalies", ("anomalies",), _anomalies),
    ("failovers", ("failovers",), _failovers),
    ("keys", ("keys", "overview"), _keys),
)
