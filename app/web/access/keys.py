"""Who calls, what they may do, and for which accounts.

A key is `ob_live_<id>_<secret>`. The file holds the secret only as an HMAC under a pepper that
lies beside it, readable by us alone, so that a copied key file opens nothing. An unknown id is
compared like a known one, in the same time. The file is read again when it changes, so a
revoked key dies within a second without a restart; a file that cannot be read changes nothing,
because a slip of an editor at the open must not lock every client out.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.clock import Clock
from app.domain.errors import Code, Refused
from app.web.access.keyfile import (
    KNOWN,
    BadKeyFile,
    KeyRecord,
    digest_of,
    pepper_path,
    read_keys,
    read_pepper,
    revoke_key,
)
from app.web.access.networks import lies_in

EVERY_ACCOUNT: Final = "*"
SUBJECT: Final = "jwt:"  # how the `key_id` of whoever carries a token begins; a key's has no colon
HOUR_MS: Final = 3_600_000
CHECK_EVERY_NS: Final = 1_000_000_000
EXPECTED: Final = "expected Authorization: Bearer and a whole key, ob_live_… or ob_test_…"
_BEARER: Final = re.compile(r"[Bb]earer ob_(live|test)_([0-9a-f]{20})_([0-9a-f]{64})")
_SEALED: Final = re.compile(r"([0-9a-f]{20})\.([0-9]{1,18})\.([0-9a-f]{64})")
# Compared with when no key has this id, so that both cases take the same time.
_NOBODY: Final = KeyRecord(
    id="", kind="", name="", digest="0" * 64, scopes=[], accounts=[], created_at=0
)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose key or token was good. `name` is the person or program.

    Two keys may share a name. Whom the issuer of tokens knows is named by that (`persons.py`), and
    all his tokens have one `key_id`.
    """

    key_id: str
    name: str
    scopes: frozenset[str]
    accounts: frozenset[str]
    until: int | None = None  # when the token ends; a key can end at any time

    def sees(self, account_id: str) -> bool:
        """Return whether this caller may know anything of the account."""
        return account_id in self.accounts or EVERY_ACCOUNT in self.accounts

    def sees_halt(self, scope: str, target: str) -> bool:
        """Return whether this caller may know of a halt: it may name a foreign account."""
        return scope != "account" or self.sees(target)


NOBODY: Final = Principal("", "", frozenset(), frozenset())


def authorize(principal: Principal, scope: str, account_id: str | None = None) -> None:
    """Let the caller pass, or raise `Refused`; every handler asks here and nowhere else.

    What belongs to a foreign account is not there: the same answer as for an id that nobody
    has, so that nothing can be learned by guessing.
    """
    if scope not in principal.scopes:
        raise Refused(Code.SCOPE_MISSING, f"this call needs the scope {scope}", scope=scope)
    if account_id is not None and not principal.sees(account_id):
        raise not_there()


def must_see_all(principal: Principal, scope: str) -> None:
    """Refuse who sees some accounts alone: what is shown here is not told apart by account."""
    if not principal.sees(EVERY_ACCOUNT):
        detail = f"{scope} shows every account here, and this key sees some of them"
        raise Refused(Code.SCOPE_MISSING, detail, scope=scope)


def not_there() -> Refused:
    """Return the one refusal for what does not exist and for what is not the caller's."""
    return Refused(Code.NOT_FOUND, "no such resource, or it is not yours")


