"""Tells people in Slack: by an incoming webhook, or as a bot that keeps one message an incident.

    webhook   POST text and blocks ─► `ok`; no edits, no threads: each news is a message
    bot       chat.postMessage ─► ts; later chat.update of that message, and a reply under it,
              because an edit makes no sound

The webhook's address and the bot's token are secrets, and whoever has one can post: neither
stands in a log, an error or a repr. So nothing here quotes a library's error, which may hold the
address, redirects are not followed, and what Slack says is cut, and cleaned of both.

An answer that was lost may have been a yes; the message is sent again, because twice is better
than never.
"""

import asyncio
from typing import Any, Final

import aiohttp

from app import codec
from app.alarms.alarm import Answer, Later, Never, Told
from app.alarms.message import Message
from app.alarms.payload import payload, thread_text
from app.settings import SlackSettings

TIMEOUT_S: Final = 10.0
CONNECT_S: Final = 3.0
BODY_BYTES_MAX: Final = 64 << 10
SAID_MAX: Final = 120
# The words of a webhook's path are secret from here: `services` is not, its ids and key are.
SECRET_MIN: Final = 9
OK: Final = 200
TOO_MANY: Final = 429
BROKEN: Final = 500
# What Slack says of itself and not of the message.
PASSING: Final = frozenset(
    {
        "fatal_error",
        "internal_error",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
    }
)
# The message of the incident is gone, or too old to be edited: a new one takes its place.
GONE: Final = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})
# A wish to be left alone for longer than this is not granted: somebody must hear in the end.
AFTER_S_MAX: Final = 300.0


class SlackAlarm:
    """One channel in Slack."""

    pause_s = 1.0  # Slack's own figure, for a channel and for a webhook

    def __init__(self, settings: SlackSettings) -> None:
        self._webhook = settings.webhook_url
        self._token = settings.bot_token
        self._channel = settings.channel
        self._api = settings.api_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def tell(self, message: Message, thread: str | None) -> Answer:
        """Post it, or bring the incident's message up to date and add a reply."""
        body = payload(message)
        if self._webhook is not None:
            return await self._post(self._webhook.get_secret_value(), body)
        if thread is None:
            return await self._call("chat.postMessage", {"channel": self._channel, **body})
        channel, _, ts = thread.partition(":")
        answer = await self._call("chat.update", {"channel": channel, "ts": ts, **body})
        if isinstance(answer, Never) and answer.cause in GONE:
            await asyncio.sleep(self.pause_s)
            return await self._call("chat.postMessage", {"channel": self._channel, **body})
        if not isinstance(answer, Told):
            return answer
        await asyncio.sleep(self.pause_s)
        reply = {"channel": channel, "thread_ts": ts, "text": thread_text(message)}
        answer = await self._call("chat.postMessage", reply)
        return answer._replace(thread=thread) if isinstance(answer, Told) else answer

    async def close(self) -> None:
        """Close idle connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(self, method: str, body: dict[str, Any]) -> Answer:
        assert self._token is not None
        return await self._post(f"{self._api}/{method}", body, self._token.get_secret_value())

    async def _post(self, url: str, body: dict[str, Any], token: str | None = None) -> Answer:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._opened().post(
                url, data=codec.encode(body), headers=headers, allow_redirects=False
            ) as reply:
                said = await reply.content.read(BODY_BYTES_MAX)
        except (aiohttp.ClientError, OSError, ValueError) as e:  # TimeoutError is an OSError
            return Later(_named(e))
        if reply.status == TOO_MANY:
            return Later("429: too many messages", _after_s(reply.headers.get("Retry-After")))
        if reply.status >= BROKEN:
            return Later(f"HTTP {reply.status}")
        if token is None:
            return self._of_webhook(reply.status, said)
        return self._of_api(reply.status, said)

    def _of_webhook(self, status: int, said: bytes) -> Answer:
        if status == OK:
            return Told("ok")
        return Never(f"HTTP {status}: {self._clean(said)}")

    def _of_api(self, status: int, said: bytes) -> Answer:
        """Read the Web API's answer: its yes and its no are both 200."""
        try:
            told = codec.decode(said)
            is_ok, error = told["ok"], str(told.get("error", ""))
            thread = f"{told['channel']}:{told['ts']}" if is_ok else None
        except (codec.Malformed, LookupError, TypeError, AttributeError, ValueError):
            cause = f"HTTP {status}: unreadable"
            return Later(cause) if status == OK else Never(cause)
        if is_ok:
            return Told("ok", thread)
        error = self._clean(error.encode())
        return Later(error) if error in PASSING else Never(error)

    def _clean(self, said: bytes) -> str:
        """Return what Slack said, without what it must not echo."""
        text = said.decode(errors="replace")
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return "".join(c for c in text if c.isprintable())[:SAID_MAX]

    def _secrets(self) -> list[str]:
        """Return what must not be told, the longest first: of an address, its parts as well."""
        if self._token is not None:
            return [self._token.get_secret_value()]
        assert self._webhook is not None
        url = self._webhook.get_secret_value()
        parts = [part for part in url.split("/")[3:] if len(part) >= SECRET_MIN]
        return [url, *sorted(parts, key=len, reverse=True)]

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_S),
                # A message an hour needs no connection in between.
                connector=aiohttp.TCPConnector(limit=1, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "openbell", "Accept-Encoding": "identity"},
            )
        return self._session


def _named(error: Exception) -> str:
    """Return what failed by its kind alone: its text may hold the address."""
    system = error.strerror if isinstance(error, OSError) and error.errno else None
    return f"{type(error).__name__}: {system}" if system else type(error).__name__


def _after_s(value: str | None) -> float | None:
    try:
        return min(AFTER_S_MAX, max(0.0, float(value or "")))
    except ValueError:
        return None
