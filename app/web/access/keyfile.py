"""The file of API keys: made, changed and read here; `openbell key` is its hand.

    keys.json     id, HMAC of the secret, scopes, accounts: useless without the pepper
    keys.pepper   256 random bits, 0600: useless without the secrets

A change is a new file that takes the old one's place, so a reader never sees half of it. The
secret is shown once, when the key is made, and is nowhere afterwards.
"""

import fcntl
import hmac
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from app.clock import Clock
from app.domain.failover import OPENBELL
from app.web.access.networks import NETWORKS_MAX, network_of

SCOPES: Final = frozenset(
    {"orders:read", "orders:write", "audit:read", "admin:read", "admin:tune", "admin:halt"}
    | {"admin:resume", "admin:settle", "admin:keys", "admin:failover", "admin:approve"}
)
_VIEWER: Final = frozenset({"admin:read", "audit:read"})
# What a key of a role may do. A role is spelled out as scopes when the key is made, so that a
# role that grows in a later version gives nothing to the keys of today.
ROLES: Final = {
    "viewer": _VIEWER,
    "operator": _VIEWER | {"admin:tune", "admin:halt", "admin:failover", "admin:settle"},
    # Says yes or no to what another has proposed, and begins nothing.
    "approver": _VIEWER | {"admin:approve", "admin:resume", "admin:settle"},
}
assert all(scopes <= SCOPES for scopes in ROLES.values()), "a role is made of scopes"
OURS_ALONE: Final = 0o600
OTHERS: Final = 0o077
ID_BITS: Final = 80
SECRET_BITS: Final = 256
# As the issuer of tokens calls people: it is compared as it is, so no two may look alike.
KNOWN: Final = "oidc:"  # how the name begins of whoever the issuer knows; no other name does
PERSON: Final = re.compile(r"[!-~]{1,255}", re.ASCII)


class BadKeyFile(Exception):
    """A key file, or its pepper, that we will not trust."""


class KeyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key as the file holds it; `accounts` is a list of ids, or `["*"]`.

    What a key does not have is not written, so that a version that knows less can read it.
    """

    id: str
    kind: str  # live, test
    name: str
    digest: str  # HMAC-SHA256(pepper, secret), hexadecimal
    scopes: list[str]
    accounts: list[str]
    created_at: int
    expires_at: int | None = None
    revoked: bool = False
    person: str | None = None  # who holds it, as the issuer of operators' tokens calls him
    networks: list[str] = []  # where it may come from; none: anywhere


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[KeyRecord]


class Grant(NamedTuple):
    """What a new key is for."""

    name: str
    scopes: frozenset[str]
    accounts: tuple[str, ...]
    live: bool = False
    expires_at: int | None = None
    person: str | None = None
    networks: tuple[str, ...] = ()


def create_key(path: Path, grant: Grant, clock: Clock) -> str:
    """Add a key and return its token, which nobody can ever read again."""
    strange = grant.scopes - SCOPES
    if strange or not grant.scopes or not grant.name or not grant.accounts:
        raise ValueError(
            f"expected a name, accounts and scopes among {', '.join(sorted(SCOPES))};"
            f" unknown: {', '.join(sorted(strange)) or 'none'}"
        )
    if grant.person is not None and not PERSON.fullmatch(grant.person):
        raise ValueError("expected a person as the issuer calls him, in plain ASCII")
    if grant.name.startswith(KNOWN):
        raise ValueError(f"no name begins with {KNOWN}: give the person as a person")
    if grant.name == OPENBELL:
        raise ValueError(f"nobody is called {OPENBELL}: so is what the house does by itself")
    if len(grant.networks) > NETWORKS_MAX:
        raise ValueError(f"expected at most {NETWORKS_MAX} networks")
    grant = grant._replace(networks=tuple(map(network_of, grant.networks)))
    _make_pepper(path, clock)
    token, record = _minted(path, grant, clock)
    _change(path, lambda keys: [*keys, record])
    return token


class Rotated(NamedTuple):
    """A new key's token, and how the old one now stands."""

    token: str
    old: KeyRecord


