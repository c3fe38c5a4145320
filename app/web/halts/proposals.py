"""Four eyes: one person proposes a call, another one approves it, and then it is done, once.

A proposal is a call of the operator's API with everything in it: the parts of its path, its body,
the version that its proposer saw. An approval makes that very call, in the name of whoever
proposed it; the change, its audit row with both names and the end of the proposal are one commit.
The trap is an approval of something else than was shown: so nothing in it can be changed, and if
what it is about was changed meanwhile, it fails for good.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.domain.errors import Code, Refused
from app.domain.proposal import Approval, Proposal, ProposalState
from app.domain.values import rfc3339
from app.web.access.keys import EVERY_ACCOUNT, Principal, authorize, not_there
from app.web.clients.schemas import Asked
from app.web.confirmed import CONFIRM, must_be_confirmed
from app.web.door import query_of, version_of
from app.web.halts.deed_told import ProposalsTold, ProposalTold
from app.web.halts.persons import must_be_two, proposer_of
from app.web.house import House
from app.web.operator_schemas import Reason, Reasoned
from app.web.problems import invalid_at
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

SEE: Final = "admin:read"
APPROVE: Final = "admin:approve"
# Whatever changes the ledger in one commit, with its audit row. What acts elsewhere first could
# be done twice: a probe asks a broker, a drill makes one ill.
PROPOSABLE: Final = frozenset(
    {"set_broker_rate", "set_broker_schedule", "end_broker_schedule", "set_broker_breaker"}
    | {"set_broker_dispatch", "set_route_policy", "lock_route", "unlock_route", "fail_over"}
    | {"fail_back", "override_session", "lift_session_override", "set_anomaly_rule", "resume"}
    | {"pause_session", "resume_session"}
    | {"resolve_doubt", "settle_stray", "hold_order", "release_order", "cancel_order_as_operator"}
    | {"hold_orders", "release_orders", "mass_cancel_as_operator"}
)
ID_BITS: Final = 80
HOUR_S: Final = 3_600
NAME_MAX: Final = 64


class Proposed(Asked):
    """A whole call, for another person to approve."""

    operation: str = Field(
        max_length=NAME_MAX,
        description="The operationId of the call.",
        examples=["release_orders"],
    )
    parts: dict[str, str] = Field(default_factory=dict, description="Of its path, by name.")
    query: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(
        default_factory=dict,
        description="Without its reason.",
        examples=[{"everything": True, "request_id": "let-go-1", "expected_count": 9}],
    )
    if_match: str | None = Field(None, max_length=NAME_MAX, description="The ETag that you saw.")
    confirm: str | None = Field(None, max_length=NAME_MAX, description="Its X-Confirm.")
    ttl_s: int = Field(HOUR_S, ge=60, le=24 * HOUR_S, description="Then it expires.")
    reason: Reason


class ProposalsAsked(BaseModel):
    """How many of the latest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(50, ge=1, le=500)


