"""What a customer's endpoint is told of, how a delivery stands, and when it is tried again.

    an order's event ─► one delivery for each endpoint that hears of the account ─► waiting
        2xx ─► delivered      anything else ─► waiting, later each time ─► failed, after ten tries

The id of a delivery is a function of its event and its endpoint, so what is told twice is told
under the same id, and a receiver that remembers ids applies it once.

The trap is an endpoint that is dead for good: each of its deliveries has an end, the endpoint
itself has one, and what waits for it has a bound. None of that is silent: its owner sees since
when it fails, who disabled it, and how many events found no room.
"""

from collections.abc import Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
# The schedule of the Standard Webhooks specification: how long after a failure the next try is.
# The first is at once; together they are three days, a weekend in which nobody looks.
AFTER_MS: Final = (
    *(5_000, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS),
    *(10 * HOUR_MS, 14 * HOUR_MS, 20 * HOUR_MS, 24 * HOUR_MS),
)
ATTEMPTS_MAX: Final = len(AFTER_MS) + 1
# Deliveries that failed together must not come back together.
JITTER: Final = 0.2
JITTER_BITS: Final = 16
# Whoever asks for a longer rest is asking to be forgotten.
RETRY_AFTER_MS_MAX: Final = 24 * HOUR_MS
# Longer than a weekend with a holiday on each side of it.
FAILING_MS_MAX: Final = 5 * DAY_MS
# What was delivered, or failed, can be looked at and replayed for so long.
KEPT_MS: Final = 7 * DAY_MS
# With the old secret, until every receiver of a fleet has the new one.
OVERLAP_S_MAX: Final = 7 * 86_400
EVERY_ACCOUNT: Final = "*"
PREFIX: Final = "io.openbell."
ORDERS: Final = "order."
TEST: Final = "webhook.test"
DELIVERY_BYTES: Final = 13
OK: Final = range(200, 300)
GONE: Final = 410
# The rank of a delivery is an instant and a number within it.
RANK_BITS: Final = 20


class EndpointState(StrEnum):
    """Whether anything is sent to it."""

    ENABLED = "enabled"
    DISABLED = "disabled"  # what happens meanwhile waits, as far as there is room
    DELETED = "deleted"  # nobody sees it any more


class DisabledBy(StrEnum):
    """Who said so."""

    OWNER = "owner"
    OPERATOR = "operator"  # and only an operator lets it go
    GONE = "gone"  # it answered 410
    FAILING = "failing"  # for days, without one success


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"  # for its first try, or for the next one
    DELIVERED = "delivered"
    FAILED = "failed"  # tried as often as it is tried; a replay tries again


class Endpoint(NamedTuple):
    """Where somebody wants to be told, of whose orders. The secrets are derived: see `signing`."""

    endpoint_id: str
    version: int  # rises with what its owner changes, and when it is disabled
    url: str
    accounts: tuple[str, ...]  # or ("*",)
    types: tuple[str, ...]  # such as order.filled; none: all
    description: str
    state: EndpointState
    disabled_by: DisabledBy | None
    root: str  # the mark of what the secret is derived from
    salt: str
    previous_salt: str | None  # of the secret before, which still signs
    previous_until: int | None
    created_at: int
    changed_at: int
    failing_since: int | None = None  # the first failure after the last success
    quiet_until: int | None = None  # it asked for a rest
    missed: int = 0  # events that found no room
    missed_at: int | None = None  # when that was, the last time

    def hears(self, account_id: str, type_: str, at: int) -> bool:
        """Return whether it is told of this: never of what was before it."""
        return (
            at >= self.created_at
            and (account_id in self.accounts or EVERY_ACCOUNT in self.accounts)
            and (not self.types or type_ in self.types)
        )

    def salts(self, now: int) -> list[str]:
        """Return what the secrets that sign now are derived from, the newest first."""
        if self.previous_salt is None or (self.previous_until or 0) <= now:
            return [self.salt]
        return [self.salt, self.previous_salt]


class Delivery(NamedTuple):
    """One event on its way to one endpoint."""

    delivery_id: str  # webhook-id
    endpoint_id: str
    event_id: str
    type: str
    rank: int
    body: str
    state: DeliveryState
    attempts: int  # that have ended
    due_at: int
    created_at: int
    last_at: int | None = None
    last_status: int | None = None
    last_error: str | None = None


class Answer(NamedTuple):
    """What came of one try: a status, or why there is none."""

    status: int | None
    error: str = ""
    retry_after_s: float | None = None


