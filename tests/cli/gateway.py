"""A stand-in for the gateway's web room: enough of its routes to test a client against.

It keeps orders by `client_order_id` as the gateway does (same bytes: the same order, others: a
conflict), remembers every order that was ever posted, and misbehaves on request.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

KEY = "ob_test_client"
OPERATOR = "ob_test_operator"
APPROVER = "ob_test_approver"
REFUSED_SYMBOL = "APPL"
SESSIONS = [
    {
        "trading_session_id": f"XNYS-{day}-REG",
        "market": "XNYS",
        "trade_date": day,
        "opens_at": f"{day}T14:30:00.000Z",
        "closes_at": f"{day}T21:00:00.000Z",
        "state": "upcoming",
    }
    # One that is over, so that "next" must look at the clock; then two far ahead.
    for day in ("2026-01-05", "2998-11-24", "2998-11-23")
]


class Gateway:
    """What it has, what it was sent, and how it shall fail next."""

    def __init__(self) -> None:
        self.url = ""
        self.orders: dict[str, dict[str, Any]] = {}
        self.posted: list[dict[str, Any]] = []  # every order of every attempt
        self.batches: list[int] = []
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        # One entry is used up by each POST of orders: an action, before or after it is taken.
        self.before: list[Callable[[web.Request], web.Response | None]] = []
        self.after: list[Callable[[web.Request], web.Response | None]] = []
        self.busy_items: list[set[str]] = []  # ids that get 503 in the batch, batch by batch
        self.hang_up_on = ""  # this path gets no answer
        self.streams: list[list[bytes]] = []  # what each reader of the stream hears
        # What a suite adds: paths that begin so are answered by its own hand.
        self.more: dict[str, Callable[[web.Request], web.Response]] = {}
        self.version = 17
        self.changed_by_another_after_the_read = False
        self.going_on: list[list[dict[str, Any]]] = []  # what each look at anomalies finds
        self.audit_broken_at: int | None = None
        self.differences: list[str] = []
        self.away: list[str] = []
        self.outbox: dict[str, Any] = {"waiting": 3, "oldest_age_s": 0.2, "parked": {}}
        self.audit = [
            {"sequence": n, "at": n, "actor": "mina", "action": "halt", "reason": "a \x1b[2J test"}
            for n in range(1, 4)
        ]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else {}
        if request.path == "/livez":
            return web.Response()
        self.requests.append((request.method, request.path_qs, body))
        self.headers.append(dict(request.headers))
        if request.headers.get("Authorization") not in {
            f"Bearer {key}" for key in (KEY, OPERATOR, APPROVER)
        }:
            return problem(401, "unauthenticated", "the key is unknown")
        if request.path == "/v1/stream":
            return await self._stream(request)
        if request.path == self.hang_up_on:
            hang_up(request)
        key = (request.method, request.path.removesuffix("/"))
        handler = {
            ("POST", "/v1/orders"): self._create,
            ("POST", "/v1/orders/batch"): self._batch,
            ("GET", "/v1/sessions"): self._sessions,
        }.get(key, self._other)
        return handler(request, body)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Say what the next reader hears, and cut the line."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in self.streams.pop(0) if self.streams else ():
            await response.write(event)
        return response

    def _create(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        self.posted.append(body)
        if self.before and (failed := self.before.pop(0)(request)):
            return failed
        result = self._take(body)
        if self.after and (failed := self.after.pop(0)(request)):
            return failed
        if "error" in result:
            return web.json_response(result["error"], status=result["status"])
        replayed = {"Idempotent-Replayed": "true"} if result["status"] == 200 else {}
        return web.json_response(result["order"], status=result["status"], headers=replayed)

    def _batch(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        self.posted += body["orders"]
        self.batches.append(len(body["orders"]))
        if self.before and (failed := self.before.pop(0)(request)):
            return failed
        busy = self.busy_items.pop(0) if self.busy_items else set()
        results = []
        for index, order in enumerate(body["orders"]):
            name = order["client_order_id"]
            if name in busy:
                error = document(503, "overloaded", "later") | {"retry_after": 3}
                result = {"status": 503, "error": error}
            else:
                result = self._take(order)
            results.append({"index": index, "client_order_id": name} | result)
        if self.after and (failed := self.after.pop(0)(request)):
            return failed
        return web.json_response({"list_id": body.get("list_id"), "results": results})

    def _take(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("symbol") == REFUSED_SYMBOL:
            error = document(422, "unknown-symbol", "the market does not list APPL")
            return {"status": 422, "error": error}
        known = self.orders.get(body["client_order_id"])
        if known is None:
            self.orders[body["client_order_id"]] = body
            return {"status": 201, "order": _order(body)}
        if known == body:
            return {"status": 200, "order": _order(body)}
        context = {"existing_order_id": "O-1", "status": "queued"}
        error = document(409, "client-order-id-conflict", "spent") | {"context": context}
        return {"status": 409, "error": error}

    def _sessions(self, request: web.Request, _body: object) -> web.StreamResponse:
        market = request.query.get("market", "XNYS")
        if market != "XNYS":
            return problem(422, "validation-failed", "market: expected one of XNYS")
        return web.json_response({"data": SESSIONS})

    def _other(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        path = request.path
        for prefix, answer in self.more.items():
            if path.startswith(prefix):
                return answer(request)
        if path.startswith("/admin/v1/brokers/b1"):
            return self._broker(request, body)
        if path == "/admin/v1/audit":
            after, limit = int(request.query["after"]), int(request.query["limit"])
            rows = [row for row in self.audit if row["sequence"] > after][: min(limit, 2)]  # type: ignore[operator]
            return web.json_response({"data": rows})
        if path == "/v1/orders/gone":
            return web.json_response(_order({"client_order_id": "gone"}), status=202)
        documents: dict[str, Any] = {
            "/v1/orders": {"data": [_order(o) for o in self.orders.values()], "next_cursor": None},
            "/v1/orders/O-1": _order({"client_order_id": "a-1", "text": "\x1b[31mred"}),
            "/v1/orders/O-1/events": {"data": [{"sequence": 1, "type": "reserved"}]},
            "/v1/orders/O-1/executions": {"data": []},
            "/admin/v1/audit/verify": {
                "intact": self.audit_broken_at is None,
                "first_broken": self.audit_broken_at,
                "head": "3:" + "0" * 64,
            },
            "/admin/v1/view/lag": {"events_behind": 7, "outbox": 3, "away": self.away},
            "/admin/v1/outbox": self.outbox,
            "/admin/v1/view/verify": {
                "equal": not self.differences,
                "differences": self.differences,
            },
            "/admin/v1/halts": {"data": [{"scope": "all", "target": "*"}]},
            f"/admin/v1/sessions/{SESSIONS[-1]['trading_session_id']}/override": {},
            "/admin/v1/halt": {"scope": "all"},
            "/admin/v1/resume": {"scope": "all"},
            "/admin/v1/brokers": {"data": [{"broker_id": "b1"}, {"broker_id": "b2"}]},
            "/admin/v1/routes": {"data": [{"route_id": "XNYS"}]},
            "/admin/v1/anomalies": {"data": self.going_on.pop(0) if self.going_on else []},
            "/admin/v1/anomalies/an_1": anomaly(state="resolved"),
            "/admin/v1/anomalies/an_1/ack": anomaly(acknowledged_by="mina"),
            "/admin/v1/anomalies/an_1/silence": anomaly(silenced_until="2026-03-02T15:30:00.000Z"),
            "/admin/v1/anomalies/an_1/resolve": anomaly(state="resolved"),
            "/admin/v1/in-doubt": {"data": [{"order_id": "O-1"}]},
            "/admin/v1/in-doubt/O-1/probe": {"proved": "not there"},
            "/admin/v1/in-doubt/O-1/resolve": _order({"client_order_id": "a-1"}),
        }
        if path in documents:
            return web.json_response(documents[path])
        return problem(404, "not-found", "no such resource, or it is not yours")

    def _broker(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        etag = f'"v{self.version}"'
        if request.method == "GET":
            if self.changed_by_another_after_the_read:
                self.version += 1
            return web.json_response({"broker_id": "b1", "tps": 500}, headers={"ETag": etag})
        if request.headers.get("If-Match") is None:
            return problem(428, "if-match-required", "send If-Match")
        if request.headers["If-Match"] != etag:
            return problem(412, "stale-version", "mina changed this: the version is 18")
        return web.json_response({"configured": body})


def problem(status: int, code: str, detail: str, retry_after: str | None = None) -> web.Response:
    """Return a refusal as the gateway words it."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    told = document(status, code, detail)
    return web.json_response(
        told, status=status, content_type="application/problem+json", headers=headers
    )


def document(status: int, code: str, detail: str) -> dict[str, Any]:
    return {
        "title": code.replace("-", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": "req_7",
        "doc_url": f"/errors/{code}",
    }


def _order(body: dict[str, Any]) -> dict[str, Any]:
    return {"order_id": f"O-{body['client_order_id']}", "status": "reserved", **body}


def anomaly(**facts: Any) -> dict[str, Any]:
    """Return an open one, but for what a test says of it."""
    told = {
        "anomaly_id": "an_1",
        "state": "open",
        "severity": "warning",
        "rule": {"id": "broker.error_rate", "version": 3},
        "subject": {"kind": "broker", "id": "b1", "route": "XNYS"},
        "opened_at": "2026-03-02T14:30:00.000Z",
        "valid_until": "2998-03-02T14:30:30.000Z",
        "acknowledged_by": None,
        "silenced_until": None,
        "drill": False,
    }
    return told | facts


def hang_up(request: web.Request) -> None:
    """Cut the connection: the client hears nothing, whatever was done."""
    assert request.transport is not None
    request.transport.abort()


@contextmanager
def running() -> Iterator[Gateway]:
    """Run one on a free port of this machine, on a loop of its own."""
    gateway = Gateway()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", gateway.serve)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield gateway
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