class Keyring:
    """The keys of one file, as they stand now."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Read the file; raise `BadKeyFile` if it is there and cannot be trusted."""
        self._path = path
        self._clock = clock
        self._keys: Mapping[str, tuple[KeyRecord, Principal]] = {}
        self._pepper = b""
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._checked_ns = clock.monotonic_ns()
        self.trouble: str | None = None  # why the newest file is not in force
        self.used: dict[str, int] = {}  # the hour of each key's last use: see `key_usage.py`
        self._read()

    def principal(self, authorization: str, address: str = "") -> Principal:
        """Return whose key this `Authorization` header carries, or raise `Refused`.

        A key that may come from some networks alone comes from `address`. Elsewhere it is like one
        that nobody knows: whoever has stolen it learns nothing.
        """
        self._look_again()
        found = _BEARER.fullmatch(authorization)
        if found is None:
            raise Refused(Code.UNAUTHENTICATED, EXPECTED)
        kind, key_id, secret = found.groups()
        record, principal = self._keys.get(key_id, (_NOBODY, NOBODY))
        if not hmac.compare_digest(digest_of(self._pepper, secret), record.digest):
            raise _refused()
        if record.kind != kind or not self._stands(record) or not _may_come(record, address):
            raise _refused()
        self._note(key_id)
        return principal

    def records(self) -> list[KeyRecord]:
        """Return every key of the file, ended ones too."""
        self._look_again()
        return [record for record, _ in self._keys.values()]

    def revoke(self, key_id: str) -> KeyRecord:
        """End a key in the file, and here at once; it waits for the disk."""
        revoked = revoke_key(self._path, key_id)
        self._read()
        return revoked

    def standing(self, key_id: str) -> Principal | None:
        """Return who a key is, while it stands."""
        self._look_again()
        record, principal = self._keys.get(key_id, (_NOBODY, NOBODY))
        return principal if self._stands(record) else None

    def sealed(self, key_id: str, until: int) -> str:
        """Return what lets a browser come back without the key: who, until when, and our seal."""
        record, _ = self._keys[key_id]
        return f"{key_id}.{until}.{self._seal(record, until)}"

    def unsealed(self, sealed: str, address: str = "") -> Principal:
        """Return whose seal this is, or raise `Refused`: it ends with its time or with its key."""
        self._look_again()
        found = _SEALED.fullmatch(sealed)
        if found is None:
            raise _refused()
        key_id, until, seal = found.groups()
        record, principal = self._keys.get(key_id, (_NOBODY, NOBODY))
        if not hmac.compare_digest(self._seal(record, int(until)), seal):
            raise _refused()
        if int(until) <= self._clock.now() or not self._stands(record):
            raise _refused()
        if not _may_come(record, address):
            raise _refused()
        self._note(key_id)
        return principal

    def _note(self, key_id: str) -> None:
        self.used[key_id] = self._clock.now() // HOUR_MS * HOUR_MS

    def _seal(self, record: KeyRecord, until: int) -> str:
        # The digest is in it, so that a seal dies with the secret that it stands for. No secret
        # begins like this, so a seal is never the digest of one.
        return digest_of(self._pepper, f"console {record.id} {until} {record.digest}")

    def _stands(self, record: KeyRecord) -> bool:
        expired = record.expires_at is not None and record.expires_at <= self._clock.now()
        return record is not _NOBODY and not record.revoked and not expired

    def _look_again(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._checked_ns >= CHECK_EVERY_NS:
            self._checked_ns = now_ns
            self._refresh()

    def _refresh(self) -> None:
        try:
            if self._stamped() != self._stamp:
                self._read()
                self.trouble = None
        except BadKeyFile as e:
            self.trouble = str(e)

    def _read(self) -> None:
        stamp = self._stamped()
        records = read_keys(self._path)
        pepper = read_pepper(self._path) if records else b""
        self._keys = {record.id: (record, _principal(record)) for record in records}
        self._pepper, self._stamp = pepper, stamp

    def _stamped(self) -> tuple[tuple[int, int], ...]:
        found = []
        for path in (self._path, pepper_path(self._path)):
            try:
                status = path.stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_ino))
        return tuple(found)


def _principal(record: KeyRecord) -> Principal:
    name = record.name if record.person is None else KNOWN + record.person
    return Principal(record.id, name, frozenset(record.scopes), frozenset(record.accounts))


def _may_come(record: KeyRecord, address: str) -> bool:
    return not record.networks or lies_in(address, record.networks)


def _refused() -> Refused:
    return Refused(Code.UNAUTHENTICATED, "the key is unknown, expired or revoked")
