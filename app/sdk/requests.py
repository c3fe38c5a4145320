"""What is sent, and whether it may be sent again: no socket, no clock.

The trap is to read "no answer" as "nothing happened". It is neither yes nor no, and only a request
that is the same request for the gateway, however often it comes, may follow it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

TRIES_MAX: Final = 5
# Nobody waits longer than this for one answer; a halted market is told by its code, not by waiting.
WAIT_S_MAX: Final = 30.0
# Between two tries after no answer at all: doubled each time.
WAIT_S: Final = 0.2
SERVER_AWAY: Final = frozenset({502, 504})  # a proxy's words: the gateway says neither
ERROR: Final = 400
# The gateway's promise that nothing was done, so that even an amendment may come again.
NOTHING_DONE: Final = frozenset({"quota-exceeded", "overloaded", "draining"})


class ApiError(Exception):
    """The gateway refused: `problem` is its whole answer, `code` the stable word in it."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", "unreadable"))
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")


class OutcomeUnknown(Exception):
    """No answer came: it may have been done. Look, or send the very same again."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `repeats`: however often it comes, it is done once."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> dict[str, Any]:
        """Return the document, or raise what went wrong."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            found = {"detail": "the answer is no JSON"}
        if self.status >= ERROR:
            raise ApiError(self.status, found if isinstance(found, dict) else {})
        assert isinstance(found, dict), "every document of the API is an object"
        return found

    @property
    def code(self) -> str:
        try:
            return str(json.loads(self.body)["code"])
        except (ValueError, KeyError, TypeError):
            return ""

    @property
    def is_retryable(self) -> bool:
        """Whether the gateway says that trying again may help."""
        try:
            return json.loads(self.body)["retryable"] is True
        except (ValueError, KeyError, TypeError):
            return self.status in SERVER_AWAY


def wait_before(request: Request, answer: Answer | None, tried: int) -> float | None:
    """Return how long to wait before the next try; None: this is the answer. `tried` from 1."""
    if tried >= TRIES_MAX:
        return None
    if answer is None:
        return WAIT_S * 2 ** (tried - 1) if request.repeats else None
    if not answer.is_retryable or not (request.repeats or answer.code in NOTHING_DONE):
        return None
    told = answer.headers.get("retry-after", "")
    wait_s = float(told) if told.isascii() and told.isdigit() else WAIT_S * 2 ** (tried - 1)
    return wait_s if wait_s <= WAIT_S_MAX else None


def place(order: Mapping[str, Any]) -> Request:
    """One order, under the client's own id: the same id is the same order, for ever."""
    _named(order)
    return _post("/v1/orders", order)


def place_all(orders: Sequence[Mapping[str, Any]], list_id: str | None = None) -> Request:
    """Return a batch: each order is taken or refused by itself."""
    for order in orders:
        _named(order)
    listed = {} if list_id is None else {"list_id": list_id}
    return _post("/v1/orders/batch", {**listed, "orders": list(orders)})


def amend(order_id: str, version: int, terms: Mapping[str, str]) -> Request:
    """Return new terms for the version that was seen; a second try could meet the first one."""
    headers = {"If-Match": f'"v{version}"', "Content-Type": "application/json"}
    path = f"/v1/orders/{_part(order_id)}"
    return Request("PATCH", path, json.dumps(terms).encode(), headers, repeats=False)


def cancel(order_id: str) -> Request:
    return Request("DELETE", f"/v1/orders/{_part(order_id)}")


def mass_cancel(request_id: str, scope: Mapping[str, str]) -> Request:
    """Cancel a scope; under its id it touches nothing that is placed later."""
    return _post("/v1/orders/mass-cancel", {"request_id": request_id, **scope})


def get(path: str, **asked: object) -> Request:
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return Request("GET", f"{path}?{query}" if query else path)


def one(order_id: str) -> Request:
    return get(f"/v1/orders/{_part(order_id)}")


def by_client_order_id(account_id: str, client_order_id: str) -> Request:
    account, client = _part(account_id), _part(client_order_id)
    return get(f"/v1/accounts/{account}/orders/by-client-order-id/{client}")


def _post(path: str, document: object) -> Request:
    body = json.dumps(document).encode()
    return Request("POST", path, body, {"Content-Type": "application/json"})


def _named(order: Mapping[str, Any]) -> None:
    if not order.get("client_order_id"):
        raise ValueError("expected a client_order_id: without one a second try is a second order")


def _part(text: str) -> str:
    return quote(text, safe="")