def rotate_key(
    path: Path, key_id: str, clock: Clock, *, grace_ms: int, lives_ms: int | None = None
) -> Rotated:
    """Make the same key anew, and let the old one end after a while; both in one change.

    Raise `KeyError` if the file has none with this id, `ValueError` if it has ended. Without
    `lives_ms` the new one lives as long as the old one was to live. The trap is an old key that
    gets a longer life by it: its end only comes nearer.
    """
    now = clock.now()
    done: list[Rotated] = []

    def change(keys: list[KeyRecord]) -> list[KeyRecord]:
        old = {key.id: key for key in keys}[key_id]
        if old.revoked or (old.expires_at is not None and old.expires_at <= now):
            raise ValueError(f"{key_id} ({old.name}) has ended: it opens nothing to be renewed")
        life = lives_ms
        if life is None and old.expires_at is not None:
            life = old.expires_at - old.created_at
        ends_at = None if life is None else now + life
        grant = Grant(
            old.name,
            frozenset(old.scopes),
            tuple(old.accounts),
            old.kind == "live",
            ends_at,
            old.person,
            tuple(old.networks),
        )
        token, fresh = _minted(path, grant, clock)
        until = min(now + grace_ms, old.expires_at or now + grace_ms)
        ending = msgspec.structs.replace(old, expires_at=until)
        done.append(Rotated(token, ending))
        return [*(ending if key.id == key_id else key for key in keys), fresh]

    if not any(key.id == key_id for key in read_keys(path)):
        raise KeyError(key_id)
    _change(path, change)
    return done[-1]


def _minted(path: Path, grant: Grant, clock: Clock) -> tuple[str, KeyRecord]:
    """Return a new token, and what the file keeps of it."""
    secret = f"{clock.random_bits(SECRET_BITS):064x}"
    record = KeyRecord(
        id=f"{clock.random_bits(ID_BITS):020x}",
        kind="live" if grant.live else "test",
        name=grant.name,
        digest=digest_of(read_pepper(path), secret),
        scopes=sorted(grant.scopes),
        accounts=list(grant.accounts),
        created_at=clock.now(),
        expires_at=grant.expires_at,
        person=grant.person,
        networks=list(grant.networks),
    )
    return f"ob_{record.kind}_{record.id}_{secret}", record


def role_of(scopes: Collection[str]) -> str:
    """Return the role that has just these scopes; empty if none has."""
    return next((role for role, those in ROLES.items() if those == set(scopes)), "")


def revoke_key(path: Path, key_id: str) -> KeyRecord:
    """Revoke a key; raise `KeyError` if the file has none with this id."""
    found = {key.id: key for key in read_keys(path)}
    revoked = msgspec.structs.replace(found[key_id], revoked=True)
    _change(path, lambda keys: [revoked if key.id == key_id else key for key in keys])
    return revoked


def read_keys(path: Path) -> list[KeyRecord]:
    """Return every key of the file; none if there is no file yet."""
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=_KeyFile).keys
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as e:  # what is no UTF-8 is no error of msgspec's own
        raise BadKeyFile(f"{path}: {e}") from e
    for key in keys:
        if not SCOPES.issuperset(key.scopes):
            raise BadKeyFile(f"{path}: key {key.id} has a scope that we do not know")
        try:
            list(map(network_of, key.networks))
        except ValueError as e:
            raise BadKeyFile(f"{path}: key {key.id}: {e}") from e
    return keys


def read_pepper(path: Path) -> bytes:
    """Return the pepper beside the key file, or refuse one that others can read."""
    pepper = pepper_path(path)
    try:
        if pepper.stat().st_mode & OTHERS:
            raise BadKeyFile(f"{pepper}: others can read it; expected mode 0600")
        return pepper.read_bytes()
    except OSError as e:
        raise BadKeyFile(f"{pepper}: {e.strerror}") from e


def digest_of(pepper: bytes, secret: str) -> str:
    """Return what the file keeps of a secret."""
    return hmac.digest(pepper, secret.encode(), "sha256").hex()


def pepper_path(path: Path) -> Path:
    return path.with_suffix(".pepper")


def _make_pepper(path: Path, clock: Clock) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = os.open(pepper_path(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, OURS_ALONE)
    except FileExistsError:
        return
    with os.fdopen(made, "wb") as file:
        file.write(clock.random_bits(SECRET_BITS).to_bytes(SECRET_BITS // 8, "big"))
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path)


def _change(path: Path, change: Callable[[list[KeyRecord]], list[KeyRecord]]) -> None:
    with alone(path):
        keys = change(read_keys(path))
        fresh = path.with_suffix(".new")
        opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OURS_ALONE)
        with os.fdopen(opened, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(_KeyFile(keys)), indent=1))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync_folder(path)


def _sync_folder(path: Path) -> None:
    """Make a name in this folder durable: a power cut must not bring a revoked key back."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time change the file, or one key of two would be lost."""
    with pepper_path(path).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
