"""Endpoints and deliveries at a terminal: what is asked of the doors."""

import json

import pytest
from aiohttp import web

from app.cli.asking.output import Ends
from tests.cli.conftest import Terminal
from tests.cli.gateway import KEY

ENDPOINT = {"endpoint_id": "we_1", "state": "enabled", "url": "https://hooks.example"}


@pytest.fixture
def here(terminal: Terminal) -> Terminal:
    """Return a terminal whose gateway has one endpoint, on its third version."""
    pages = [
        {"replayed": 500, "done": False, "next_since": "2026-11-23T15:00:00.000Z"},
        {"replayed": 7, "done": True, "next_since": None},
    ]

    def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/we_1/replay"):
            return web.json_response(pages.pop(0))
        if request.path.endswith("/deliveries"):
            row = {"delivery_id": "msg_1", "state": "failed", "last_status": 500}
            return web.json_response({"data": [row], "next_cursor": None})
        if request.path == "/v1/webhooks" and request.method == "GET":
            return web.json_response({"data": [ENDPOINT]})
        return web.json_response(ENDPOINT, headers={"ETag": '"v3"'})

    terminal.gateway.more["/v1/webhooks"] = answer
    return terminal


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (
            ("add", "https://hooks.example", "--type", "order.filled", "--account", "A-1"),
            (
                "POST",
                "/v1/webhooks",
                {"url": "https://hooks.example", "accounts": ["A-1"], "types": ["order.filled"]},
            ),
        ),
        (("list",), ("GET", "/v1/webhooks", {})),
        (("get", "we_1"), ("GET", "/v1/webhooks/we_1", {})),
        (("change", "we_1", "--disable"), ("PATCH", "/v1/webhooks/we_1", {"enabled": False})),
        (
            ("rotate", "we_1", "--overlap", "0"),
            ("POST", "/v1/webhooks/we_1/rotate-secret", {"overlap_s": 0}),
        ),
        (("test", "we_1"), ("POST", "/v1/webhooks/we_1/test", {})),
        (
            ("deliveries", "we_1", "--state", "failed"),
            ("GET", "/v1/webhooks/we_1/deliveries?limit=100&state=failed", {}),
        ),
        (("delivery", "we_1", "msg_1"), ("GET", "/v1/webhooks/we_1/deliveries/msg_1", {})),
        (
            ("replay", "we_1", "--delivery", "msg_1"),
            ("POST", "/v1/webhooks/we_1/deliveries/msg_1/replay", {}),
        ),
        (("remove", "we_1"), ("DELETE", "/v1/webhooks/we_1", {})),
    ],
)
def test_each_verb_asks_its_door_with_the_clients_key(
    here: Terminal, words: tuple[str, ...], asked: tuple[str, str, object]
) -> None:
    result = here.run("webhook", *words)

    assert result.exit_code == 0, result.output
    assert here.gateway.requests[-1] == asked
    assert here.gateway.headers[-1]["Authorization"] == f"Bearer {KEY}"
    changes = asked[0] in {"PATCH", "DELETE"} or asked[1].endswith("rotate-secret")
    assert here.gateway.headers[-1].get("If-Match") == ('"v3"' if changes else None)


def test_what_was_missed_is_told_until_there_is_no_more(here: Terminal) -> None:
    words = ("webhook", "replay", "we_1", "--since", "2026-11-23T14:30:00.000Z", "--json")

    result = here.run(*words)

    assert json.loads(result.stdout)["replayed"] == 507
    assert [body["since"][11:16] for *_, body in here.gateway.requests] == ["14:30", "15:00"]


@pytest.mark.parametrize("words", [("replay", "we_1"), ("change", "we_1"), ("add",)])
def test_what_is_not_named_is_not_guessed(here: Terminal, words: tuple[str, ...]) -> None:
    assert here.run("webhook", *words).exit_code == Ends.USAGE
    assert here.gateway.requests == []
