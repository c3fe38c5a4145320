"""Customers' systems are told of their orders, signed, at least once.

    orders.v1 ─► group `webhooks` ─► listener ─► a durable row for each endpoint that hears of it
                                                     │
        courier claims, a few at a time from each ◄──┘
          └─► guard ─► signing ─► post ─► the verdict of `domain/webhooks.py` ─► the row

A subscriber like any other: nothing waits for it. A row is claimed before the bytes leave and
settled afterwards, so that whoever dies in between leaves it to be sent again, under the same id.

The traps: a dead endpoint that holds up the others, so each has a few places of its own, one while
it fails; and an address of ours behind a customer's name, so a name is resolved once for each
connection, every address of it is judged, and the connection goes to those and to no other.
"""
