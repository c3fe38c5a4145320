"""What a look-up proves about an order in doubt. Pure: facts in, verdict out.

"I know no such order" proves nothing by itself: the request may still be on the wire, or the
broker's query may read an old copy. (A design that asked once and sent again sent twice in 168
of 400 simulated runs.) So doubt ends by one of two proofs:

- the broker shows the order: it is there;
- it answered "unknown" as often as its adapter demands, and the last time it was asked the
  visibility window had passed since the last byte could have left: it never arrived.

A look-up that failed proves nothing and counts for nothing, however often it fails. A broker
that cannot be asked by key never settles a doubt here. No timer does.

`asked_ns` is when the call *started*: the port promises a connection opened after that, and an
answer is no younger than its question. A doubt found at start-up counts the moment of recovery
as its last send, because nobody knows when the dead process wrote.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final, NamedTuple

from app.domain.capabilities import Capabilities
from app.domain.messages import Absent, Found, Lookup, Unknown

SECOND_NS: Final = 1_000_000_000
# One question a second finds an order soon and spares the broker; its query budget comes first.
ASK_EVERY_NS: Final = 1 * SECOND_NS


class DoubtRecord(NamedTuple):
    """What is known of one attempt in doubt. Monotonic nanoseconds."""

    last_sent_ns: int
    absent_answers: int = 0  # "unknown" to questions asked after the last send


@dataclass(frozen=True, slots=True)
class AtBroker:
    """The broker shows it: the doubt is over, and this is where it stands."""

    found: Found


@dataclass(frozen=True, slots=True)
class NeverReceived:
    """Proof that it never arrived: it may go again, as a new attempt."""


@dataclass(frozen=True, slots=True)
class StillInDoubt:
    """No proof yet. Ask again at that instant, or never (None): an operator must settle it."""

    why: str
    ask_again_ns: int | None


Verdict = AtBroker | NeverReceived | StillInDoubt


def judge(
    doubt: DoubtRecord, lookup: Lookup, asked_ns: int, capabilities: Capabilities
) -> tuple[DoubtRecord, Verdict]:
    """Weigh one answer to a question asked at `asked_ns`; return what is known now."""
    if not capabilities.query_by_key:
        # Without the key a match in a list of orders is a hint, and a miss is less than that.
        return doubt, StillInDoubt("not queryable by key: an operator must settle it", None)
    match lookup:
        case Found():
            return doubt, AtBroker(lookup)
        case Unknown():
            why = f"the look-up failed: {lookup.cause}"
            return doubt, StillInDoubt(why, next_question_ns(doubt, asked_ns, capabilities))
        case Absent():
            return _weigh_absence(doubt, asked_ns, capabilities)


def in_words(verdict: Verdict) -> str:
    """Return what was heard, as a sentence that begins with the broker's name goes on."""
    match verdict:
        case AtBroker(found):
            return f"shows it: {found.status}"
        case NeverReceived():
            return "never received it"
        case StillInDoubt(why):
            return why


def settles_from_ns(doubt: DoubtRecord, capabilities: Capabilities) -> int:
    """Return the first instant at which a question can prove absence."""
    return doubt.last_sent_ns + ceil(capabilities.visibility_window_s * SECOND_NS)


def next_question_ns(doubt: DoubtRecord, asked_ns: int, capabilities: Capabilities) -> int:
    """Return when to ask again: in a second, or sooner if absence becomes provable sooner."""
    settles_ns = settles_from_ns(doubt, capabilities)
    later = asked_ns + ASK_EVERY_NS
    return min(later, settles_ns) if asked_ns < settles_ns else later


def _weigh_absence(
    doubt: DoubtRecord, asked_ns: int, capabilities: Capabilities
) -> tuple[DoubtRecord, Verdict]:
    again_ns = next_question_ns(doubt, asked_ns, capabilities)
    if asked_ns <= doubt.last_sent_ns:
        return doubt, StillInDoubt("asked before the last send", again_ns)
    doubt = doubt._replace(absent_answers=doubt.absent_answers + 1)
    if asked_ns < settles_from_ns(doubt, capabilities):
        return doubt, StillInDoubt("absent, inside the visibility window", again_ns)
    required = capabilities.unknown_answers_required
    if doubt.absent_answers < required:
        why = f"absent {doubt.absent_answers} of {required} times"
        return doubt, StillInDoubt(why, again_ns)
    return doubt, NeverReceived()
