"""One POST over a real socket: where it goes, what it carries, and how every answer is read."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from app.clock import SystemClock
from app.domain.webhooks import Answer
from app.webhooks import post as post_module
from app.webhooks.guard import Rules, Target
from app.webhooks.post import HttpPost, after_s
from app.webhooks.signing import headers, shown
from tests.builders import NOW

SECRET = bytes(range(32))
BODY = b'{"type":"webhook.test"}'
AT_HOME = Rules(loopback=True)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver:
    """A customer's server that says one thing, and keeps what it was sent."""

    def __init__(self, says: bytes, *, holds: bool = False) -> None:
        self._says = says
        self._holds = holds
        self.heard: list[bytes] = []
        self.port = 0
        self._until = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.heard.append(head + await reader.readexactly(length))
        if self._holds:
            await self._until.wait()
        writer.write(self._says)
        try:
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._until.set()
            server.close()
            await server.wait_closed()


class Names:
    """A name server that may say something else the second time."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        return self._answers.pop(0)


def played(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


async def sent(post: HttpPost, target: Target) -> Answer:
    return await post.send(
        target, headers([SECRET], "msg_1", SystemClock().now() // 1_000, BODY), BODY
    )


def http_to(host: str, port: int) -> Target:
    return Target("http", host, port, "/hook?a=1")


def test_it_is_a_plain_post_that_the_reference_library_believes() -> None:
    async def story() -> None:
        post = HttpPost(AT_HOME, SystemClock())
        async with Receiver(OK).listening() as receiver:
            answer = await sent(post, http_to("127.0.0.1", receiver.port))
            again = await sent(post, http_to("localhost", receiver.port))
        await post.close()
        head, _, body = receiver.heard[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        told = dict(line.lower().split(": ", 1) for line in lines[1:])
        exact = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines[1:]}

        assert (answer, again) == (Answer(200), Answer(200))
        assert lines[0] == "POST /hook?a=1 HTTP/1.1"
        assert Webhook(shown(SECRET)).verify(body, exact) == {"type": "webhook.test"}
        assert told["content-type"] == "application/json"
        assert told["accept-encoding"] == "identity"
        assert len(receiver.heard) == 2

    played(story)


@pytest.mark.parametrize(
    ("says", "status", "words"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:1/\r\n\r\n", 302, "not followed"),
        (b"HTTP/1.1 307 F\r\nLocation: https://customer.com/\r\n\r\n", 307, "not followed"),
        (b"HTTP/1.1 410 Gone\r\n\r\n", 410, "HTTP 410"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 6\r\n\r\nsecret", 500, "HTTP 500"),
        (b"nonsense\r\n\r\n", None, "no readable answer"),
        (b"", None, "no readable answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", None, "no readable answer"),
    ],
)
def test_every_answer_is_read_into_words_of_ours(
    says: bytes, status: int | None, words: str
) -> None:
    async def story() -> None:
        post = HttpPost(AT_HOME, SystemClock())
        async with Receiver(says).listening() as receiver:
            answer = await sent(post, http_to("127.0.0.1", receiver.port))
        await post.close()

        assert answer.status == status
        assert words in answer.error
        assert "secret" not in answer.error
        assert str(receiver.port) not in answer.error
        assert len(receiver.heard) == 1

    played(story)


def test_a_body_without_end_is_not_read() -> None:
    async def story() -> None:
        post = HttpPost(AT_HOME, SystemClock())
        flood = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 4_000_000
        async with Receiver(flood).listening() as receiver:
            answer = await sent(post, http_to("127.0.0.1", receiver.port))
        await post.close()

        assert answer == Answer(200)

    played(story)


def test_silence_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_module, "TIMEOUT_S", 0.05)

    async def story() -> None:
        post = HttpPost(AT_HOME, SystemClock())
        async with Receiver(OK, holds=True).listening() as receiver:
            answer = await sent(post, http_to("127.0.0.1", receiver.port))
        await post.close()

        assert answer == Answer(None, "no answer in time")

    played(story)


def test_nobody_there_is_no_connection_and_no_address() -> None:
    async def story() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            post = HttpPost(AT_HOME, SystemClock())
            answer = await sent(post, http_to("127.0.0.1", bound.getsockname()[1]))
        await post.close()

        assert answer == Answer(None, "no connection")

    played(story)


def test_the_connection_goes_to_the_address_that_was_judged_and_each_one_is_judged() -> None:
    async def story() -> None:
        names = Names(["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1", "169.254.169.254"], [])
        post = HttpPost(AT_HOME, SystemClock(), names)
        async with Receiver(OK).listening() as receiver:
            target = http_to("hook.customer.com", receiver.port)
            answers = [await sent(post, target) for _ in range(4)]
        await post.close()

        assert answers == [
            Answer(200),
            Answer(None, "not sent: it has no public address"),
            Answer(None, "not sent: it has no public address"),
            Answer(None, "not sent: it has no public address"),
        ]
        assert names.asked == 4
        assert len(receiver.heard) == 1
        assert b"Host: hook.customer.com" in receiver.heard[0]

    played(story)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "169.254.169.254", "64:ff9b::7f00:1", "10.1.1.1"]
)
def test_an_address_in_the_url_is_judged_as_well(host: str) -> None:
    async def story() -> None:
        names = Names()
        post = HttpPost(Rules(), SystemClock(), names)
        answer = await sent(post, Target("https", host, 443, "/"))
        await post.close()

        assert answer == Answer(None, "not sent: it has no public address")
        assert names.asked == 0

    played(story)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_what_the_resolver_makes_an_address_of_is_judged_after_it(host: str) -> None:
    async def story() -> None:
        post = HttpPost(Rules(), SystemClock())
        answer = await sent(post, Target("https", host, 443, "/"))
        await post.close()

        assert answer.status is None
        assert answer.error.startswith("not sent: ")

    played(story)


def test_a_server_without_tls_is_not_spoken_to() -> None:
    async def story() -> None:
        post = HttpPost(AT_HOME, SystemClock())

        async def hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(hangs_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answer = await sent(post, Target("https", "127.0.0.1", port, "/"))
        server.close()
        await server.wait_closed()
        await post.close()

        assert answer == Answer(None, "no TLS that we trust")

    played(story)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("120", 120.0),
        ("0", 0.0),
        ("9" * 400, 999_999_999.0),
        ("-5", None),
        ("soon", None),
        ("Mon, 02 Mar 2026 14:32:00 GMT", 60.0),
        ("Mon, 02 Mar 2026 14:30:00 GMT", 0.0),
        ("Mon, 99 Mar 2026 14:30:00 GMT", None),
        ("Mon, 02 Mar 99999999999999999999 14:30:00 GMT", None),
        ("Mon, 02 Mar 2026 14:30:00 +99999999999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert after_s(value, NOW) == expected
