"""Decides whether two who act are two people: four eyes are worth what this is worth.

Whoever the issuer of tokens knows is called `oidc:` and his subject, whether he carries a token or
a key that was made for him (`openbell key create --person`): so one person with both has one name,
and is one. The trap is a key that says nothing of the kind: `mina-laptop` may well be in the hand
of `oidc:00u1f3`. Such a key and a person are not proven to be two, so they are not. Two such keys
are two by their names, as they are where nobody has a token.
"""

from typing import Final

from app.domain.errors import Code, Refused
from app.domain.failover import OPENBELL
from app.domain.proposal import Proposal
from app.web.access.keyfile import KNOWN
from app.web.access.keys import EVERY_ACCOUNT, SUBJECT, Principal
from app.web.house import House

UNPROVEN: Final = (
    "a key that does not say whose it is and somebody whom the issuer of tokens knows may be one"
    " person: openbell key create --person"
)


def must_be_two(who: str, other: str, words: str) -> None:
    """Raise `Refused` with these words unless `who` is another person than `other`."""
    # An issuer may tell capitals apart; who types `--person Mina@desk` for mina@desk does not.
    if who.casefold() == other.casefold():
        raise Refused(Code.SECOND_PRINCIPAL_REQUIRED, words)
    if who.startswith(KNOWN) != other.startswith(KNOWN) and OPENBELL not in {who, other}:
        raise Refused(Code.SECOND_PRINCIPAL_REQUIRED, f"{words}; {UNPROVEN}")


def proposer_of(house: House, proposal: Proposal, scope: str | None = None) -> Principal | None:
    """Return who proposed it, as far as that still counts; with a token, as of that time.

    The token let its holder propose this call, and the proposal ends no later than the token: so
    nobody has to be asked again, but whether we still believe the issuer.
    """
    if not proposal.key_id.startswith(SUBJECT):
        return house.keyring.standing(proposal.key_id)
    if house.operators is None:
        return None
    scopes = frozenset({"admin:read", *([scope] if scope else [])})
    return Principal(proposal.key_id, proposal.proposed_by, scopes, frozenset({EVERY_ACCOUNT}))
