"""What `ProposalStore` promises: executed once in the commit of its change, or not at all."""

from typing import Final

import pytest

from app.domain.errors import Code, Refused
from app.domain.proposal import Approval, Proposal, ProposalState
from app.domain.records import Actor, BrokerControl
from tests.builders import NOW
from tests.contracts.record import KIM, LEE, Shop, shop

__all__ = ["shop"]

A_CALL: Final = {"parts": {"broker_id": "north"}, "body": {"tps": 7}, "if_match": '"v1"'}
PROPOSAL: Final = Proposal(
    proposal_id="p-1",
    version=1,
    state=ProposalState.OPEN,
    operation="set_broker_rate",
    call=A_CALL,
    proposed_by="kim",
    key_id="k-1",
    reason="because",
    proposed_at=NOW,
    expires_at=NOW + 60_000,
)
YES: Final = Approval("p-1", "lee", "I looked", "r-9")
BOTH: Final = KIM._replace(request_id="r-9", approval=YES)


def wanted(shop: Shop) -> BrokerControl:
    return shop.run(shop.store.controls())["north"]._replace(tps=7)


def changed(shop: Shop, by: Actor = BOTH) -> BrokerControl:
    control = wanted(shop)
    return shop.run(shop.store.set_control(control, control.version, by))


def test_what_was_approved_is_done_once_and_names_both(shop: Shop) -> None:
    kept = shop.run(shop.store.propose(PROPOSAL, KIM))
    assert kept == PROPOSAL == shop.run(shop.store.proposal("p-1"))
    after = changed(shop)

    proposal = shop.run(shop.store.proposal("p-1"))
    assert proposal is not None
    assert (proposal.state, proposal.version) == (ProposalState.EXECUTED, 2)
    assert (proposal.decided_by, proposal.decided_why, proposal.decided_at) == (
        *("lee", "I looked"),
        NOW,
    )
    assert (after.tps, after.version) == (7, 2)
    _, change, approval = shop.run(shop.store.audit(0, 10))
    assert (change["actor"], change["action"]) == ("kim", "broker.control")
    assert '"approved_by":"lee"' in str(change["after"])
    assert (approval["actor"], approval["action"]) == ("lee", "proposal.approve")
    assert approval["request_id"] == change["request_id"] == "r-9"
    assert shop.run(shop.store.audit_broken_at()) is None
    with pytest.raises(Refused) as again:
        changed(shop, KIM._replace(approval=YES._replace(request_id="r-10")))
    assert again.value.code is Code.PROPOSAL_CLOSED
    assert wanted(shop).version == 2


def test_a_change_that_is_refused_leaves_its_proposal_open(shop: Shop) -> None:
    shop.run(shop.store.propose(PROPOSAL, KIM))
    with pytest.raises(Refused) as stale:
        shop.run(shop.store.set_control(wanted(shop), 9, BOTH))

    assert stale.value.code is Code.STALE_VERSION
    assert shop.run(shop.store.proposal("p-1")) == PROPOSAL


def test_two_rows_of_one_approval_are_both_written(shop: Shop) -> None:
    """A mass cancel notes its beginning and its end."""
    shop.run(shop.store.propose(PROPOSAL, KIM))
    changed(shop)
    changed(shop)

    assert len(shop.run(shop.store.audit(0, 10))) == 4
    assert wanted(shop).version == 3


def test_what_is_too_old_declined_or_nowhere_changes_nothing(shop: Shop) -> None:
    with pytest.raises(Refused) as nowhere:
        changed(shop)
    shop.run(shop.store.propose(PROPOSAL, KIM))
    late = PROPOSAL._replace(proposal_id="p-2")
    shop.run(shop.store.propose(late, KIM))
    no = shop.run(shop.store.close_proposal("p-1", 1, ProposalState.DECLINED, LEE))
    with pytest.raises(Refused) as declined:
        changed(shop)
    with pytest.raises(Refused) as twice:
        shop.run(shop.store.close_proposal("p-1", 2, ProposalState.FAILED, LEE))
    shop.clock.at = NOW + 60_000
    with pytest.raises(Refused) as expired:
        changed(shop, KIM._replace(approval=YES._replace(proposal_id="p-2")))

    codes = {refused.value.code for refused in (nowhere, declined, twice, expired)}
    assert codes == {Code.PROPOSAL_CLOSED}
    assert wanted(shop).version == 1
    assert (no.state, no.decided_by) == (ProposalState.DECLINED, "lee")
    states = {p.proposal_id: p.state for p in shop.run(shop.store.proposals(10))}
    assert states == {"p-1": ProposalState.DECLINED, "p-2": ProposalState.EXPIRED}
