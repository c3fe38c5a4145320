"""openbell: a brokerage order gateway that never sends an order twice.

    client ─► web ─► intake/desk ─► intake/writer ══ one commit ══► ledger ──────► 201
                                                                      │  ▲
               bell rings ─► dispatch/lane ◄── claims a batch ────────┤  │ answers
                                │  pacer · window · gate              │  │
                                ▼                                     │  │
                        brokers/<adapter> ─ five answers ─────────────┼──┘
                                │                                     │
        execution reports ─► bus ─► dispatch/reports ─► ledger        │
                                                                      ▼
                     accounts/projector ◄─ bus ◄─ relay ◄─ ledger/outbox
                                │
                                ▼
                         account book ─► web/clients        in doubt ─► dispatch/reconciler

      lanes, backlog, clocks ─► diagnostics/watch ─► ledger/trouble ─► bus ─► alarms ─► people
                                                          ▼
                                    failover/switch ─► ledger/failover: the route's epoch

Follow one order from left to right: `web/clients/orders.py`, `intake/desk.py`,
`intake/writer.py`, `ledger/orders/booking.py`, `dispatch/bell.py`, `ledger/dispatch/queues.py`,
`dispatch/lane.py`, `brokers/http.py`, `ledger/dispatch/outcomes.py`, `dispatch/reports.py`,
`ledger/outbox/relay.py`, `accounts/projector.py`. Follow one fault: `diagnostics/health.py`,
`diagnostics/tripwires.py`, `ledger/trouble/anomalies.py`, `failover/policy.py`,
`ledger/failover/failovers.py`, `alarms/alarms.py`. What changes an order at its broker is
`dispatch/cancels.py` and `dispatch/replaces.py`; what nobody has told us, `dispatch/reconciler.py`
(doubts) and `dispatch/catchup.py` (the rest) ask for. A broker that lives on a session is
`brokers/fix/`, its numbers `ledger/sessions/`. What operators turn is `web/brokers/`,
`web/routes/`, `web/halts/` and `web/operators/`; what they see is `web/console/`. The words and
laws that all of them use stand in `domain/`.

Rooms stand on floors and import only downwards: `__main__` · `cli` · `main` · `web` · `wiring` ·
`gateway` · `sending`, `watching` · `stores` · the rooms `intake`, `dispatch`, `failover`,
`diagnostics`, `ledger`, `bus`, `accounts`, `brokers`, `alarms`, `webhooks` · `consuming`,
`letters`, `mishaps`, `postgres`, `sqlite` · `ports`, `settings`, `reference`, `codec`, `sql` ·
`domain`, `clock`, `crash`, `ending`. Neighbours meet in `wiring.py`, which builds what `gateway.py`
runs, and in those who put a part of it together.
Each room's `__init__.py` is its door plate: one promise, and the trap that it avoids; so is that of
a room within a room.
"""

from typing import Final

VERSION: Final = "0.1.0"
