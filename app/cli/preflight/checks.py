"""What each answer means half an hour before the bell: documents in, checks out, nothing asked.

    what the doors said ─► a check for each thing that stops an open ─► ok, warn, fail; what next

The trap is a green light for what nobody has looked at: a door that this key may not open, or a
disk of another machine, is `unseen`, and is listed with the reason.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from app.cli.asking.output import Ends, Failure

Document = Mapping[str, Any]
State = Literal["ok", "warn", "fail", "unseen"]
# The worst is the verdict of all. What was not looked at says nothing of the night.
BADNESS: Final[tuple[State, ...]] = ("unseen", "ok", "warn", "fail")
# A door that is closed to this key, or that a gateway of this role or version has not.
CLOSED: Final = frozenset({Ends.AUTHENTICATION, Ends.NOT_FOUND})
# Nobody knows this key: it is no matter of one door.
LOCKED: Final = 401
# Whoever cannot look at these has looked at nothing.
NEEDED: Final = frozenset({"gateway", "ledger"})


class Check(NamedTuple):
    """One thing that was looked at, what was found, and what to type next."""

    check: str
    state: State
    found: str
    next: str = ""


class Heard(NamedTuple):
    """What the doors said, by their name here; and of those that said nothing, why."""

    documents: Mapping[str, Any]
    silent: Mapping[str, Failure]
    market: str | None = None
    skew_s: float | None = None  # between this terminal's clock and the gateway's

    @property
    def at(self) -> datetime:
        """The gateway's own clock."""
        return instant(self.documents["overview"]["at"])


def setting(heard: Heard, name: str) -> Any:
    """Return a setting of the gateway, secrets left out; None where it has none, or tells none."""
    found = heard.documents.get("config", {}).get("data", ())
    return next((one["value"] for one in found if one["setting"] == name), None)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def worst(states: list[State]) -> State:
    return max(states, key=BADNESS.index, default="ok")


def unseen(check: str, failure: Failure) -> Check:
    """Say why a door told nothing: closed to this key is one thing, and broken another."""
    needed = (
        check in NEEDED or failure.ends not in CLOSED or getattr(failure, "status", 0) == LOCKED
    )
    told = dict.fromkeys(text for text in (failure.what, failure.why) if text)
    state: State = "fail" if needed else "unseen"
    return Check(check, state, f"not looked at: {'; '.join(told)}", failure.advice)


Look = Callable[[Heard], Iterator[Check]]
# In the order of the list: what it is called, which doors it needs, what looks.
Looks = tuple[tuple[str, tuple[str, ...], Look], ...]


def looked(heard: Heard, table: Looks) -> Iterator[Check]:
    """Look at everything in a table; what cannot be read is told and stops nothing."""
    for name, doors, look in table:
        closed = [heard.silent[door] for door in doors if door in heard.silent]
        if closed:
            yield unseen(name, closed[0])
            continue
        try:
            yield from look(heard)
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            says = f"not looked at: the answer cannot be read ({type(e).__name__}: {e})"
            yield Check(name, "warn", says, "is it of another version? openbell --version")
