"""The record: an order's change and its event commit together.

Publish after the commit, and a crash in between loses the event; publish before, and a
rollback invents one. So the event is a row of the same transaction, and `relay` carries it
out: at least once, in order per order.

`store` is the door, in three leaves: `order_store`, `dispatch_store`, `control_store`. Behind
it: `tables` (the schema), `rows` (how a batch of orders is read and moved in one step each),
`booking` (take, edit, cancel) and `fresh` (how what was taken is put down), `queues` (release,
claim, expire), `attempts` and what becomes of them (`outcomes` by an answer or its proven absence,
`reporting` by a report, `verdicts` by a person), `control` (rates, halts, leases, routes,
overrides) and `audit` (the hash chain). Every move passes through `rows.write`, which asks `domain`
nothing and lets nothing through that `domain` did not make.
"""