class Proposals:
    """The calls that may wait for a second person."""

    def __init__(self, house: House, specs: Sequence[Spec[Any, Any]]) -> None:
        self._house = house
        self._specs = {spec.name: spec for spec in specs if spec.name in PROPOSABLE}

    async def propose(self, call: Call[Proposed, None]) -> Reply:
        """Put a call down for another person to approve; nothing of it happens yet."""
        asked, now = call.body, self._house.clock.now()
        spec = self._specs.get(asked.operation)
        if spec is None:
            raise invalid_at("operation", f"expected one of {', '.join(sorted(self._specs))}")
        if spec.scope is not None:
            authorize(call.who, spec.scope)
        fields = ("parts", "query", "body", "if_match", "confirm")
        wanted = {name: getattr(asked, name) for name in fields}
        self._made(spec, wanted, call.who, call.request_id, asked.reason)  # or say what is wrong
        proposal = Proposal(
            proposal_id=f"{self._house.clock.random_bits(ID_BITS):020x}",
            version=1,
            state=ProposalState.OPEN,
            operation=asked.operation,
            call=wanted,
            proposed_by=call.who.name,
            key_id=call.who.key_id,
            reason=asked.reason,
            proposed_at=now,
            expires_at=min(filter(None, (now + asked.ttl_s * 1_000, call.who.until))),
        )
        kept = await self._house.proposals.propose(proposal, call.actor(asked.reason))
        location = f"/admin/v1/proposals/{kept.proposal_id}".encode()
        return ok(_shape(kept), (b"location", location), etag(kept.version), status=201)

    async def listed(self, call: Call[None, ProposalsAsked]) -> Reply:
        """List the latest proposals that the caller may see, open and decided."""
        found = await self._house.proposals.proposals(call.query.limit)
        return ok({"data": [_shape(p) for p in found if self._sees(call.who, p)]})

    async def get(self, call: Call[None, None]) -> Reply:
        """Show one proposal; its ETag is what a decision must name."""
        proposal = await self._found(call)
        return ok(_shape(proposal), etag(proposal.version))

    async def approve(self, call: Call[Reasoned, None]) -> Reply:
        """Do what was proposed, as another person than who proposed it; answer what it answers."""
        proposal = await self._open(call)
        spec = self._specs[proposal.operation]
        proposer = proposer_of(self._house, proposal, spec.scope)
        if proposer is None:
            raise Refused(Code.PROPOSAL_CLOSED, "what it was proposed with has ended")
        if spec.scope is not None:
            authorize(proposer, spec.scope)
        made = self._made(spec, proposal.call, proposer, call.request_id, proposal.reason)
        made.brought, reason = call.request, call.body.reason
        made.approval = Approval(proposal.proposal_id, call.who.name, reason, call.request_id)
        try:
            return await spec.handler(made)
        except Refused as e:
            with suppress(Refused):  # it was done in part, and is closed by that
                await self._close(call, proposal, ProposalState.FAILED, f"{e.code.code}: {reason}")
            raise

    async def decline(self, call: Call[Reasoned, None]) -> Reply:
        """Say no; nothing of it happens."""
        proposal = await self._open(call)
        state, reason = ProposalState.DECLINED, call.body.reason
        after = await self._close(call, proposal, state, reason)
        return ok(_shape(after), etag(after.version))

    async def _close(
        self, call: Call[Any, Any], proposal: Proposal, state: ProposalState, reason: str
    ) -> Proposal:
        by = call.actor(reason)
        store, seen = self._house.proposals, (proposal.proposal_id, proposal.version)
        return await store.close_proposal(*seen, state, by)

    async def _found(self, call: Call[Any, Any]) -> Proposal:
        proposal = await self._house.proposals.proposal(call.part("proposal_id"))
        if proposal is None or not self._sees(call.who, proposal):
            raise not_there()
        return proposal

    async def _open(self, call: Call[Any, Any]) -> Proposal:
        """Return the proposal, if this caller may decide it, and saw it as it stands."""
        proposal = await self._found(call)
        if call.version != proposal.version:
            raise Refused(
                Code.STALE_VERSION,
                f"the proposal is {proposal.state}",
                current=_shape(proposal),
                changed_by=proposal.decided_by,
            )
        if proposal.state is not ProposalState.OPEN:
            raise Refused(Code.PROPOSAL_CLOSED, f"the proposal is {proposal.state}")
        words = f"{proposal.proposed_by} proposed it; another person decides"
        if call.who.key_id == proposal.key_id:
            raise Refused(Code.SECOND_PRINCIPAL_REQUIRED, words)
        must_be_two(call.who.name, proposal.proposed_by, words)
        return proposal

    def _sees(self, who: Principal, proposal: Proposal) -> bool:
        """Whether the caller may know of whatever a proposal may be about."""
        if EVERY_ACCOUNT in who.accounts or who.key_id == proposal.key_id:
            return True
        proposer = proposer_of(self._house, proposal)
        return proposer is not None and proposer.accounts <= who.accounts

    def _made(
        self,
        spec: Spec[Any, Any],
        wanted: Mapping[str, Any],
        who: Principal,
        request_id: str,
        reason: str,
    ) -> Call[Any, Any]:
        """Return the call as its door would have let it in, or raise what is wrong with it."""
        parts = wanted["parts"]
        named = {part[1:-1] for part in spec.path.split("/") if part.startswith("{")}
        if set(parts) != named:
            raise invalid_at("parts", f"expected {', '.join(sorted(named)) or 'none'}")
        confirm = wanted["confirm"]
        headers = [] if confirm is None else [(CONFIRM.encode(), confirm.encode())]
        scope = {"type": "http", "method": spec.method, "path": spec.path, "query_string": b""}
        request = Request(scope | {"headers": headers, "path_params": dict(parts)})
        call: Call[Any, Any] = Call(request, who, request_id, None, None, None)
        if spec.asks is not None:
            call.query = query_of(spec.asks, wanted["query"])
        if getattr(call.query, "dry_run", False):
            raise invalid_at("query", "a dry run needs nobody's approval")
        if spec.if_match:
            call.version = version_of(wanted["if_match"], spec.if_match)
        if spec.reads is not None:
            call.raw = msgspec.json.encode({**wanted["body"], "reason": reason})
            call.body = spec.reads.decode(call.raw, "application/json")
        must_be_confirmed(spec, call)
        return call


