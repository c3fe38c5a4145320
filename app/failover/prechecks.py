"""What is asked before a person leads a route elsewhere. Pure.

A planned switch needs every answer that is required; a forced one is told all of them and goes
on regardless, but for those without which there is no switch at all. Its dry run is this list. The
trap is a list that always passes: what nobody can know here is a warning that says so.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from app.domain.failover import Failover, FailoverKind, FailoverState, Precheck, RoutePolicy
from app.domain.records import LaneStatus, Route
from app.domain.values import rfc3339
from app.failover.policy import GOOD_MS, LESSER_EVIL_RATIO
from app.failover.watch import STALE_MS

DRILL_MS_MAX: Final = 30 * 86_400_000
# From here on the route is on its way: whoever wants something else forces it, knowing that.
UNDER_WAY: Final = frozenset({FailoverState.FENCING, FailoverState.DRAINING, FailoverState.RAMPING})


class Asked(NamedTuple):
    """Which switch, and all that is known of its two brokers."""

    now: int
    route: Route
    policy: RoutePolicy
    to: str
    kind: FailoverKind
    old: LaneStatus | None
    new: LaneStatus | None
    stopped: str | None  # why the new one may not be sent to, by our own doing
    standing: Failover | None
    waiting: int  # orders that would go the new way
    misfits: Mapping[str, int]  # of those, what the new one cannot take, by what it lacks
    doubts: int
    last_drill: int | None


def prechecks(asked: Asked) -> list[Precheck]:
    """Return every question with its answer, those that nobody may skip first."""
    planned = asked.kind is not FailoverKind.FORCED
    return [
        _another(asked),
        _known(asked),
        _free(asked, required=planned),
        _unlocked(asked, required=planned),
        _candidate(asked, required=planned),
        _open(asked, required=planned),
        _well(asked, required=planned),
        _fitting(asked, required=planned),
        _doubts(asked),
        _asks_the_old(asked),
        _fast_enough(asked),
        _drilled(asked),
    ]


def missing(found: Sequence[Precheck]) -> list[Precheck]:
    """Return those for want of which nothing is done."""
    return [check for check in found if check.required and not check.passed]


def _another(asked: Asked) -> Precheck:
    passed = asked.to != asked.route.active_broker
    detail = f"from {asked.route.active_broker} to {asked.to} at epoch {asked.route.epoch}"
    return Precheck("another_broker", passed, required=True, detail=detail)


def _known(asked: Asked) -> Precheck:
    passed = asked.new is not None
    detail = f"{asked.to} has a lane" if passed else f"nobody here sends to {asked.to}"
    return Precheck("target_known", passed, required=True, detail=detail)


def _free(asked: Asked, *, required: bool) -> Precheck:
    standing = asked.standing
    passed = standing is None or standing.state not in UNDER_WAY
    detail = "none is under way"
    if not passed and standing is not None:
        detail = f"{standing.failover_id} is {standing.state}"
    return Precheck("none_under_way", passed, required, detail)


def _unlocked(asked: Asked, *, required: bool) -> Precheck:
    lock = asked.policy.locked(asked.now)
    detail = "no lock"
    if lock is not None:
        detail = f"locked by {lock.locked_by} until {rfc3339(lock.until)}: {lock.reason}"
    return Precheck("not_locked", lock is None, required, detail)


def _candidate(asked: Asked, *, required: bool) -> Precheck:
    """Symbols, and whatever nobody has told us of a broker, are what a person vouches for here."""
    passed = asked.to in asked.policy.candidates
    detail = f"the policy names {', '.join(asked.policy.candidates) or 'nobody'}"
    return Precheck("target_is_candidate", passed, required, detail)


def _open(asked: Asked, *, required: bool) -> Precheck:
    detail = asked.stopped or "it may be sent to"
    return Precheck("target_open", asked.stopped is None, required, detail)


def _well(asked: Asked, *, required: bool) -> Precheck:
    health = asked.new.health if asked.new else None
    if asked.new is None or health is None or asked.now - health.at > STALE_MS:
        return Precheck("target_well", passed=False, required=required, detail="no word of it")
    good_s = 0 if health.good_since is None else (health.at - health.good_since) // 1_000
    if good_s * 1_000 >= GOOD_MS and asked.new.circuit == "closed":
        return Precheck("target_well", True, required, f"well for {good_s} s")
    old = asked.old.health if asked.old else None
    if old is not None and health.error_ratio <= old.error_ratio * LESSER_EVIL_RATIO < 1:
        lesser = old.bad_since is not None
        detail = f"the lesser evil: {health.error_ratio:.0%} against {old.error_ratio:.0%} fail"
        return Precheck("target_well", lesser, required, detail)
    detail = f"well for {good_s} s of {GOOD_MS // 1_000}, its circuit is {asked.new.circuit}"
    return Precheck("target_well", False, required, detail)


def _fitting(asked: Asked, *, required: bool) -> Precheck:
    """Count what a broker is known not to take: such an order is denied when it is claimed."""
    found = [f"{count} by its {lacking}" for lacking, count in sorted(asked.misfits.items())]
    detail = f"it cannot take {', '.join(found)}" if found else "nothing known of it forbids any"
    return Precheck("orders_fit", not found, required, detail)


def _doubts(asked: Asked) -> Precheck:
    detail = f"{asked.doubts} stay at {asked.route.active_broker} until they are settled"
    return Precheck("in_doubt", asked.doubts == 0, required=False, detail=detail)


def _asks_the_old(asked: Asked) -> Precheck:
    health = asked.old.health if asked.old else None
    passed = health is not None and health.ping is True
    detail = "it answers" if passed else f"{asked.route.active_broker} answers no question now"
    return Precheck("old_broker_answers", passed, required=False, detail=detail)


def _fast_enough(asked: Asked) -> Precheck:
    old = asked.old.tps_configured if asked.old else 0
    new = asked.new.tps_configured if asked.new else 0
    took = f"{asked.waiting / new:.0f} s" if new else "for ever"
    detail = f"{asked.waiting} orders at {new} a second: {took}; {old} a second before"
    return Precheck("rate", new >= old, required=False, detail=detail)


def _drilled(asked: Asked) -> Precheck:
    last = asked.last_drill
    passed = last is not None and asked.now - last <= DRILL_MS_MAX
    detail = "never drilled" if last is None else f"last drilled at {rfc3339(last)}"
    return Precheck("drilled", passed, required=False, detail=detail)
