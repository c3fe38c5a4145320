"""For programs that send orders here: a client, and its twin for asyncio. It tries again safely.

    client = Client("http://127.0.0.1:8080", key)
    order = client.place({"account_id": "A-1", "client_order_id": "2026-03-03-0001", ...})

What may be repeated is repeated: reads, cancels, and orders under the same client_order_id, which
is the same order for ever. An amendment is not, unless the gateway said that nothing was done.
`Retry-After` is obeyed. It runs in the client's process and shares no code with the house.

The trap that it avoids is the second order: no answer does not mean that nothing happened. So an
order without a client_order_id is refused here, and nobody draws a new id for a second try.
"""

from app.sdk.client import AsyncClient, Client
from app.sdk.requests import ApiError, OutcomeUnknown

__all__ = ["ApiError", "AsyncClient", "Client", "OutcomeUnknown"]
