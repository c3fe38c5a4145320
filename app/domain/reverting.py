"""What a change for a time gives back when its time is over. Pure.

    set tps 800 for 15 min     tps 800, expires_at in 15 min, reverts_to {"tps": 500}
    then pause, no time limit  paused for good; tps still goes back to 500

One row has one expiry, so a newer time to live counts for all that is temporary in it. The
trap is to note the temporary value as the one to go back to.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from app.domain.records import SessionOverride


class Spell(NamedTuple):
    """Until when a row says what it says, and what it says then, name by name."""

    expires_at: int | None = None
    reverts_to: str | None = None  # JSON; None: nothing of it is temporary

    @property
    def back(self) -> dict[str, Any]:
        """Return what comes back, by name."""
        found: dict[str, Any] = json.loads(self.reverts_to) if self.reverts_to else {}
        return found

    def is_over(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now


FOR_GOOD: Final = Spell()


def spelled(
    standing: Spell, replaced: Mapping[str, Any], until: int | None, back: Mapping[str, Any] = {}
) -> Spell:
    """Return the spell of a row after these facts of it were replaced, for good or until then.

    `replaced` are their values until now; `back` says of some what comes back instead.
    """
    left = standing.back
    for name, value in replaced.items():
        if until is None:
            left.pop(name, None)
        else:
            left.setdefault(name, value)
    left |= back
    if not left:
        return Spell(until)
    text = json.dumps(left, separators=(",", ":"), ensure_ascii=False)
    return Spell(standing.expires_at if until is None else until, text)


def bells_ended(override: SessionOverride, now: int) -> SessionOverride:
    """Return what it is by now: when its time is over, the bells before it, or no override."""
    spell = Spell(override.expires_at, override.reverts_to)
    if not spell.is_over(now):
        return override
    plain = override._replace(expires_at=None, reverts_to=None)
    if spell.back.get("opens_at") is None:
        return plain._replace(lifted_at=now)
    return plain._replace(**spell.back, lifted_at=None)
