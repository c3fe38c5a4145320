"""The answer that was given stands: the same Idempotency-Key gets it again, and nothing is done.

Kept by this process for a day, in 64 MiB at most, the oldest going first. That is comfort and no
promise: what must never happen twice has a promise of its own (`client_order_id`, If-Match, the
`request_id` of a mass cancel), so a key that was forgotten, or that meets another process, is safe
too. The trap would be to lean on it, or to keep a failure: what was refused, or broke before it was
durable, changed nothing and is simply tried again.
"""

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from app.clock import Clock
from app.domain.errors import Code, Refused
from app.web.problems import invalid_at
from app.web.spec import Reply

KEPT_MS: Final = 86_400_000
BYTES_MAX: Final = 64 << 20
# What an entry costs beside its body: the key, the hash, the headers.
ENTRY_BYTES: Final = 1_024
SERVER_FAULT: Final = 500
REPLAYED: Final = (b"idempotent-replayed", b"true")
# A bare token, or a string of RFC 8941 in quotes.
_KEY: Final = re.compile(r'"[ !#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255}', re.ASCII)


@dataclass(slots=True)
class _Kept:
    fingerprint: bytes
    at: int
    reply: Reply | None = None  # None: it is being worked on

    @property
    def size(self) -> int:
        return ENTRY_BYTES + (0 if self.reply is None else len(self.reply.body))


class Replays:
    """The answers of the last day, by API key and Idempotency-Key."""

    def __init__(self, clock: Clock, bytes_max: int = BYTES_MAX) -> None:
        self._clock = clock
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def begin(self, key_id: str, key: str, *request: bytes) -> Reply | None:
        """Return the first answer, or None: the request is new, and its answer is to be kept.

        Raises `Refused` for a key that came with another request, or whose first is not answered.
        """
        name = (key_id, _name_of(key))
        fingerprint = hashlib.sha256(b"\0".join(request)).digest()
        self._forget_old()
        known = self._kept.get(name)
        if known is None:
            self._keep(name, _Kept(fingerprint, self._clock.now()))
            return None
        if known.fingerprint != fingerprint:
            raise Refused(
                Code.IDEMPOTENCY_KEY_REUSED, "this Idempotency-Key came with another request"
            )
        if known.reply is None:
            raise Refused(Code.REQUEST_IN_PROGRESS, "the first request is not answered yet")
        first = known.reply
        again = Reply(first.status, first.body)
        again.headers = [*first.headers, REPLAYED]
        return again

    def end(self, key_id: str, key: str, reply: Reply | None) -> None:
        """Keep the answer; forget the key if there is none that stands."""
        name = (key_id, _name_of(key))
        begun = self._kept.get(name)
        if begun is None:
            return
        self._drop(name)
        if reply is not None and reply.status < SERVER_FAULT:
            self._keep(name, _Kept(begun.fingerprint, begun.at, reply))

    def _keep(self, name: tuple[str, str], kept: _Kept) -> None:
        self._kept[name] = kept
        self._bytes += kept.size
        while self._bytes > self._bytes_max and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _forget_old(self) -> None:
        oldest = self._clock.now() - KEPT_MS
        while self._kept and next(iter(self._kept.values())).at < oldest:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: tuple[str, str]) -> None:
        self._bytes -= self._kept.pop(name).size


def _name_of(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise invalid_at("Idempotency-Key", "expected 1 to 255 letters of printable ASCII")
    return key.strip('"')
