"""Ends a proposal in the commit of the change that it allowed: once, or the change is refused.

`audit` comes here for every change that carries an approval, so no way of changing something can
forget it.
"""

from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.errors import Code, Refused
from app.domain.proposal import Approval, ProposalState
from app.domain.records import Change

_EXECUTE: Final = text(
    "UPDATE proposals SET state = :executed, version = version + 1, decided_by = :by,"
    " decided_at = :now, decided_why = :why, decided_under = :request"
    " WHERE proposal_id = :id AND state = :open AND expires_at > :now"
)
_DECIDED: Final = text("SELECT state, decided_under FROM proposals WHERE proposal_id = :id")


def execute(connection: Connection, approval: Approval, now: int) -> bool:
    """Close the proposal as executed; False if this very approval has done so before.

    Raises `Refused` if anybody else has decided it, or its time is over.
    """
    values = {
        "executed": ProposalState.EXECUTED,
        "open": ProposalState.OPEN,
        "by": approval.approved_by,
        "now": now,
        "why": approval.reason,
        "request": approval.request_id,
        "id": approval.proposal_id,
    }
    if connection.execute(_EXECUTE, values).rowcount == 1:
        return True
    found = connection.execute(_DECIDED, {"id": approval.proposal_id}).first()
    ours = (ProposalState.EXECUTED, approval.request_id)
    if found is None or (found.state, found.decided_under) != ours:
        raise Refused(
            Code.PROPOSAL_CLOSED,
            f"proposal {approval.proposal_id} is {found.state if found else 'gone'}, or too old",
        )
    return False


def signed(change: Change, approval: Approval) -> Change:
    """Return the change with both names in what it left behind."""
    after: dict[str, Any] = dict(change.after) if isinstance(change.after, dict) else {}
    if not isinstance(change.after, dict) and change.after is not None:
        after["after"] = change.after
    after |= {"approved_by": approval.approved_by, "proposal_id": approval.proposal_id}
    return change._replace(after=after)


def told(approval: Approval, audit_id: int) -> Change:
    """Return the approval as a change of its own."""
    after = {"state": ProposalState.EXECUTED, "audit_id": audit_id}
    resource = f"proposal/{approval.proposal_id}"
    return Change("proposal.approve", resource, {"state": ProposalState.OPEN}, after)
