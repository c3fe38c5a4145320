"""Asks the gateway over HTTP; what it refuses is told by `problems`.

One rule is above all others: only `insist` repeats a request, only orders go through it, and
it repeats the same bytes, so that a repeated order carries the same `client_order_id` and the
gateway answers with the order that it has. The trap is a client that means well: it retries
under a fresh id after a time-out, and buys twice. Redirects are not followed, for they would
carry the key elsewhere. The standard library's client starts in a tenth of aiohttp's time.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from app.cli.asking.output import Ends, Failure, say
from app.cli.asking.patience import Patience
from app.cli.asking.problems import BUSY, REPEAT_IT, Problem, Unreachable

DEFAULT_URL: Final = "http://127.0.0.1:8080"
FIRST_KEYS: Final = "first-keys.json"
# Longer than the gateway takes for anything that it answers; a commit on a bad disk included.
TIMEOUT_S: Final = 30.0
# With the waits below about 40 s: a gateway that restarts is back by then, else a person looks.
ATTEMPTS_MAX: Final = 8
WAIT_FIRST_S: Final = 0.5
WAIT_MAX_S: Final = 10.0
# A gateway that asks for more than this is better asked again later by whoever runs us.
RETRY_AFTER_MAX_S: Final = 60.0
PAGE: Final = 1_000
# Some server or proxy on the way ends a line that rests for five seconds, and a change that meets
# that end is in doubt for nothing.
REST_S_MAX: Final = 3.0
OK: Final = 200
# What is asked with these changes nothing, so it is never in doubt.
ASKING: Final = ("GET", "HEAD")


class Reply(NamedTuple):
    """What the gateway answered, when it did what was asked."""

    status: int
    document: Any
    headers: Mapping[str, str]


class Client:
    """One gateway, one key."""

    def __init__(
        self,
        url: str,
        key: str,
        pause: Callable[[float], None] = time.sleep,
        timeout_s: float = TIMEOUT_S,
        via: str = "",
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = parts_of(url)
        assert parts.hostname is not None, "parts_of has looked"
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        self._now_s = now_s
        self._rests_since = 0.0
        self._url = url
        # Who gave this URL is the first question when nobody answers there.
        self._place = f"{url} ({via})" if via else url
        self._prefix = parts.path.rstrip("/")
        self.key = key
        self._pause = pause
        self._timeout_s = timeout_s
        # Where somebody waits for the whole of all answers; else each byte has its own time.
        self.patience: Patience | None = None
        self._has_answered = False

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send once, and return the reply or raise `Problem` or `Unreachable`."""
        sent = {
            "Authorization": f"Bearer {self.key}",
            "Accept": "application/json, application/problem+json",
            "User-Agent": "openbell-cli",
            **(headers or {}),
        }
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, got, raw = self._exchange(method, self._prefix + path, body, sent)
        self._has_answered = True
        document = _decoded(raw)
        if not 200 <= status < 300:  # noqa: PLR2004 - the class of success
            problem = document if isinstance(document, dict) else {}
            raise Problem(self._url, status, problem, got, changes=method not in ASKING)
        if raw and document is None:
            raise Failure(
                Ends.UNREACHABLE,
                f"what answers at {self._place} is not openbell",
                why=f"{method} {path} gave {status} without JSON",
                advice="check --url, OPENBELL_URL and openbell context list",
            )
        return Reply(status, document, got)

    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """Yield the lines of an answer that goes on, until the gateway or the reader ends it."""
        sent = {
            "Authorization": f"Bearer {self.key}",
            "Accept": "text/event-stream, application/problem+json",
            **headers,
        }
        try:
            self._wait_at_most()
            self._connection.request("GET", self._prefix + path, None, sent)
            reply = self._connection.getresponse()
            if reply.status != OK:
                problem = _decoded(reply.read())
                got = {name.lower(): value for name, value in reply.getheaders()}
                found = problem if isinstance(problem, dict) else {}
                raise Problem(self._url, reply.status, found, got, changes=False)
            while line := reply.readline():
                if self.patience is not None:
                    self.patience.spend(len(line))
                yield line.rstrip(b"\r\n")
        except (OSError, HTTPException) as e:
            self._fail(e, "GET", maybe_sent=True)
        finally:
            self._connection.close()

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        try:
            if self._now_s() - self._rests_since > REST_S_MAX:
                self._connection.close()
            self._wait_at_most()
            if self._connection.sock is None:
                self._connection.connect()
        except (OSError, HTTPException) as e:
            self._fail(e, method, maybe_sent=False)
        try:
            self._connection.request(method, target, body, dict(headers))
            reply: HTTPResponse = self._connection.getresponse()
            got = {name.lower(): value for name, value in reply.getheaders()}
            raw = reply.read() if self.patience is None else self.patience.read(reply)
        except (OSError, HTTPException) as e:
            self._fail(e, method, maybe_sent=True)
        self._rests_since = self._now_s()
        return reply.status, got, raw

    def _wait_at_most(self) -> None:
        """Let the line wait for a byte as long as whoever waits for the whole."""
        if self.patience is not None:
            self._connection.timeout = min(self._timeout_s, self.patience.left_s())
            if self._connection.sock is not None:
                self._connection.sock.settimeout(self._connection.timeout)

    def _fail(self, e: Exception, method: str, *, maybe_sent: bool) -> NoReturn:
        self._connection.close()
        changes = method not in ASKING
        why = f"{e}" or type(e).__name__
        raise Unreachable(self._place, why, maybe_sent=maybe_sent, changes=changes) from e

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def get(self, path: str, **query: object) -> Any:
        """Return the document at `path`."""
        return self.call("GET", with_query(path, query)).document

    def pages(
        self, path: str, rows_max: int, page_max: int = PAGE, **query: object
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a listing, page after page."""
        cursor = None
        while rows_max > 0:
            limit = min(rows_max, page_max)
            page = self.get(path, limit=limit, cursor=cursor, **query)
            yield from page["data"][:limit]
            rows_max -= len(page["data"])
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def change(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        seen: str,
        confirm: str | None = None,
    ) -> Reply:
        """Change what stands at `seen`, provided that nobody else changes it meanwhile."""
        found = self.call("GET", seen)
        etag = found.headers.get("etag")
        headers = {"If-Match": etag} if etag else {}
        headers |= {"X-Confirm": confirm} if confirm else {}
        try:
            return self.call(method, path, body, headers)
        except Problem as e:
            e.compare(found.document)
            raise

    def insist(self, path: str, body: bytes) -> Reply:
        """POST orders until they are answered, always the same bytes under the same ids."""
        maybe_taken = False
        for attempt in range(1, ATTEMPTS_MAX + 1):
            last = attempt == ATTEMPTS_MAX
            try:
                return self.call("POST", path, body)
            except Problem as e:
                if last or e.status not in BUSY:
                    raise
                self.wait(attempt, e.retry_after_s, e.code or str(e.status))
            except Unreachable as e:
                maybe_taken |= e.maybe_sent
                # Nobody has ever answered and nothing was sent: it is simply not there.
                if not (maybe_taken or self._has_answered):
                    raise
                if last:
                    raise Unreachable(
                        self._place, e.why, maybe_sent=maybe_taken, advice=REPEAT_IT
                    ) from e
                self.wait(attempt, None, e.why)
        raise AssertionError("the last attempt returns or raises")

    def wait(self, attempt: int, retry_after_s: float | None, why: str) -> None:
        """Wait as long as the gateway asks, else longer each time."""
        backoff = min(WAIT_FIRST_S * 2.0 ** (attempt - 1), WAIT_MAX_S)
        seconds = backoff if retry_after_s is None else min(retry_after_s, RETRY_AFTER_MAX_S)
        say(f"waiting {seconds:g} s, then the same again ({why}), {attempt} of {ATTEMPTS_MAX - 1}")
        self.pause(seconds)

    def pause(self, seconds: float) -> None:
        self._pause(seconds)


def parts_of(url: str) -> SplitResult:
    """Return the parts of the gateway's URL, or say what is expected of one."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or brackets that do not close
        good = False
    if not good or "@" in parts.netloc:
        raise Failure(Ends.USAGE, f"expected a URL such as {DEFAULT_URL}, was {url}")
    return parts


def key_of(role: str, data_dir: Path) -> str:
    """Return the key that the first start wrote for this role, or say how to give one."""
    path = data_dir / FIRST_KEYS
    try:
        keys = json.loads(path.read_text("utf-8"))
        key = keys[role]
    except (OSError, ValueError, KeyError, TypeError) as e:
        reason = "it is not there" if isinstance(e, OSError) else f"it has no {role} key"
        raise Failure(
            Ends.AUTHENTICATION,
            "no API key",
            why=f"neither --key nor OPENBELL_KEY is given, and of {path}: {reason}",
            advice="give --key, or --data-dir where the gateway keeps its data;"
            " openbell context add remembers both",
        ) from e
    return str(key)


def segment(text: str) -> str:
    """Return an id as one segment of a path, whatever stands in it."""
    return quote(text, safe="")


def with_query(path: str, query: Mapping[str, object]) -> str:
    """Return the path with those parameters that have a value."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None
