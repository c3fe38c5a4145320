"""The line to the gateway: kept while it is in use, made anew after a rest.

A server ends a line that rests without a word. A change that is sent into that end has no answer,
and a person would have to find out whether it happened.
"""

import socket
import threading
from collections.abc import Iterator

import pytest

from app.cli.asking.client import REST_S_MAX, Client
from app.cli.asking.problems import Unreachable

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Impatient:
    """A server that answers once on each line, promises to keep it, and ends it."""

    def __init__(self) -> None:
        self._bound = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._bound.getsockname()[1]}"
        self.answered = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._bound.accept()
            except OSError:
                return
            with line:
                if line.recv(65_536):
                    line.sendall(ANSWER)
                    self.answered += 1

    def close(self) -> None:
        self._bound.shutdown(socket.SHUT_RDWR)
        self._bound.close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Impatient]:
    impatient = Impatient()
    yield impatient
    impatient.close()


class Wrist:
    """A watch that is set by hand."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
def wrist() -> Wrist:
    return Wrist()


@pytest.fixture
def client(server: Impatient, wrist: Wrist) -> Iterator[Client]:
    made = Client(server.url, "ob_test_key", now_s=wrist)
    yield made
    made.close()


def test_a_line_that_has_rested_is_made_anew(
    client: Client, server: Impatient, wrist: Wrist
) -> None:
    client.call("POST", "/", {})
    wrist.at_s += REST_S_MAX + 0.1

    client.call("POST", "/", {})

    assert server.answered == 2


def test_a_line_in_use_is_kept_and_its_loss_is_told(client: Client, server: Impatient) -> None:
    client.call("POST", "/", {})

    with pytest.raises(Unreachable) as lost:
        client.call("POST", "/", {})

    assert lost.value.maybe_sent
    assert server.answered == 1
