"""Tickets: a browser's EventSource sends no key, so it shows a ticket in its address, once.

A ticket is asked for with the key, opens the stream of one account, lives for half a minute and is
spent by the first who shows it: an address stands in histories and in the logs of proxies. It
gives no more than its key does, and ends with it. The one thing that it does not share is the
network that a key may be bound to: a server asks for it, and the browser stands elsewhere.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from pydantic import Field
from starlette.requests import Request

from app.domain.errors import Code, Refused
from app.domain.values import rfc3339
from app.ports.orders import Ticket
from app.web.access.keys import Principal, authorize
from app.web.clients.schemas import Asked, Name
from app.web.house import House
from app.web.spec import Call, Reply, Spec, json_of, ok
from app.web.told import Told

READ: Final = "orders:read"
# Between the answer and the browser's next request lies a round trip, and no more.
LASTS_MS: Final = 30_000
BITS: Final = 256


class TicketAsked(Asked):
    """Whose stream."""

    account_id: Name


class TicketTold(Told):
    """Show it once, soon."""

    ticket: str
    expires_at: str
    url: str = Field(description="Where to show it; add last_event_id to go on from there.")


def digest_of(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


async def ticketed(request: Request, house: House) -> Principal | None:
    """Return whose ticket this request shows, for its account alone; None: it shows none."""
    shown = request.query_params.get("ticket")
    if shown is None:
        return None
    ticket = await house.tickets.redeem(digest_of(shown))
    who = None if ticket is None else house.keyring.standing(ticket.key_id)
    if ticket is None or who is None or not who.sees(ticket.account_id):
        raise Refused(Code.UNAUTHENTICATED, "the ticket is spent, too old or unknown")
    return Principal(who.key_id, who.name, who.scopes, frozenset({ticket.account_id}))


def ticket_specs(house: House) -> Sequence[Spec[Any, Any]]:
    async def issue(call: Call[TicketAsked, None]) -> Reply:
        """Issue a ticket for one stream: it lasts 30 seconds and opens one connection.

        For browsers, whose EventSource can send no key. After a break ask for another one.
        """
        account_id = call.body.account_id
        authorize(call.who, READ, account_id)
        ticket = f"{house.clock.random_bits(BITS):064x}"
        until = house.clock.now() + LASTS_MS
        await house.tickets.issue(Ticket(digest_of(ticket), call.who.key_id, account_id, until))
        url = f"/v1/stream?account_id={account_id}&ticket={ticket}"
        return ok({"ticket": ticket, "expires_at": rfc3339(until), "url": url}, status=201)

    return (
        Spec(
            method="POST",
            path="/v1/stream/tickets",
            name="create_stream_ticket",
            scope=READ,
            handler=issue,
            reads=json_of(TicketAsked),
            answers={201: TicketTold},
            refuses=(Code.MALFORMED_REQUEST, Code.NOT_FOUND, Code.VALIDATION_FAILED),
        ),
    )
