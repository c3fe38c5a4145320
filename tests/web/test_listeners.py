"""Two listeners: each door stands at one of them, and at the other there is no such thing."""

import asyncio
import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Final, NamedTuple

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from starlette.routing import Route

from app.cli.serve import _address, first_keys
from app.main import listen, listen_for_operators, serve
from app.settings import Settings
from app.web.app import create_app
from app.web.listeners import stands_at
from tests.web.house import Gateway, an_order

# What says nothing of anybody: whether we live, and what the words of our doors mean.
BOTH: Final = {
    *("/livez", "/readyz", "/startupz", "/docs", "/openapi.json", "/asyncapi.json"),
    *("/errors/{code}", "/docs/{name}"),
}
ADMIN_SCOPES: Final = ("admin:", "audit:")


def test_each_door_stands_at_one_listener(gateway: Gateway) -> None:
    both = set()
    for route in gateway.client.app.routes:  # type: ignore[attr-defined]
        assert isinstance(route, Route)
        sides = [stands_at(route.path, operators=it) for it in (False, True)]
        scope = route.spec.scope or ""  # type: ignore[attr-defined]
        if sides == [True, True]:
            both.add(route.path)
            assert not scope, route.path
        else:
            assert sum(sides) == 1, route.path
        if scope:
            assert sides == [scope.startswith("orders:"), scope.startswith(ADMIN_SCOPES)]

    assert both <= BOTH
    for path in ("/console", "/console/login", "/metrics", "/hooks/alertmanager"):
        assert not stands_at(path, operators=False)
    for path in ("/v1/orders", "/hooks/brokers/nova"):
        assert not stands_at(path, operators=True)


class Two(NamedTuple):
    """One server's two ports."""

    client: int
    admin: int


def asked(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@contextmanager
def opened(gateway: Gateway) -> Iterator[Two]:
    """Serve the house at two ports of this machine, as `app/main.py` does."""
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = Two(*(it.getsockname()[1] for it in bound))
    house = replace(gateway.house, registry=CollectorRegistry())
    app = create_app(house, admin_port=ports.admin)
    config = uvicorn.Config(app, lifespan="off", log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = Thread(target=lambda: asyncio.run(server.serve(bound)))
    thread.start()
    try:
        yield ports
    finally:
        server.should_exit = True
        thread.join(10)
        for it in bound:
            it.close()


def test_what_is_elsewhere_is_not_there_whatever_the_request_says(gateway: Gateway) -> None:
    key = gateway.key()
    with opened(gateway) as ports:
        for path in ("/livez", "/readyz", "/startupz", "/errors/not-found"):
            assert [asked(port, path)[0] for port in ports] == [200, 200], path
        for path in ("/admin/v1/overview", "/admin/v1/audit", "/metrics", "/console"):
            at_client, at_admin = (asked(port, path, key) for port in ports)
            assert at_client[0] == 404, path
            assert at_admin[0] in {200, 401}, path
        for path in ("/v1/orders?account_id=A-1", "/v1/sessions"):
            assert [asked(port, path, key)[0] for port in ports] == [200, 404], path

        lies = {
            "Host": f"127.0.0.1:{ports.admin}",
            "X-Forwarded-Port": str(ports.admin),
            "X-Forwarded-Host": f"127.0.0.1:{ports.admin}",
            "Forwarded": "for=127.0.0.1",
        }
        status, body = asked(ports.client, "/admin/v1/overview", key | lies)
        assert (status, json.loads(body)["code"]) == (404, "not-found")
        nobody = asked(ports.client, "/admin/v1/nothing", key | lies)
        assert json.loads(nobody[1])["detail"] == json.loads(body)["detail"]  # nothing is learned
        for path in ("/v1/../admin/v1/overview", "//admin/v1/overview", "/%61dmin/v1/overview"):
            assert asked(ports.client, path, key)[0] == 404


def served(settings: Settings, asks: Callable[[Two], None]) -> Two:
    """Serve, let somebody ask beside it, stop by a signal; return the ports, closed by then."""
    bound, operators = listen(settings), listen_for_operators(settings)
    assert operators is not None
    ports = Two(bound.getsockname()[1], operators.getsockname()[1])

    def ask() -> None:
        try:
            asks(ports)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    asking, thresholds = Thread(target=ask), gc.get_threshold()
    try:
        with bound, operators:
            asyncio.run(serve(settings, bound, asking.start, operators))
    finally:  # a server collects its garbage rarely; the tests that follow do not
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    asking.join(10)
    return ports


def test_a_stop_is_told_at_both_and_closes_both(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=0, admin_port=0, drain_s=5)
    told: list[list[int]] = []

    def asks(ports: Two) -> None:
        told.extend([asked(port, path)[0] for port in ports] for path in ("/readyz", "/metrics"))

    ports = served(settings, asks)

    assert told == [[200, 200], [404, 200]]
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            asked(port, "/livez")


def test_a_connection_rests_as_long_as_the_setting_says(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=0, admin_port=0, drain_s=5, keep_alive_s=1)
    ends: list[bytes] = []

    def asks(ports: Two) -> None:
        # Sooner than uvicorn's own five seconds: so it is our number that was obeyed.
        with socket.create_connection(("127.0.0.1", ports.client), timeout=4) as line:
            line.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
            while said := line.recv(65_536):
                ends.append(said)
            ends.append(said)

    served(settings, asks)

    assert ends[0].startswith(b"HTTP/1.1 200 ")
    assert ends[-1] == b""
    # A load balancer that gives its connections a minute never meets one that we have closed.
    assert Settings(data_dir=tmp_path).keep_alive_s > 60


def test_a_port_may_be_at_an_address_of_version_six(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, host="::1", port=0, admin_host="::1", admin_port=0)
    operators = listen_for_operators(settings)
    assert operators is not None
    with listen(settings) as bound, operators:
        for it in (bound, operators):
            assert _address(it) == f"http://[::1]:{it.getsockname()[1]}"


def test_without_a_second_port_everything_stands_at_the_first(gateway: Gateway) -> None:
    key = gateway.key()

    assert gateway.client.post("/v1/orders", json=an_order(), headers=key).status_code == 201
    assert gateway.client.get("/admin/v1/overview", headers=key).status_code == 200


def test_the_ports_are_two(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="expected another one than port"):
        Settings(data_dir=tmp_path, port=8080, admin_port=8080)
    assert Settings(port=0, admin_port=0).admin_host == "127.0.0.1"


def test_no_first_keys_are_made_where_others_reach_the_operators_port(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, admin_port=8090, admin_host="0.0.0.0")  # noqa: S104

    assert first_keys(settings) is None
    assert first_keys(settings.model_copy(update={"admin_host": "127.0.0.1"})) is not None
