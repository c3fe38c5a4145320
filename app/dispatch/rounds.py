"""When to ask a broker about the orders that work there. Pure.

A report that was lost is asked for by nobody: the order works, in our book, for ever. So whoever
owns a broker asks about every working order once it has taken over, once the broker answers again
after it did not, and slowly all the time. In between, silence is a sign and no proof: a book of
resting orders has nothing to report. So a sample of the oldest is asked about first, and all of
them only when the sample shows something that we had not heard.

The trap is a heartbeat. A stream that is alive and says nothing looks well to everybody but to
whoever asks about an order.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

SECOND_NS: Final = 1_000_000_000


class Round(StrEnum):
    """Which orders one round asks about, and how fast."""

    FULL = "full"  # all of them, now
    SAMPLE = "sample"  # some of the oldest
    STEADY = "steady"  # all of them, at leisure


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often, and at what cost. The budget is apart from orders and from doubts."""

    # A liquid book at the open reports each second; at noon a minute of silence is rare.
    silence_s: float = 60.0
    # Others poll their open orders each 5 to 10 s. With 100,000 of them nobody can.
    round_s: float = 600.0
    sample: int = 20  # a stream that is dead is dead for all of them
    # A broker that shows all on one question is asked that on silence too, where all are so few:
    # a quiet book of a hundred thousand would be told to us each minute.
    shown_max: int = 2_000
    # Requests each tick: half of what doubts may spend, and an eighth where nothing is wrong.
    requests_full: int = 4
    requests_steady: int = 1


class Signs(NamedTuple):
    """What there is to see of a broker at one moment."""

    epoch: int = 0  # of our lease; 0: another process owns the broker
    reachable: bool = True  # no circuit is open, no ping fails, nothing waits for an answer
    reports: int = 0  # so many were heard
    logon: int | None = 0  # when its session logged on; None: it is down; 0: there is none


class Rounds(NamedTuple):
    """What is owed, and what is under way."""

    signs: Signs = Signs()
    owed: str | None = None  # why all are to be asked about
    under_way: Round | None = None
    why: str = ""
    number: int = 0  # of the round under way, or of the last one
    began_ns: int = 0  # the last round through all of them
    heard_ns: int = 0  # the last report, or the last round


def noticed(rounds: Rounds, signs: Signs, now: int) -> Rounds:
    """Owe a round through all orders when something may have been missed."""
    before = rounds.signs
    if signs.epoch != before.epoch:
        # What was under way was another owner's, or ours of another time.
        number = rounds.number
        return Rounds(signs, owed="taken over", number=number, began_ns=now, heard_ns=now)
    rounds = rounds._replace(signs=signs)
    if signs.reports != before.reports:
        rounds = rounds._replace(heard_ns=now)
    if signs.logon is not None and signs.logon != before.logon:
        return rounds._replace(owed="logged on again")
    if signs.reachable and not before.reachable:
        return rounds._replace(owed="it answers again")
    return rounds


def begun(rounds: Rounds, now: int, rhythm: Rhythm) -> Rounds:
    """Begin what is due. A full round that is under way is ended first: what is owed stays so."""
    if rounds.signs.logon is None:
        return rounds
    if rounds.owed is not None and rounds.under_way is not Round.FULL:
        return _begin(rounds, Round.FULL, rounds.owed, now)._replace(owed=None)
    if rounds.under_way is not None:
        return rounds
    if now - rounds.began_ns >= rhythm.round_s * SECOND_NS:
        return _begin(rounds, Round.STEADY, "its turn", now)
    if now - rounds.heard_ns >= rhythm.silence_s * SECOND_NS:
        return _begin(rounds, Round.SAMPLE, "silence", now)
    return rounds


def _begin(rounds: Rounds, kind: Round, why: str, now: int) -> Rounds:
    began = rounds.began_ns if kind is Round.SAMPLE else now
    number = rounds.number + 1
    return rounds._replace(under_way=kind, why=why, number=number, began_ns=began)


def ended(rounds: Rounds, now: int, *, missed: bool, silent: bool) -> Rounds:
    """End the round under way. What a sample shows as missed is not all that was.

    `silent`: the broker answered no question of it, so what was owed still is.
    """
    owed = rounds.owed
    if missed and rounds.under_way is Round.SAMPLE:
        owed = owed or "a sample showed what had been missed"
    if silent and rounds.under_way is Round.FULL:
        owed = owed or rounds.why
    return rounds._replace(under_way=None, owed=owed, heard_ns=now)


def budget(rounds: Rounds, rhythm: Rhythm) -> int:
    """Return how many requests this tick may spend."""
    if rounds.under_way is None or rounds.signs.logon is None:
        return 0
    return rhythm.requests_steady if rounds.under_way is Round.STEADY else rhythm.requests_full
