"""The record: an order's change and its event commit together.

Publish after the commit, and a crash in between loses the event; publish before, and a
rollback invents one. So the event is a row of the same transaction, and `outbox.relay` carries it
out: at least once, in order per order.

`store` is the door. Behind it a room stands for each port: `orders` and `dispatch` (an order's
life before and after it is claimed), `operators` (what they set, and the log of it), `failover`,
`sessions`, `trouble`, `webhooks`; and `outbox` and `partitions`, which no port shows. All of them
share what stands here: `tables` (the schema), `days` (one set of tables a trade date), `rows` (how
a batch of orders is read and moved in one step each), `edge` (one call, one transaction) and
`dialect` (what SQLite and PostgreSQL say differently). Every move passes through `rows.write`,
which asks `domain` nothing and lets nothing through that `domain` did not make.
"""
