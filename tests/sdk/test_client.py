"""The client's tries: what is safe comes again, what is not does not, and nobody waits for real."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.sdk import ApiError, AsyncClient, Client, OutcomeUnknown
from app.sdk.requests import TRIES_MAX, Answer, amend, cancel, place, wait_before

ORDER = {"account_id": "A-1", "client_order_id": "c-1"}
DROPPED: Any = (0, {}, {})


def busy(code: str, after: str = "7") -> tuple[int, dict[str, str], dict[str, Any]]:
    return 503, {"Retry-After": after}, {"code": code, "retryable": True}


@dataclass
class Gateway:
    """A gateway by script: an answer for each request, and what it was sent."""

    url: str = ""
    script: list[Any] = field(default_factory=list)
    heard: list[tuple[str, str, bytes]] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def sync(self) -> Client:
        return Client(self.url, "ob_test_1", sleep=self.waited.append)

    def both(self, call: str, *arguments: Any, **named: Any) -> list[Any]:
        """Make a call by both clients, each from the start of the script."""
        script = list(self.script)

        async def twin() -> Any:
            async def sleep(seconds: float) -> None:
                self.waited.append(seconds)

            async with AsyncClient(self.url, "ob_test_1", sleep=sleep) as client:
                return await getattr(client, call)(*arguments, **named)

        def alone() -> Any:
            return getattr(self.sync(), call)(*arguments, **named)

        def as_twin() -> Any:
            return asyncio.run(twin())

        outcomes: list[Any] = []
        for work in (alone, as_twin):
            self.script = list(script)
            try:
                outcomes.append(work())
            except (ApiError, OutcomeUnknown) as e:
                outcomes.append(e)
        return outcomes


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    told = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            told.heard.append((self.command, self.path, self.rfile.read(length)))
            status, headers, document = told.script.pop(0)
            if not status:
                self.close_connection = True
                return
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - their names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_order_without_an_answer_is_sent_again_byte_for_byte(gateway: Gateway) -> None:
    gateway.script = [DROPPED, busy("commit-outcome-unknown"), (200, {}, {"order_id": "o-1"})]

    assert gateway.both("place", ORDER) == [{"order_id": "o-1"}] * 2
    assert len(set(gateway.heard)) == 1
    assert len(gateway.heard) == 6
    assert gateway.waited == [0.2, 7.0] * 2


def test_an_amendment_without_an_answer_is_not_sent_again(gateway: Gateway) -> None:
    gateway.script = [DROPPED]
    outcomes = gateway.both("amend", "o-1", 3, quantity="7")

    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 2
    assert len(gateway.heard) == 2


def test_a_refusal_is_told_with_its_code_and_not_repeated(gateway: Gateway) -> None:
    gateway.script = [(409, {}, {"code": "order-terminal", "retryable": False, "detail": "gone"})]
    outcomes = gateway.both("cancel", "o-1")

    assert [(e.status, e.code) for e in outcomes] == [(409, "order-terminal")] * 2
    assert gateway.waited == []


def test_nobody_tries_for_ever(gateway: Gateway) -> None:
    gateway.script = [DROPPED] * TRIES_MAX
    outcomes = gateway.both("place", ORDER)

    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 2
    assert len(gateway.heard) == 2 * TRIES_MAX


def test_every_page_is_read(gateway: Gateway) -> None:
    first = {"data": [{"order_id": "o-2"}], "next_cursor": "next"}
    last = {"data": [{"order_id": "o-1"}], "next_cursor": None}
    gateway.script = [(200, {}, first), (200, {}, last)]

    assert [order["order_id"] for order in gateway.sync().orders("A-1")] == ["o-2", "o-1"]
    assert [path for _, path, _ in gateway.heard] == [
        "/v1/orders?account_id=A-1",
        "/v1/orders?account_id=A-1&cursor=next",
    ]


@pytest.mark.parametrize(
    ("request_", "code", "after", "expected"),
    [
        (amend("o", 1, {}), "overloaded", "3", 3.0),
        (amend("o", 1, {}), "commit-outcome-unknown", "3", None),
        (place(ORDER), "quota-exceeded", "3", 3.0),
        (place(ORDER), "overloaded", "86400", None),
        (cancel("o"), "draining", "soon", 0.2),
    ],
)
def test_what_may_come_again_depends_on_what_was_promised(
    request_: Any, code: str, after: str, expected: float | None
) -> None:
    status, headers, document = busy(code, after)
    lower = {name.lower(): value for name, value in headers.items()}

    assert (
        wait_before(request_, Answer(status, lower, json.dumps(document).encode()), 1) == expected
    )


def test_an_order_that_nobody_named_is_not_sent() -> None:
    with pytest.raises(ValueError, match="client_order_id"):
        place({"account_id": "A-1"})
