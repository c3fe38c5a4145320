"""Checks of the house itself: its writer, its loop, its clocks, and who owns each broker's lane.

Brokers and stores have their checks in `judge`. These are asked about when all of those look well
and it is slow nevertheless. What is not known is not said to be well: the trap is a row that
shows a latency of zero because nothing was measured.
"""

from collections.abc import Iterator
from typing import Final

from app.domain.signs import LaneOwner
from app.web.console.grades import Finding, Grade
from app.web.console.sight import Book, Sight

# Whoever has waited a quarter of a second for the writer is turned away: commits must be faster.
COMMIT_MS_SLOW: Final = 250.0
# At a hundred a second, one order leaves each ten milliseconds: a loop that is later than this
# sends in bursts, and its screen stutters.
LOOP_MS_LATE: Final = 250.0
LOOP_SEEN_MS: Final = 60_000
# As the rule `clock.skew` has it.
SKEW_MS_FAR: Final = 200.0
# Below this, a tenth of a millisecond says something.
SHORT_MS: Final = 10.0
# Of a holder's random part, enough to tell two processes of one machine apart.
PART: Final = 4


def inside(sight: Sight) -> Iterator[Finding]:
    """Yield what there is to say of the house itself."""
    yield from _writer(sight)
    yield from _loop(sight)
    if sight.book is not None:
        yield _clocks(sight.book)
        yield from _owners(sight.book)


def _writer(sight: Sight) -> Iterator[Finding]:
    pace = sight.commits
    if pace is None:
        return
    if not pace.running:
        yield Finding(Grade.CRITICAL, "Writer", "does not run: nothing is taken", "see /readyz")
    elif pace.p50_ms is None or pace.p99_ms is None:
        yield Finding(Grade.OK, "Writer", "wrote nothing in the last minute")
    else:
        slow = pace.p99_ms >= COMMIT_MS_SLOW
        many = round(pace.orders / pace.commits)
        says = f"a commit of {many:,} takes {_ms(pace.p50_ms)}, at p99 {_ms(pace.p99_ms)};"
        says += f" {pace.orders:,} orders in the last minute"
        fix = "is the ledger's disk busy?" if slow else ""
        yield Finding(Grade.WARNING if slow else Grade.OK, "Writer", says, fix)


def _ms(ms: float) -> str:
    return f"{ms:,.1f} ms" if ms < SHORT_MS else f"{ms:,.0f} ms"


def _loop(sight: Sight) -> Iterator[Finding]:
    since = sight.at - LOOP_SEEN_MS
    known = [one.late_ms for one in sight.paces if one.at > since and one.late_ms is not None]
    if known:
        worst = max(known)
        late = worst >= LOOP_MS_LATE
        says = f"{known[-1]:,.0f} ms now, {worst:,.0f} ms at worst in the last minute"
        fix = "what else runs on this machine?" if late else ""
        yield Finding(Grade.WARNING if late else Grade.OK, "Loop lag", says, fix)


def _clocks(book: Book) -> Finding:
    far = book.skew_ms >= SKEW_MS_FAR
    says = f"{book.skew_ms:,.0f} ms between this clock and the ledger's"
    return Finding(
        Grade.WARNING if far else Grade.OK, "Clock skew", says, "see NTP on both" if far else ""
    )


def _owners(book: Book) -> Iterator[Finding]:
    """Say who may send to each broker: without an owner, nothing leaves."""
    if book.owners is None:
        return
    for broker_id in sorted(book.controls):
        owner, name = book.owners.of(broker_id), f"Owner of {broker_id}"
        if owner is None:
            says = "no process has ever sent to it"
            yield Finding(Grade.WARNING, name, says, "start a dispatcher")
        elif owner.stands(book.owners.at):
            yield Finding(Grade.OK, name, f"{_holder(owner)}, epoch {owner.epoch}")
        else:
            gone = "gave it back" if not owner.expires_at else "is silent"
            says = f"nobody: {_holder(owner)} {gone}"
            yield Finding(Grade.CRITICAL, name, says, "start a dispatcher: nothing leaves")


def _holder(owner: LaneOwner) -> str:
    """Return a process as people call it: its machine, and enough to tell two of them apart."""
    machine, _, drawn = owner.holder.rpartition(":")
    return f"{machine} ({drawn[:PART]})" if machine else drawn[:16]
