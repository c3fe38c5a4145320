"""Keeps what was proposed: put down, listed, declined or found impossible, each audited.

An approved one is ended by `approvals`, in the commit of its change.
"""

from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.proposal import Proposal, ProposalState
from app.domain.records import Actor, Change
from app.ledger.edge import Edge
from app.ledger.operators import audit

_FIELDS: Final = ", ".join(Proposal._fields)
_PUT: Final = text(
    f"INSERT INTO proposals ({_FIELDS}) VALUES ({', '.join(f':{n}' for n in Proposal._fields)})"
)
_LATEST: Final = text(
    f"SELECT {_FIELDS} FROM proposals ORDER BY proposed_at DESC, proposal_id LIMIT :limit"
)
_ONE: Final = text(f"SELECT {_FIELDS} FROM proposals WHERE proposal_id = :id")
_CLOSE: Final = text(
    "UPDATE proposals SET state = :state, version = version + 1, decided_by = :by,"
    " decided_at = :now, decided_why = :why, decided_under = :request"
    " WHERE proposal_id = :id AND state = :open AND version = :version"
)


def one(connection: Connection, proposal_id: str) -> Proposal | None:
    found = connection.execute(_ONE, {"id": proposal_id}).first()
    return None if found is None else _read(found)


def _read(row: object) -> Proposal:
    found = Proposal(*row)  # type: ignore[misc]
    return found._replace(state=ProposalState(found.state), call=codec.decode(str(found.call)))


def put(connection: Connection, proposal: Proposal, by: Actor, now: int) -> Proposal:
    connection.execute(_PUT, proposal._asdict() | {"call": codec.text(proposal.call)})
    told = {"operation": proposal.operation, **proposal.call, "expires_at": proposal.expires_at}
    change = Change("proposal.propose", f"proposal/{proposal.proposal_id}", None, told)
    audit.append(connection, by, change, now)
    return proposal


def close(
    connection: Connection, seen: tuple[str, int], state: ProposalState, by: Actor, now: int
) -> Proposal:
    """End an open one, `seen` as (id, version), without doing what it says."""
    proposal_id, version = seen
    values = {"id": proposal_id, "version": version, "state": state, "open": ProposalState.OPEN}
    values |= {"by": by.name, "now": now, "why": by.reason, "request": by.request_id}
    if connection.execute(_CLOSE, values).rowcount != 1:
        raise Refused(Code.PROPOSAL_CLOSED, f"proposal {proposal_id} was decided before")
    after = one(connection, proposal_id)
    assert after is not None, "it was just closed"
    change = Change(
        f"proposal.{state}",
        f"proposal/{proposal_id}",
        {"state": ProposalState.OPEN},
        {"state": state, "operation": after.operation},
    )
    audit.append(connection, by, change, now)
    return after


class ProposalLedger(Edge):
    """Proposals as the doors see them: `ProposalStore` of `app/ports/control.py`."""

    async def propose(self, proposal: Proposal, by: Actor) -> Proposal:
        now = self._clock.now()
        return await self._write_once(lambda c: put(c, proposal, by, now))

    async def proposals(self, limit: int) -> list[Proposal]:
        def work(connection: Connection) -> list[Proposal]:
            return [_read(row) for row in connection.execute(_LATEST, {"limit": limit})]

        now = self._clock.now()
        return [proposal.by(now) for proposal in await self._read(work)]

    async def proposal(self, proposal_id: str) -> Proposal | None:
        found = await self._read(lambda c: one(c, proposal_id))
        return found and found.by(self._clock.now())

    async def close_proposal(
        self, proposal_id: str, version: int, state: ProposalState, by: Actor
    ) -> Proposal:
        now, seen = self._clock.now(), (proposal_id, version)
        return await self._write_once(lambda c: close(c, seen, state, by, now))
