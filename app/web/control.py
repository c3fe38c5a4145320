"""What an operator's change makes of a broker's control row, and what it gives back later.

    set tps 800 for 15 min     tps 800, expires_at in 15 min, reverts_to {"tps": 500}
    then pause, no time limit  paused for good; tps still goes back to 500

One row has one expiry, so a newer time to live counts for all that is temporary in it. The
trap is to note the temporary value as the one to go back to.
"""

from typing import Any

from app import codec
from app.domain.records import BrokerControl


def changed(
    control: BrokerControl, name: str, value: object, ttl_s: int | None, now: int
) -> BrokerControl:
    """Return the row with one field changed, for good or until its time to live is over."""
    back: dict[str, Any] = codec.decode(control.reverts_to) if control.reverts_to else {}
    if ttl_s is None:
        back.pop(name, None)
        expires_at = control.expires_at if back else None
    else:
        back.setdefault(name, getattr(control, name))
        expires_at = now + ttl_s * 1000
    fields: dict[str, Any] = {name: value}
    return control._replace(
        **fields, expires_at=expires_at, reverts_to=codec.text(back) if back else None
    )


def undone(control: BrokerControl, before: BrokerControl, now: int) -> BrokerControl:
    """Return the row as it stood before the last change; what has expired since stays expired."""
    if before.expires_at is not None and before.expires_at <= now:
        assert before.reverts_to is not None, "an override that ends says what comes back"
        before = before._replace(**codec.decode(before.reverts_to), expires_at=None)
        before = before._replace(reverts_to=None)
    return before._replace(
        version=control.version,
        changed_by=control.changed_by,
        changed_at=control.changed_at,
        reason=control.reason,
    )
