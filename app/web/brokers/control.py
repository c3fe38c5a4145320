"""What an operator's change makes of a broker's control row, and what an undo makes of it.

What a change for a time gives back is `domain.reverting`'s business. The trap of an undo is to
bring back for good what had been set for a time, and whose time is over by now.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from app import codec
from app.domain.records import BrokerControl
from app.domain.reverting import Spell, spelled
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
    standing = Spell(control.expires_at, control.reverts_to)
    replaced = {name: fact_of(control, name) for name in facts}
    until = None if ttl_s is None else now + ttl_s * 1000
    spell = spelled(standing, replaced, until, wanted_back)
    return with_facts(control, facts)._replace(**spell._asdict())


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