def _shape(proposal: Proposal) -> dict[str, Any]:
    shape = proposal._asdict()
    del shape["key_id"], shape["decided_under"]
    return shape | {
        "proposed_at": rfc3339(proposal.proposed_at),
        "expires_at": rfc3339(proposal.expires_at),
        "decided_at": instant(proposal.decided_at),
    }


PATH: Final = "/admin/v1/proposals"
ONE: Final = f"{PATH}/{{proposal_id}}"
DECIDED: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.PROPOSAL_CLOSED,
    Code.SECOND_PRINCIPAL_REQUIRED,
    Code.STALE_VERSION,
    Code.VALIDATION_FAILED,
    Code.IF_MATCH_REQUIRED,
)


def proposal_specs(house: House, specs: Sequence[Spec[Any, Any]]) -> Sequence[Spec[Any, Any]]:
    doors = Proposals(house, specs)
    done = (*DECIDED, *(c for s in specs if s.name in PROPOSABLE for c in s.refuses))  # by it
    return (
        Spec(
            method="POST",
            path=PATH,
            name="propose",
            scope=SEE,
            handler=doors.propose,
            reads=json_of(Proposed),
            answers={201: ProposalTold},
            shows=("ETag", "Location"),
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
                Code.CONFIRM_REQUIRED,
            ),
            audited=True,
        ),
        Spec(
            method="GET",
            path=PATH,
            name="list_proposals",
            scope=SEE,
            handler=doors.listed,
            asks=ProposalsAsked,
            answers={200: ProposalsTold},
            refuses=(Code.VALIDATION_FAILED,),
        ),
        Spec(
            method="GET",
            path=ONE,
            name="get_proposal",
            scope=SEE,
            handler=doors.get,
            answers={200: ProposalTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        *(
            Spec(
                method="POST",
                path=f"{ONE}/{verb}",
                name=f"{verb}_proposal",
                scope=APPROVE,
                handler=handler,
                reads=json_of(Reasoned),
                answers=answers,
                refuses=tuple(dict.fromkeys(refuses)),
                if_match="required",
                audited=True,
            )
            for verb, handler, answers, refuses in (
                ("approve", doors.approve, {200: dict[str, Any], 202: dict[str, Any]}, done),
                ("decline", doors.decline, {200: ProposalTold}, DECIDED),
            )
        ),
    )
