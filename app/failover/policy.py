"""Whether a route changes its broker: stay, hold (and why), switch, halt. Pure.

    stable ─► suspected ─ bad for 8 s, by two witnesses ─► confirmed
    confirmed ─► held(why), each second anew    ─► halted: nobody is well, a person is paged
              └► prepared ─► fencing ─► draining ─► ramping ─► done

It is as slow as a person who has seen it before: a blip is over before it is confirmed, and what
comes back is no reason to go back. Everything that forbids a switch has a name, and all the names
that hold are told at once. The trap is two sick brokers: each looks better than the one that is
just failing, so whoever follows the better one changes course for ever and mends nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from app.domain.failover import (
    OPENBELL,
    Automation,
    Failback,
    Failover,
    FailoverKind,
    FailoverState,
    RoutePolicy,
)
from app.domain.records import Route
from app.domain.session import Phase
from app.failover.watch import REUSE_BELOW, Watch

SECOND_MS: Final = 1_000
# A target must have been well for so long; and what fell ill is well again only after as long.
GOOD_MS: Final = 10_000
# A sick target beats a dead one, but only after the dead one has had three chances to return.
LESSER_EVIL_MS: Final = 24_000
LESSER_EVIL_RATIO: Final = 0.5
SWITCHES_A_SESSION_MAX: Final = 2
UNACKNOWLEDGED_MS: Final = 1_800_000
FAILBACK_GOOD_MS: Final = 300_000
# A claim of the old owner is too old to leave after this (`CLAIM_NS_MAX` of a last look).
CLAIM_MS_MAX: Final = 2_000
# An owner that died with open attempts leaves them to the next one, who may take his time.
DRAIN_MS_MAX: Final = 15_000
RAMP_MS: Final = 30_000
UNSEEN: Final = Watch()


class Case(NamedTuple):
    """All that a decision about one route is made from."""

    now: int  # wall time: for locks, sessions and what SQL remembers
    monotonic_ms: int  # for all that is measured
    route: Route
    policy: RoutePolicy
    watches: Mapping[str, Watch]
    standing: Failover | None  # the one that goes on
    history: Sequence[Failover]  # those that have ended, the latest first
    session_id: str | None
    phase: Phase | None
    common_cause: bool = False
    tilted: bool = False
    unanswered: int = 0  # attempts of the old owner that are neither answered nor in doubt


class Move(NamedTuple):
    """What is to become of the route now; no state: all is well."""

    state: FailoverState | None
    reason: str = ""
    to_broker: str | None = None
    held_by: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    kind: FailoverKind = FailoverKind.AUTO


STAY: Final = Move(None)


def decide(case: Case) -> Move:
    """Return what to do now; the same move again and again until something changes."""
    if case.tilted:
        return STAY if case.standing is None else _as_it_stands(case.standing)
    if case.standing is not None and case.standing.fenced_at is not None:
        return _after_the_fence(case, case.standing)
    active = _watch(case, case.route.active_broker)
    trouble = active.trouble_for(case.monotonic_ms)
    if trouble is None:
        return _well(case, active)
    if trouble < case.policy.confirm_s * SECOND_MS:
        return _still(case) or Move(FailoverState.SUSPECTED, witnesses=active.witnesses)
    if _given_up(case, trouble):
        return STAY
    return _confirmed(case, active, trouble)


def _watch(case: Case, broker_id: str) -> Watch:
    return case.watches.get(broker_id, UNSEEN)


def _as_it_stands(standing: Failover) -> Move:
    return Move(
        standing.state,
        standing.reason,
        standing.to_broker,
        standing.held_by,
        standing.witnesses,
        standing.kind,
    )


def _still(case: Case) -> Move | None:
    return None if case.standing is None else _as_it_stands(case.standing)


# --- while the active broker is well ----------------------------------------------------


def _well(case: Case, active: Watch) -> Move:
    """Close what went on once it has been well for a while; perhaps go home."""
    if case.standing is not None:
        if active.good_for(case.monotonic_ms) < GOOD_MS:
            return _as_it_stands(case.standing)
        return Move(FailoverState.ABORTED, f"{case.route.active_broker} is well again")
    if active.fresh and active.witnesses:
        return Move(FailoverState.SUSPECTED, witnesses=active.witnesses)
    return _home(case) or STAY


def _home(case: Case) -> Move | None:
    """Go back to the first broker by itself, if that is what brought us here."""
    policy, home = case.policy, next(iter(case.policy.candidates), None)
    if policy.failback is not Failback.AUTO or home in {None, case.route.active_broker}:
        return None
    assert home is not None
    last = next((f for f in case.history if f.fenced_at is not None), None)
    # A person's switch is a person's to take back.
    if last is None or last.kind is not FailoverKind.AUTO or last.from_broker != home:
        return None
    watch = _watch(case, home)
    well = watch.good_for(case.monotonic_ms) >= FAILBACK_GOOD_MS and watch.why_not is None
    calm = watch.penalty_now(case.monotonic_ms) < REUSE_BELOW and case.phase is not Phase.OPENING
    # The way home ends the episode that it belongs to, so that one need not be acknowledged.
    holds = [held for held in _holds(case) if held != "unacknowledged"]
    if not well or not calm or holds:
        return None
    return Move(
        FailoverState.PREPARED,
        f"{home} has been well for {FAILBACK_GOOD_MS // SECOND_MS} s",
        home,
        kind=FailoverKind.FAILBACK,
    )


# --- when its trouble is confirmed ------------------------------------------------------


def _given_up(case: Case, trouble: int) -> bool:
    """Whether a person has ended the failover of this very trouble."""
    last = next(iter(case.history), None)
    return (
        last is not None
        and last.state is FailoverState.ABORTED
        and last.by != OPENBELL
        and last.from_broker == case.route.active_broker
        and last.updated_at > case.now - trouble
    )


def _confirmed(case: Case, active: Watch, trouble: int) -> Move:
    found = _target(case, active, trouble)
    holds = _holds(case)
    reason = f"{case.route.active_broker}: {_said(active)} for {trouble // SECOND_MS} s"
    if found.halted:
        state = FailoverState.HALTED
        why = f"{_since_standing(case, reason)}, and no other broker is well"
        return Move(state, why, None, tuple(holds), active.witnesses)
    if found.why_not is not None:
        holds.append(found.why_not)
    if holds:
        why = _since_standing(case, reason)
        return Move(FailoverState.HELD, why, found.broker_id, tuple(holds), active.witnesses)
    return Move(FailoverState.PREPARED, reason, found.broker_id, (), active.witnesses)


def _said(watch: Watch) -> str:
    return " and ".join(watch.witnesses) or "comes and goes"


def _since_standing(case: Case, reason: str) -> str:
    """Keep the words that were told: that it lasts longer now is nothing new."""
    standing = case.standing
    return reason if standing is None else standing.reason.partition(", and no other")[0]


def _holds(case: Case) -> list[str]:
    """Return everything that forbids to switch by itself now, whoever would be the target."""
    policy = case.policy
    switched = [f for f in case.history if f.fenced_at is not None and not f.drill]
    last = max((f.fenced_at or 0 for f in case.history), default=0)
    by_itself = [f for f in switched if f.kind in {FailoverKind.AUTO, FailoverKind.FAILBACK}]
    in_session = [f for f in by_itself if f.trading_session_id == case.session_id]
    out = next((f for f in by_itself if f.kind is FailoverKind.AUTO), None)
    unread = out is not None and out.acknowledged_at is None
    held = {
        "automation_off": policy.automation is Automation.OFF,
        "automation_advise": policy.automation is Automation.ADVISE,
        "locked": policy.locked(case.now) is not None,
        "common_cause": case.common_cause,
        "cooldown": case.now - last < policy.cooldown_s * SECOND_MS,
        "session_limit": len(in_session) >= SWITCHES_A_SESSION_MAX,
        "unacknowledged": unread
        and out is not None
        and case.now - (out.fenced_at or 0) < UNACKNOWLEDGED_MS,
    }
    return [name for name, holds in held.items() if holds]


class _Target(NamedTuple):
    """Whom to go to, or why to nobody."""

    broker_id: str | None
    why_not: str | None = None
    halted: bool = False  # all of them are as bad


def _target(case: Case, active: Watch, trouble: int) -> _Target:
    others = [c for c in case.policy.candidates if c != case.route.active_broker]
    if not others:
        return _Target(None, "no_candidate")
    now = case.monotonic_ms
    able = [c for c in others if _watch(case, c).fresh and _watch(case, c).why_not is None]
    for candidate in able:
        watch = _watch(case, candidate)
        if watch.good_for(now) >= GOOD_MS and watch.suppressed_since is None:
            return _Target(candidate)
    limit = active.error * LESSER_EVIL_RATIO
    sick = [c for c in able if _watch(case, c).bad_since is not None]
    lesser = [c for c in sick if _watch(case, c).error <= limit]
    if lesser:
        best = min(lesser, key=lambda c: _watch(case, c).error)
        return _Target(best, None if trouble >= LESSER_EVIL_MS else "lesser_evil_waits")
    if len(sick) == len(others) and active.bad_since is not None:
        return _Target(None, halted=True)
    return _Target(None, _nobody(case, others))


def _nobody(case: Case, others: Sequence[str]) -> str:
    watches = [_watch(case, c) for c in others]
    if any(w.suppressed_since is not None and w.bad_since is None for w in watches):
        return "target_flapping"
    if all(w.why_not is not None for w in watches):
        return "target_stopped"
    return "target_not_ready"


# --- after the fence --------------------------------------------------------------------


def _after_the_fence(case: Case, standing: Failover) -> Move:
    """Follow a switch to its end: the course cannot be taken back, only be changed again."""
    assert standing.fenced_at is not None, "only a switch is followed"
    passed = case.now - standing.fenced_at
    match standing.state:
        case FailoverState.FENCING:
            over = case.unanswered == 0 or passed >= CLAIM_MS_MAX
            return _onward(standing, FailoverState.DRAINING) if over else _as_it_stands(standing)
        case FailoverState.DRAINING:
            over = case.unanswered == 0 or passed >= DRAIN_MS_MAX
            return _onward(standing, FailoverState.RAMPING) if over else _as_it_stands(standing)
        case _:
            return _ramping(case, standing, passed)


def _onward(standing: Failover, state: FailoverState) -> Move:
    return _as_it_stands(standing)._replace(state=state, held_by=())


def _ramping(case: Case, standing: Failover, passed: int) -> Move:
    target = _watch(case, case.route.active_broker)
    ramped = case.now - standing.updated_at
    if target.good_for(case.monotonic_ms) >= RAMP_MS and ramped >= RAMP_MS:
        return _onward(standing, FailoverState.DONE)
    if passed >= max(case.policy.cooldown_s * SECOND_MS, DRAIN_MS_MAX + RAMP_MS):
        return _onward(standing, FailoverState.DONE)  # what is wrong with it now is news
    if target.bad_since is not None and standing.state is FailoverState.RAMPING:
        # Never back inside the cool-down: the one that we left is no better.
        held = _onward(standing, FailoverState.HELD)
        return held._replace(held_by=("target_bad",), witnesses=target.witnesses)
    return _as_it_stands(standing)
