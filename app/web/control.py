"""What an operator's change makes of a broker's control row, and what it gives back later.

    set tps 800 for 15 min     tps 800, expires_at in 15 min, reverts_to {"tps": 500}
    then pause, no time limit  paused for good; tps still goes back to 500

One row has one expiry, so a newer time to live counts for all that is temporary in it. The
trap is to note the temporary value as the one to go back to.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from app import codec
from app.domain.records import BrokerControl
from app.domain.tuning import fact_of, with_facts

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def changed(
    control: BrokerControl,
    facts: Mapping[str, Any],
    ttl_s: int | None,
    now: int,
    wanted_back: Mapping[str, Any] = NOTHING,
) -> BrokerControl:
    """Return the row with these facts changed, for good or until their time to live is over."""
    back: dict[str, Any] = codec.decode(control.reverts_to) if control.reverts_to else {}
    for name in facts:
        if ttl_s is None:
            back.pop(name, None)
        else:
            back.setdefault(name, fact_of(control, name))
    back |= wanted_back
    expires_at = control.expires_at if back else None
    if ttl_s is not None:
        expires_at = now + ttl_s * 1000
    return with_facts(control, facts)._replace(
        expires_at=expires_at, reverts_to=codec.text(back) if back else None
    )


def undone(control: BrokerControl, before: BrokerControl, now: int) -> BrokerControl:
    """Return the row as it stood before the last change; what has expired since stays expired."""
    if before.expires_at is not None and before.expires_at <= now:
        assert before.reverts_to is not None, "an override that ends says what comes back"
        before = with_facts(before, codec.decode(before.reverts_to))
        before = before._replace(expires_at=None, reverts_to=None)
    return before._replace(
        version=control.version,
        changed_by=control.changed_by,
        changed_at=control.changed_at,
        reason=control.reason,
    )
