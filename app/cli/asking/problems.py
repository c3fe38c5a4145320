"""What a gateway refuses, and its silence, as sentences and exit codes.

Two things are never the same here: a refusal, after which nothing was done, and a change that
got no answer, which may have been done. The second has an exit code of its own, because the trap
is a script that repeats it like the first.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin

from app.cli.asking.difference import now_said
from app.cli.asking.output import Ends, Failure

BUSY: Final = (429, 502, 503, 504)
STALE: Final = 412
SERVER_FAILED: Final = 500
_ENDS: Final = {
    401: Ends.AUTHENTICATION,
    403: Ends.AUTHENTICATION,
    404: Ends.NOT_FOUND,
    409: Ends.CONFLICT,
    412: Ends.CONFLICT,
    **dict.fromkeys(BUSY, Ends.TRY_AGAIN),
}
_ADVICE: Final = {
    "unauthenticated": "give a valid key: --key, OPENBELL_KEY or openbell context add",
    "scope-missing": "use a key that has the scope: openbell key list",
    "not-found": "check the id, and that the key may see it",
    "client-order-id-conflict": "use a new id for a new order; look at the one that exists",
    "order-terminal": "nothing is left to do: openbell order get shows how it ended",
    "stale-version": "decide again by what stands there now; the same command reads it anew",
    "if-match-required": "look at what it changes; openbell api sends its ETag with --if-match",
    "confirm-required": "name what it moves, exactly; openbell api sends it with --confirm",
    "selection-grew": "make the dry run again, and look at what has come",
    "prechecks-failed": "openbell failover plan shows every check; --force goes in spite of them",
    "second-principal-required": "ask another person, with another key, to do it",
    "doubt-settled": "evidence came first: openbell order get shows where it stands",
    "not-stray": "openbell stray list shows what is held for a copy, and of which attempts",
    "trading-halted": "openbell halt status shows who halted and why",
    "session-closed": "name a session: openbell session next",
    "commit-outcome-unknown": "send the same order again under the same client_order_id",
    "internal-error": "look the request id up in the gateway's log",
}
_ADVICE_BY_STATUS: Final = {
    401: _ADVICE["unauthenticated"],
    403: _ADVICE["scope-missing"],
    404: _ADVICE["not-found"],
    409: "look at what stands there now, and decide again",
    412: _ADVICE["stale-version"],
    **dict.fromkeys(BUSY, "try again in a moment; nothing is wrong with the request"),
}
START_IT: Final = "start the gateway (openbell serve), or name another: --url, --context"
LOOK_FIRST: Final = "it may have been carried out: look before you repeat it"
REPEAT_IT: Final = "run the same command again: the client_order_id keeps the order single"
ASK_AGAIN: Final = "ask again; if it stays silent: openbell doctor, and the gateway's log"


class Problem(Failure):
    """A refusal, as problem+json tells it."""

    def __init__(
        self,
        url: str,
        status: int,
        document: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        changes: bool = True,
    ) -> None:
        code = str(document.get("code", ""))
        retry_after = headers.get("retry-after", document.get("retry_after"))
        super().__init__(
            _ends(status, changes=changes),
            f"{document.get('title') or 'refused'} ({status} {code})".replace(" )", ")"),
            why=_why(document),
            advice=_ADVICE.get(code)
            or _ADVICE_BY_STATUS.get(status, "correct what is named above, and send it again"),
            request_id=str(document.get("request_id") or headers.get("x-request-id", "")),
            url=urljoin(url, str(document["doc_url"])) if document.get("doc_url") else "",
        )
        self.status = status
        self.code = code
        self.document = document
        self.retry_after_s = _seconds(retry_after)

    def compare(self, seen: Mapping[str, Any]) -> None:
        """Say what stands there now, if the change was decided on what no longer does."""
        if self.status == STALE:
            self.now = now_said(seen, (self.document.get("context") or {}).get("current"))


class Unreachable(Failure):
    """Nobody answered; `maybe_sent` says whether the request may have been carried out.

    `changes` says whether that matters: what only asks changes nothing, whoever heard it.
    """

    def __init__(
        self, url: str, why: str, *, maybe_sent: bool, changes: bool = True, advice: str = ""
    ) -> None:
        in_doubt = maybe_sent and changes
        usual = LOOK_FIRST if in_doubt else ASK_AGAIN if maybe_sent else START_IT
        super().__init__(
            Ends.IN_DOUBT if in_doubt else Ends.UNREACHABLE,
            f"no answer from {url}",
            why=why,
            advice=advice or usual,
        )
        self.maybe_sent = maybe_sent


def _ends(status: int, *, changes: bool) -> Ends:
    if status == SERVER_FAILED:
        # It broke while it worked on this: nobody can say how far it had come.
        return Ends.IN_DOUBT if changes else Ends.FAILED_CHECK
    return _ENDS.get(status, Ends.REFUSED)


def _why(document: Mapping[str, Any]) -> str:
    """Return the detail, each place in the body, and the facts that a refusal carries."""
    context = document.get("context") or {}
    errors = [error for error in document.get("errors") or () if isinstance(error, dict)]
    detail, title = (str(document.get(name) or "") for name in ("detail", "title"))
    if detail.casefold().rstrip(".") == title.casefold().rstrip("."):
        # It would be the line above once more: where it was asked says more.
        detail = str(document.get("instance") or detail).partition("#")[0]
    told = [
        detail,
        # The first of them is the detail itself.
        *(
            f"{str(error.get('pointer')).removeprefix('#/')}: {error.get('detail')}"
            for error in errors[1:]
        ),
        # What has parts of its own is for programs: -o json of the command that shows it.
        *(f"{name}: {fact}" for name, fact in context.items() if not isinstance(fact, dict | list)),
    ]
    return "; ".join(text for text in told if text)


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:  # a date, or nothing: wait as we would have
        return None
    return seconds if 0 <= seconds < float("inf") else None
