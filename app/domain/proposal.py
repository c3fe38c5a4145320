"""Four eyes: what one person proposes is done when another one says yes, once, or never.

    open ─► executed     another person approved it, and it was done in the same commit
      ├───► declined     another person said no
      ├───► failed       it could not be done any more: what it was about had changed
      └───► expired      nobody answered in time

A proposal is a whole call of the operator's API, under the version that its proposer saw. The
trap is an approval that executes twice: so the end of the proposal, the change and its audit row
are one commit, and whoever comes second finds it closed.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class ProposalState(StrEnum):
    """What became of a proposal."""

    OPEN = "open"
    EXECUTED = "executed"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"


class Approval(NamedTuple):
    """Another person's yes: it goes along with the change that it allows."""

    proposal_id: str
    approved_by: str
    reason: str
    request_id: str  # of the approval: by it a second try of the same one is known


class Proposal(NamedTuple):
    """A call that waits for a second person. `version` is its ETag."""

    proposal_id: str
    version: int
    state: ProposalState
    operation: str  # the operationId of the call
    call: Mapping[str, Any]  # its parts, query, body, if_match and confirm
    proposed_by: str
    key_id: str  # of the proposer: gone, and the proposal cannot be executed
    reason: str
    proposed_at: int
    expires_at: int
    decided_by: str | None = None
    decided_at: int | None = None
    decided_why: str | None = None
    decided_under: str | None = None  # the request that decided it

    def by(self, now: int) -> "Proposal":
        """Return it as it stands now: an open one whose time is over has expired."""
        over = self.state is ProposalState.OPEN and self.expires_at <= now
        return self._replace(state=ProposalState.EXPIRED) if over else self
