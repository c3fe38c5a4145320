"""How a broker has done so far, as whoever decides remembers it. Pure.

A broker is bad while two witnesses say so, and good while none complains; between the two it is
neither, and nothing is begun or ended on that. The witnesses are what its orders were answered,
the ping that risks none, the session, and the silence of everything; an alert from outside is one
where a policy trusts it. Each time it turns from well to bad a penalty is added, and halves by
itself: that of a broker which comes and goes grows faster than it fades.

Durations are measured by one monotonic clock, here, and never taken from an owner's stamps: a
step of a wall clock would make a blip of a second look like eight. The trap is an owner who says
nothing any more. He may be the sick one, so what he said last is no evidence against his broker.
"""

from typing import Final, NamedTuple

from app.domain.records import Health

# Owners look each second; after five without a word theirs is the trouble, not the broker's.
STALE_MS: Final = 5_000
ERROR_MAX: Final = 0.20
WITNESSES_MIN: Final = 2
PENALTY: Final = 1_000.0
SUPPRESS_ABOVE: Final = 2_000.0  # the third fall within five minutes
REUSE_BELOW: Final = 750.0
HALF_LIFE_MS: Final = 300_000
SUPPRESSED_MS_MAX: Final = 1_800_000


class Sight(NamedTuple):
    """What is seen of a broker at one moment."""

    health: Health | None
    circuit: str = "closed"  # closed, half_open, open
    leads: bool = False  # a route goes there: its orders wait on the circuit
    told_by_outsiders: bool = False
    why_not: str | None = None  # why it may not be sent to now, by our own doing


class Watch(NamedTuple):
    """What is remembered of a broker; instants by the monotonic clock, in milliseconds."""

    fresh: bool = False
    witnesses: tuple[str, ...] = ()
    bad_since: int | None = None
    good_since: int | None = None
    suppressed_since: int | None = None
    error: float = 0.0
    why_not: str | None = None
    penalty: float = 0.0
    penalty_at: int = 0

    def bad_for(self, now: int) -> int | None:
        """Return for how long it has been bad; None if it is not."""
        return None if self.bad_since is None else now - self.bad_since

    def good_for(self, now: int) -> int:
        return 0 if self.good_since is None else now - self.good_since

    def trouble_for(self, now: int) -> int | None:
        """Return for how long it has been no broker to stay with: bad, or coming and going."""
        since = [s for s in (self.bad_since, self.suppressed_since) if s is not None]
        return now - min(since) if since else None

    def penalty_now(self, now: int) -> float:
        return float(self.penalty * 0.5 ** ((now - self.penalty_at) / HALF_LIFE_MS))


def observe(before: Watch, sight: Sight, *, wall: int, now: int) -> Watch:
    """Return what is remembered after one more look; `wall` only says how old the look is."""
    health = sight.health
    if health is None or wall - health.at > STALE_MS:
        return _suppressed(before._replace(fresh=False, bad_since=None, good_since=None), now)
    witnesses = _witnesses(health, sight)
    bad = len(witnesses) >= WITNESSES_MIN or (bool(witnesses) and health.bad_since is not None)
    after = before._replace(
        fresh=True,
        witnesses=witnesses,
        bad_since=(_since(before.bad_since, now) if bad else None),
        good_since=(None if witnesses else _since(before.good_since, now)),
        error=_error(health, sight, bad=bad),
        why_not=sight.why_not,
    )
    if bad and before.bad_since is None:
        after = after._replace(penalty=before.penalty_now(now) + PENALTY, penalty_at=now)
    return _suppressed(after, now)


def _since(before: int | None, now: int) -> int:
    return now if before is None else before


def _witnesses(health: Health, sight: Sight) -> tuple[str, ...]:
    """Return who complains. What nothing was sent to is judged by its circuit, and its ping."""
    if health.sent:
        submit = health.error_ratio > ERROR_MAX or sight.circuit == "open"
    else:
        # An open circuit lets nothing out that could speak for the broker. Where orders wait for
        # it, that is a complaint; where none do, a ping that comes back is all there can be.
        submit = sight.circuit != "closed" and (sight.leads or health.ping is not True)
    said = {
        "submit": submit,
        "ping": health.ping is False,
        "session": not health.session_up,
        "silence": health.silent,
        "outside": sight.told_by_outsiders,
    }
    return tuple(name for name, complains in said.items() if complains)


def _error(health: Health, sight: Sight, *, bad: bool) -> float:
    """Return which share of orders would fail there; all of them where none gets out."""
    if health.sent and sight.circuit != "open":
        return health.error_ratio
    return 1.0 if bad else 0.0


def _suppressed(watch: Watch, now: int) -> Watch:
    """Say whether it comes and goes too often to be trusted."""
    penalty = watch.penalty_now(now)
    since = watch.suppressed_since
    if since is None:
        return watch._replace(suppressed_since=now) if penalty > SUPPRESS_ABOVE else watch
    if penalty < REUSE_BELOW or now - since >= SUPPRESSED_MS_MAX:
        return watch._replace(suppressed_since=None, penalty=min(penalty, SUPPRESS_ABOVE))._replace(
            penalty_at=now
        )
    return watch
