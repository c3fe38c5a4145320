"""Builds the house in the order in which data flows; the only place that constructs anything.

    desk ─► writer ─► ledger ─► lanes ─► brokers ─► bus ─► reports ─► ledger
                        └─► relay ─► bus ─► projector ─► book

The trap is a second place that constructs: then a test, a role or the demonstration runs another
house than the one that was proved. What it builds is run by `app/gateway.py`.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from app import crash
from app.accounts.projector import Projector
from app.alarms.opening import open_alarms
from app.brokers.registry import load
from app.bus.log import LogBus
from app.clock import Clock, SystemClock
from app.dispatch.adviser import Adviser
from app.dispatch.bell import Bell
from app.dispatch.board import Board
from app.dispatch.inbound import inbound_of
from app.dispatch.live import sessions_of
from app.dispatch.reports import Reports
from app.dispatch.shown import Showing, ShownFloor
from app.domain.anomaly import Severity
from app.domain.errors import Code
from app.domain.limits import Limits, recheck
from app.domain.order import Order
from app.failover.switch import Switch
from app.gateway import PARTS, Gateway
from app.intake.desk import Desk
from app.intake.writer import Writer
from app.ledger.outbox.relay import Relay
from app.ledger.partitions.job import PartitionJob
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.ledger.webhooks.store import WebhookLedger
from app.mishaps import Mishaps
from app.ports.brokers import Broker
from app.reference import Reference, load_reference
from app.sending import Ground, Loop, Sending, send_through
from app.settings import Settings
from app.stores import Stores, drop_gate, open_stores
from app.watching import Kept, Sent, watch_over
from app.webhooks.opening import open_webhooks
from app.webhooks.webhooks import Webhooks

TRIM_EVERY_S: Final = 5.0


async def open_gateway(settings: Settings, clock: Clock | None = None) -> Gateway:
    """Build what this process is to be; nothing runs yet."""
    clock = clock or SystemClock()
    if settings.crash_at is not None:
        name, _, passes = settings.crash_at.partition(":")
        crash.arm(name, int(passes))
    reference = load_reference(instruments_file=settings.instruments_file)
    speaks = not PARTS[settings.role].isdisjoint({"intake", "dispatch"})
    async with AsyncExitStack() as opened:
        brokers = {}
        for name, b in settings.brokers.items() if speaks else ():
            brokers[name] = load(b.adapter, {"name": name, "clock": clock, **b.options})
            opened.push_async_callback(brokers[name].close)
        stores = await open_stores(settings, clock)
        opened.push_async_callback(stores.close)
        gateway = await furnish(settings, clock, stores, brokers, reference)
        opened.pop_all()  # from here on it is the gateway's to close
    return gateway


async def furnish(
    settings: Settings,
    clock: Clock,
    stores: Stores,
    brokers: dict[str, Broker],
    reference: Reference,
) -> Gateway:
    """Build the rooms on stores whose schema stands; a test in virtual time brings its own."""
    parts = PARTS[settings.role]
    ledger = Ledger(stores.ledger, clock)
    rates = {name: broker.orders_per_second for name, broker in settings.brokers.items()}
    ledger.declare(rates, settings.routes)
    board = Board(ledger, reference, shared=stores.ledger.is_shared)
    await board.refresh()
    limits = Limits()

    def check(order: Order) -> Code | None:
        return recheck(order, instruments=board.reference.instruments, limits=limits)

    anomalies = AnomalyLedger(stores.ledger, clock, lambda: board.reference.calendar)
    on = Ground(clock, ledger, board, check, anomalies, settings.unlimited)
    lanes = brokers if "dispatch" in parts else {}
    sending = send_through(on, lanes, shared=stores.ledger.is_shared)
    shown = ShownFloor(ledger, clock)
    writer = Writer(ledger, clock)
    desk = Desk(
        store=ledger,
        writer=writer,
        clock=clock,
        reference=lambda: board.reference,
        halts=lambda: board.standing,
        limits=limits,
        on_queued=sending.wake,
        replaces=frozenset(n for n, b in brokers.items() if b.capabilities.replaces),
    )
    gateway = Gateway(
        settings=settings,
        clock=clock,
        stores=stores,
        ledger=ledger,
        board=board,
        desk=desk,
        writer=writer,
        floor=sending.floor if "dispatch" in parts else shown,
        seen=shown if stores.ledger.is_shared or "dispatch" not in parts else sending.floor,
        brokers=brokers,
        lanes=sending.lanes,
        bell=_bell(on, sending),
        reports=Reports(stores.bus, ledger, sending.witness),
        relay=Relay(stores.outbox, stores.bus),
        partitions=_partitions(settings, clock, stores, board),
        alarms=open_alarms(settings, stores.bus, clock, AnomalyLedger(stores.ledger, clock)),
        webhooks=_webhooks(settings, clock, stores),
        forever=[],
    )
    gateway.forever += _forever(gateway, sending, shown)
    return gateway


def _bell(on: Ground, sending: Sending) -> Bell:
    return Bell(
        store=on.ledger,
        control=on.ledger,
        board=on.board,
        clock=on.clock,
        recheck=on.recheck,
        on_released=sending.wake,
    )


def _watching(gateway: Gateway, sending: Sending) -> list[Loop]:
    if "watch" not in PARTS[gateway.settings.role]:
        return []
    kept = Kept(gateway.ledger, gateway.anomalies, gateway.stores)
    sent = Sent(sending.witness, gateway.board, sending.floor, gateway.reports, sending.gates)
    gateway.watching = watch_over(kept, sent, gateway.clock, view=gateway.settings.view)
    return [gateway.watching.watch.run]


def _webhooks(settings: Settings, clock: Clock, stores: Stores) -> Webhooks | None:
    if "webhooks" not in PARTS[settings.role]:
        return None
    kept, anomalies = WebhookLedger(stores.ledger, clock), AnomalyLedger(stores.ledger, clock)
    return open_webhooks(settings, stores.bus, kept, anomalies, clock)


def _partitions(settings: Settings, clock: Clock, stores: Stores, board: Board) -> PartitionJob:
    return PartitionJob(
        stores.ledger,
        lambda: board.reference.calendar,
        clock,
        settings.data_dir / "archive",
        gate=drop_gate(settings.mongo),
    )


def _forever(gateway: Gateway, sending: Sending, shown: ShownFloor) -> list[Loop]:
    """Return the loops of this role."""
    parts, stores = PARTS[gateway.settings.role], gateway.stores
    loops: list[Loop] = []
    if "dispatch" in parts:
        shows = Showing(sending.floor, gateway.ledger, gateway.clock)
        showing = [shows.run] if stores.ledger.is_shared else []
        loops += [gateway.bell.run, gateway.reports.run, *sending.asking, *showing]
        loops += [inbound.run for inbound in inbound_of(gateway.brokers, stores.bus)]
        loops += sessions_of(
            gateway.brokers, gateway.lanes, sending.replaces, gateway.sessions, stores.bus
        )
    # Whoever lets people lead a route, leads it, or advises, sees the lanes of all processes.
    if gateway.seen is shown and parts & {"intake", "throttle", "failover"}:
        loops.append(shown.run)
    if "failover" in parts:
        # A route that nobody leads away from a dead broker does not wait until the morning.
        mishaps = Mishaps(gateway.anomalies, "failover", Severity.CRITICAL)
        switch = Switch(gateway.grounds, mishaps)
        loops.append(switch.run)
        gateway.farewells.append(switch.leadership.leave)
    if loops:
        loops.insert(0, gateway.board.run)
    loops += _watching(gateway, sending)
    if gateway.settings.view:
        loops += [run for part, run in _subscribers(gateway).items() if part in parts]
    if "partitions" in parts:
        loops.append(gateway.partitions.run)
    if isinstance(stores.bus, LogBus):
        loops.append(partial(_trim, stores.bus, gateway.settings.bus_keep_s))
    return loops


def _subscribers(gateway: Gateway) -> dict[str, Loop]:
    """Return by its part what hears of what has happened, and the relay that tells it."""
    stores, advice = gateway.stores, Mishaps(gateway.anomalies, "throttle")
    adviser = Adviser(stores.bus, gateway.ledger, gateway.floor, gateway.clock, advice)
    told = {} if gateway.webhooks is None else {"webhooks": gateway.webhooks.run}
    return {
        "relay": gateway.relay.run,
        "projector": Projector(stores.bus, stores.book).run,
        "throttle": adviser.run,
        "alarms": gateway.alarms.run,
        **told,
    }


async def _trim(bus: LogBus, keep_s: int) -> None:
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        await bus.trim(keep_s * 1_000)
