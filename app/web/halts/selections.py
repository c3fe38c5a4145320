"""Which orders a change of many is about: whose they may be, and what was seen before.

A bulk change names the selection of its dry run and how many orders that showed. The trap is the
button that acts on what was never shown: if the set has grown, nothing happens.
"""

from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.sweep import Deed, Selection, SweepScope
from app.web.access.keys import EVERY_ACCOUNT, Principal, authorize
from app.web.cursors import cursor_at, place_of
from app.web.problems import invalid_at

# A chunk holds the one writer for some 20 ms, behind which new orders wait.
CHUNK: Final = 200
# Clients and proxies wait for a minute at most; they should never have to.
WORK_S_MAX: Final = 5.0


def accounts_of(who: Principal, account_id: str | None, scope: str) -> tuple[str, ...] | None:
    """Return the accounts that a change may touch; None: every one."""
    if account_id is not None:
        authorize(who, scope, account_id)
        return (account_id,)
    if EVERY_ACCOUNT not in who.accounts:
        return tuple(sorted(who.accounts))
    return None


def previewed(selection: Selection, deed: Deed, scope: SweepScope) -> dict[str, Any]:
    """Say what would be done to which orders."""
    return {
        "dry_run": True,
        "orders_affected": selection.orders,
        "by_status": {str(status): count for status, count in selection.by_status.items()},
        "selection_id": cursor_at(selection.upto, (_name(deed), *scope)),
    }


def seen_upto(selection_id: str | None, deed: Deed, scope: SweepScope) -> int | None:
    """Return up to which order somebody has looked; None: nobody says."""
    if selection_id is None:
        return None
    try:
        return place_of(selection_id, (_name(deed), *scope))
    except Refused:
        detail = "expected the selection_id of a dry run of this scope"
        raise invalid_at("selection_id", detail) from None


def _name(deed: Deed) -> str:
    return "sweep" if deed is Deed.CANCEL else str(deed)


def must_not_have_grown(selection: Selection, expected_count: int | None) -> None:
    """Refuse unless there are no more orders in it than were seen."""
    if expected_count is None:
        raise invalid_at("expected_count", "expected the orders_affected of a dry run")
    if selection.orders > expected_count:
        raise Refused(
            Code.SELECTION_GREW,
            f"{selection.orders} orders are in scope, expected {expected_count}",
            orders_affected=selection.orders,
            expected_count=expected_count,
        )