class Verdict(NamedTuple):
    """What an answer means for its delivery."""

    state: DeliveryState
    due_at: int  # when it is next tried, if it waits
    quiet_until: int | None = None  # until when the endpoint wants to be left alone
    gone: bool = False


class Settled(NamedTuple):
    """A try that has ended; `lease` is the instant under which it was claimed."""

    delivery: Delivery
    lease: int
    answer: Answer
    verdict: Verdict
    at: int


class WebhookBacklog(NamedTuple):
    """What waits, roughly where it is much, and which endpoints do not take it."""

    waiting: int
    failing: int
    disabled: int


class WebhookCounts(NamedTuple):
    """What this process has done since it began."""

    queued: int
    delivered: int
    retried: int  # tries that failed, and are made again
    failed: int  # for good


def delivery_id_of(event_id: str, endpoint_id: str) -> str:
    """Return the `webhook-id` of an event at an endpoint: the same however often it is told."""
    named = blake2b(f"{endpoint_id}\0{event_id}".encode(), digest_size=DELIVERY_BYTES)
    return f"msg_{named.hexdigest()}"


def rank_at(now: int, number: int = 0) -> int:
    """Return the rank of the nth delivery made at an instant; ranks sort as instants do."""
    return now << RANK_BITS | min(number, (1 << RANK_BITS) - 1)


def judged(attempts: int, answer: Answer, now: int, chance: int) -> Verdict:
    """Return what an answer means; `attempts` counts this one, `chance` has `JITTER_BITS`."""
    if answer.status in OK:
        return Verdict(DeliveryState.DELIVERED, now)
    if answer.status == GONE:
        return Verdict(DeliveryState.FAILED, now, gone=True)
    rest_ms = min(int((answer.retry_after_s or 0) * 1_000), RETRY_AFTER_MS_MAX)
    quiet_until = now + rest_ms if rest_ms else None
    if attempts >= ATTEMPTS_MAX:
        return Verdict(DeliveryState.FAILED, now, quiet_until)
    # What asks for a rest gets it whole, and the spread comes on top.
    wait_ms = max(AFTER_MS[attempts - 1], rest_ms)
    spread = JITTER * chance / (1 << JITTER_BITS)
    return Verdict(DeliveryState.WAITING, now + int(wait_ms * (1 + spread)), quiet_until)


def after(endpoint: Endpoint, verdict: Verdict, now: int) -> Endpoint:
    """Return the endpoint as an answer leaves it: well, failing, or disabled."""
    if endpoint.state is EndpointState.DELETED:
        return endpoint
    if verdict.state is DeliveryState.DELIVERED:
        return endpoint._replace(failing_since=None, quiet_until=None)
    since = endpoint.failing_since or now
    quiet_until = verdict.quiet_until or endpoint.quiet_until  # another answer may have asked
    failing = endpoint._replace(failing_since=since, quiet_until=quiet_until)
    if endpoint.state is not EndpointState.ENABLED:
        return failing
    if verdict.gone:
        return disabled(failing, DisabledBy.GONE, now)
    return disabled(failing, DisabledBy.FAILING, now) if now - since >= FAILING_MS_MAX else failing


def disabled(endpoint: Endpoint, by: DisabledBy, now: int) -> Endpoint:
    """Return it disabled, as a version of its own."""
    return endpoint._replace(
        state=EndpointState.DISABLED,
        disabled_by=by,
        version=endpoint.version + 1,
        changed_at=now,
    )


def enabled(endpoint: Endpoint) -> Endpoint:
    """Return it enabled: what it did before is forgiven."""
    return endpoint._replace(
        state=EndpointState.ENABLED, disabled_by=None, failing_since=None, quiet_until=None
    )


def rotated(endpoint: Endpoint, salt: str, root: str, until: int) -> Endpoint:
    """Return it with a new secret; the one of now signs as well, until then."""
    previous = endpoint.salt if root == endpoint.root else None
    return endpoint._replace(
        salt=salt, root=root, previous_salt=previous, previous_until=until if previous else None
    )


def recorded(endpoint: Endpoint) -> Mapping[str, object]:
    """Return what the audit log keeps of it: no path of its URL, for that may be a secret."""
    scheme, _, rest = endpoint.url.partition("://")
    host = rest.partition("/")[0].partition("?")[0]
    return {
        "url": f"{scheme}://{host}",
        "accounts": list(endpoint.accounts),
        "types": list(endpoint.types),
        "state": endpoint.state,
        "disabled_by": endpoint.disabled_by,
        "version": endpoint.version,
    }
