"""`openbell serve`: the gateway, on the embedded stores, for a user's own orders.

Without configured brokers it starts two simulated ones as processes of their own, so that the
first order of a newcomer has somewhere to go; it says so, because a simulated fill is not a
fill.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket
from typing import Annotated, Any, Final

import typer

MARKETS: Final = {"XNYS": "north", "XNAS": "south", "XKRX": "north"}


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the stores live.")] = None,
    role: Annotated[
        str | None,
        typer.Option(
            help="Which part: all, api, dispatcher, relay, projector, failover, throttle or alarms."
        ),
    ] = None,
) -> None:
    r"""Run the gateway, or one part of it on stores that parts share.

    \b
    Examples:
      openbell serve
      openbell serve --port 8081 --data-dir /var/lib/openbell
      OPENBELL_LEDGER_URL=postgresql://... openbell serve --role dispatcher

    """
    from app.settings import read_settings

    given = {"host": host, "port": port, "data_dir": data_dir, "role": role}
    try:
        settings = read_settings(**{k: v for k, v in given.items() if v is not None})
    except ValueError as e:
        typer.echo(f"settings: {e}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(run(settings))


def run(settings: Any) -> int:
    """Serve in this process; return its exit status."""
    from app.main import listen, listen_for_operators

    with ExitStack() as listeners:
        place = f"{settings.host}:{settings.port}"
        try:
            bound = listeners.enter_context(listen(settings))
            place = f"{settings.admin_host}:{settings.admin_port}"
            operators = listen_for_operators(settings)
        except OSError as e:
            typer.echo(f"cannot listen on {place}: {e.strerror}", err=True)
            return 1
        if operators is not None:
            listeners.enter_context(operators)
        return _serve(settings, bound, operators)


def _serve(settings: Any, bound: socket, operators: socket | None) -> int:
    import uvloop

    from app.main import serve as serve_gateway

    address = _address(bound)
    spoken_to = settings.role in {"all", "api"}
    keys = first_keys(settings) if spoken_to else None
    if spoken_to and not settings.keys.exists():
        typer.echo("there is no API key yet: `openbell key create` makes one", err=True)

    def announce() -> None:
        ready = {"ready": True, "url": address, "pid": os.getpid(), "role": settings.role}
        if operators is not None:
            ready["admin_url"] = _address(operators)
        if keys is not None:
            ready["keys"] = str(keys)
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        if keys is not None and sys.stderr.isatty():
            console = f"{ready.get('admin_url', address)}/console"
            typer.echo(f"the console is {console}; the operator's key is in {keys}", err=True)

    try:
        with _with_brokers(settings, address) as furnished:
            uvloop.run(serve_gateway(furnished, bound, announce, operators))
    except refusals() as e:
        typer.echo(str(e), err=True)
        return 1
    return 0


def _address(bound: socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def refusals() -> tuple[type[Exception], ...]:
    """Return what a start can be refused for: each says in one sentence what is wrong."""
    from app.brokers.registry import BadAdapter, UnknownAdapter
    from app.bus.cluster import WrongTopic
    from app.ledger.schema import Behind, UnknownRevision
    from app.ports.accounts import BookUnfit
    from app.ports.away import StoreAway
    from app.postgres import Unreadable
    from app.reference import BadReference
    from app.sql import NotDurable
    from app.sqlite import InUse

    stores = (InUse, NotDurable, UnknownRevision, Behind, StoreAway, WrongTopic, BookUnfit)
    return (*stores, Unreadable, BadAdapter, UnknownAdapter, BadReference)


@contextmanager
def _with_brokers(settings: Any, address: str) -> Iterator[Any]:
    """Yield settings that name brokers; simulated ones, ended afterwards, if none is configured."""
    from app.cli.stage.simulated import start
    from app.settings import BrokerSettings

    if settings.brokers or settings.role != "all":
        yield settings
        return
    typer.echo("no broker is configured: two simulated ones run beside us", err=True)
    directory = settings.data_dir / "simulated"
    simulated = [start(directory, name, address) for name in ("north", "south")]
    try:
        brokers = {s.name: BrokerSettings(**s.settings()) for s in simulated}
        yield settings.model_copy(update={"brokers": brokers, "routes": MARKETS})
    finally:
        for broker in simulated:
            broker.process.stop()


def first_keys(settings: Any) -> Path | None:
    """Make keys for a client, an operator and an approver if there are none; return their file.

    Only on a loopback address: on any other, somebody must say who may do what. None where no
    such file stands.
    """
    from app.clock import SystemClock
    from app.web.access.keyfile import SCOPES, Grant, create_key

    file: Path = settings.data_dir / "first-keys.json"
    hosts = [settings.host] + [settings.admin_host] * (settings.admin_port is not None)
    if settings.keys.exists() or not all(host.startswith("127.") for host in hosts):
        return file if file.exists() else None
    powers = {
        "client": frozenset({"orders:read", "orders:write"}),
        "operator": SCOPES,
        "approver": SCOPES,
    }
    clock = SystemClock()
    tokens = {
        name: create_key(settings.keys, Grant(name, scopes, ("*",)), clock)
        for name, scopes in powers.items()
    }
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(tokens, out, indent=1)
        out.flush()
        os.fsync(out.fileno())  # the key file is durable, and nothing else knows these secrets
    return file
