"""Runs the gateway behind its HTTP server: start, serve, drain.

A first SIGTERM or SIGINT drains: new orders are refused, what was taken is on disk, answers on
the wire are waited for, and what stays silent is in doubt at the next start. A second one ends
the process at once, which is as safe as `kill -9`.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry, ProcessCollector

from app.diagnostics.rulebook import RulesAsShipped
from app.effective import effective
from app.ending import ended
from app.failover.helm import FailoverHelm
from app.gateway import Gateway
from app.settings import PREFIX, Settings, environment
from app.web.access.key_usage import keep_used
from app.web.access.keys import Keyring
from app.web.app import create_app
from app.web.clients.feed import Feed
from app.web.clients.stream import framed
from app.web.console.paces import Paces
from app.web.house import Endpoints, Health, House, Operators
from app.web.quotas.quota import open_quotas
from app.webhooks.opening import roots_of, rules_of
from app.wiring import open_gateway

# Roles to which nobody speaks: they have probes and metrics, and no other door.
UNSPOKEN: Final = frozenset({"dispatcher", "relay", "projector", "failover", "throttle", "alarms"})
# Where orders come in, a writer puts them down.
TAKES_ORDERS: Final = frozenset({"all", "api"})
# Long enough for a streamed reply to end, short enough for an orchestrator's patience.
GRACE_S: Final = 5
BACKLOG: Final = 2_048
# At Python's 700, a group commit of 256 orders starts several collections: p99 doubled.
GARBAGE_MAX: Final = 50_000


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us: draining comes before closing the doors."""
        yield


def furnish(gateway: Gateway) -> House:
    """Hand the doors what they need of the house."""
    settings = gateway.settings
    health = Health(not_ready=gateway.not_ready)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    watching = gateway.watching
    if watching is not None:
        registry.register(watching.meters)
    return House(
        desk=gateway.desk,
        orders=gateway.ledger,
        sweeps=gateway.ledger,
        holds=gateway.ledger,
        tickets=gateway.ledger,
        control=gateway.ledger,
        proposals=gateway.ledger,
        trouble=gateway.anomalies,
        courses=gateway.ledger,
        helm=FailoverHelm(gateway.grounds),
        webhooks=_endpoints(gateway),
        feed=Feed(gateway.ledger, gateway.clock, framed(gateway.reference)),
        drills=gateway.drills,
        rulebook=RulesAsShipped(gateway.clock, watching.watch if watching else None),
        floor=gateway.floor,
        sessions=gateway.sessions,
        accounts=gateway.book,
        bus=gateway.bus,
        brokers=gateway.brokers,
        reference=gateway.reference,
        on_override=gateway.board.refresh,
        rebuild_view=gateway.rebuild_view,
        verify_view=gateway.verify_view,
        keyring=Keyring(settings.keys, gateway.clock),
        clock=gateway.clock,
        health=health,
        registry=registry,
        docs=settings.docs,
        days_kept=gateway.days_kept,
        daybook=gateway.daybook,
        effective=effective(settings, settings.model_fields_set, environment(), PREFIX),
        alarms=lambda: gateway.alarms.counts,
        commits=gateway.writer.pace if settings.role in TAKES_ORDERS else None,
        paces=Paces(gateway.floor, gateway.clock),
        environment=settings.environment,
        operators=_operators(gateway),
        quotas=open_quotas(settings.quotas, settings.redis_url, gateway.clock),
        hooks={str(source): lock for source, lock in settings.hooks.items()},
    )


def _endpoints(gateway: Gateway) -> Endpoints:
    told, settings = gateway.webhooks, gateway.settings
    return Endpoints(
        gateway.endpoints,
        rules_of(settings.webhooks),
        roots_of(settings.keys),
        None if told is None else lambda: told.counts,
    )


def _operators(gateway: Gateway) -> Operators | None:
    settings = gateway.settings
    if settings.operators is None or settings.role in UNSPOKEN:
        return None
    # Half a second to import, for houses where operators have keys.
    from app.web.access.issuer import open_issuer  # noqa: PLC0415

    return open_issuer(settings.operators, gateway.clock)


def listen(settings: Settings) -> socket.socket:
    """Bind before anything starts, so that a taken port stops the start and 0 is known."""
    return _bound(settings.host, settings.port)


def listen_for_operators(settings: Settings) -> socket.socket | None:
    """Bind the operators' own port, if they have one."""
    if settings.admin_port is None:
        return None
    return _bound(settings.admin_host, settings.admin_port)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    bound.setblocking(False)
    return bound


def collect_rarely() -> None:
    """Let orders be freed by count, and collections be for the rare circle.

    What start-up made lives as long as we do: a full collection need not walk it, at the open
    least of all.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_MAX)


async def serve(
    settings: Settings,
    bound: socket.socket,
    announce: Callable[[], None] = lambda: None,
    operators: socket.socket | None = None,
) -> None:
    """Serve until a signal; raise if a loop failed (the next start recovers).

    `operators` is the listener that is theirs alone. One server has both, so both close at once,
    when what was begun has ended.
    """
    gateway = await open_gateway(settings)
    collect_rarely()
    try:
        await _serve(gateway, bound, operators, announce)
    finally:
        await gateway.close()


async def _serve(
    gateway: Gateway,
    bound: socket.socket,
    operators: socket.socket | None,
    announce: Callable[[], None],
) -> None:
    house = furnish(gateway)
    listeners = [bound] if operators is None else [bound, operators]
    admin_port = None if operators is None else operators.getsockname()[1]
    server = _Server(
        uvicorn.Config(
            create_app(
                house,
                watched_only=gateway.settings.role in UNSPOKEN,
                admin_port=admin_port,
            ),
            http="httptools",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=gateway.settings.keep_alive_s,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    drain = asyncio.Event()
    _on_signals(drain)
    async with asyncio.TaskGroup() as parts:
        running = parts.create_task(gateway.run())
        serving = parts.create_task(server.serve(listeners))
        parts.create_task(_when_ready(gateway, house, announce))
        assert house.feed is not None, "furnish makes it"
        parts.create_task(house.feed.run())
        assert house.paces is not None, "furnish makes it"
        noting = parts.create_task(house.paces.run())
        vouching = parts.create_task(_vouching(house))
        keeping = parts.create_task(keep_used(house.keyring, gateway.settings.keys))
        try:
            await drain.wait()
            house.health.draining = True
            house.feed.end()
            gateway.drain()
            await asyncio.wait({running}, timeout=gateway.settings.drain_s)
            server.should_exit = True
        finally:  # where one has failed, the group says it to the others once alone
            await ended(running, noting, vouching, keeping)
        await serving
    if house.quotas is not None:
        await house.quotas.close()


async def _vouching(house: House) -> None:
    if house.operators is not None:
        await house.operators.run()


async def _when_ready(gateway: Gateway, house: House, announce: Callable[[], None]) -> None:
    await gateway.ready.wait()
    house.health.started = True
    announce()


def _on_signals(drain: asyncio.Event) -> None:
    def stop() -> None:
        if drain.is_set():
            os._exit(1)
        drain.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
