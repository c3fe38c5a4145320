"""A Slack over real HTTP that is as strict as the real one, and remembers what it was told.

Its limits are Slack's published ones, spelled out here and not imported: a wrong constant of
ours must not agree with itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HOOK = "/services/T0/B0/hook-secret-XYZ"
TOKEN = "xoxb-token-secret-XYZ"
SECRETS = ("hook-secret-XYZ", "token-secret-XYZ")


@dataclass
class FakeSlack:
    """One workspace with one channel."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    # What the next requests meet, before anything else is looked at: (status, headers, body).
    scripted: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    url: str = ""
    gone: set[str] = field(default_factory=set)

    @property
    def webhook(self) -> str:
        return self.url + HOOK

    @property
    def messages(self) -> dict[str, dict[str, Any]]:
        """What people see, by ts: replies are messages too."""
        seen = {str(number): post for number, post in enumerate(self.posts, 1)}
        return seen | {update["ts"]: update for update in self.updates}


def broken_limit(body: dict[str, Any]) -> str | None:
    """Return which of Slack's limits a message breaks."""
    blocks = body.get("blocks", [])
    if not body.get("text") or len(body["text"]) > 40_000:
        return "no_text"
    if len(blocks) > 50:
        return "too many blocks"
    if sum(len(str(block)) for block in blocks) > 13_200:
        return "msg_blocks_too_long"
    return next((found for found in map(_broken, blocks) if found), None)


def _broken(block: dict[str, Any]) -> str | None:
    kind = block["type"]
    if kind == "header":
        return _text(block["text"], "plain_text", 150)
    if kind == "section":
        fields = block.get("fields", [])
        if (not fields and "text" not in block) or len(fields) > 10:
            return "section"
        found = _text(block["text"], "mrkdwn", 3000) if "text" in block else None
        return found or next((f for f in (_text(t, "mrkdwn", 2000) for t in fields) if f), None)
    if kind == "context":
        return None if 0 < len(block["elements"]) <= 10 else "context"
    if kind == "actions":
        buttons = block["elements"]
        ok = 0 < len(buttons) <= 25 and all(
            not _text(b["text"], "plain_text", 75) and 0 < len(b["url"]) <= 3000 for b in buttons
        )
        return None if ok else "actions"
    return f"unknown block {kind}"


def _text(text: dict[str, Any], kind: str, limit: int) -> str | None:
    return None if text["type"] == kind and 0 < len(text["text"]) <= limit else f"{kind} {limit}"


@asynccontextmanager
async def fake_slack() -> AsyncIterator[FakeSlack]:
    """Run one on a free port of this machine."""
    slack = FakeSlack()
    app = web.Application()

    async def answer(request: web.Request) -> web.Response:
        return await _answer(slack, request)

    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    slack.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield slack
    finally:
        await runner.cleanup()


async def _answer(slack: FakeSlack, request: web.Request) -> web.Response:
    body = await request.json()
    if slack.scripted:
        status, headers, text = slack.scripted.pop(0)
        return web.Response(status=status, headers=headers, text=text)
    if request.path.startswith("/api/"):
        return web.json_response(_method(slack, request, body))
    if request.path != HOOK:
        return web.Response(status=404, text="no_service")
    if broken_limit(body):
        return web.Response(status=400, text="invalid_payload")
    slack.posts.append(body)
    return web.Response(text="ok")


def _method(slack: FakeSlack, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return {"ok": False, "error": "invalid_auth"}
    if "blocks" in body and (broken := broken_limit(body)):
        return {"ok": False, "error": "invalid_blocks", "detail": broken}
    if request.path == "/api/chat.update":
        if body["ts"] in slack.gone or not body["ts"].isdecimal() or body["channel"] != "C1":
            return {"ok": False, "error": "message_not_found"}
        slack.updates.append(body)
        return {"ok": True, "channel": "C1", "ts": body["ts"]}
    if body["channel"] not in {"#desk", "C1"}:
        return {"ok": False, "error": "channel_not_found"}
    slack.posts.append(body)
    return {"ok": True, "channel": "C1", "ts": str(len(slack.posts))}
