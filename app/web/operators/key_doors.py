"""Keys as operators see and end them; they are made by `openbell key`, where a secret is at home.

A key that has leaked must end from wherever one stands, and at once: every gateway that reads the
key file refuses it within a second. The file is no table, so its change cannot be one commit with
the audit row: the row is written first, and says what was wanted.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pydantic import Field

from app.domain.errors import Code, Refused
from app.domain.records import Change
from app.domain.values import rfc3339
from app.ports.away import StoreAway
from app.web.access.keyfile import BadKeyFile, KeyRecord, role_of
from app.web.access.keys import EVERY_ACCOUNT, Principal, not_there
from app.web.house import House
from app.web.operator_schemas import Preview, Reasoned
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, etag, json_of, ok
from app.web.told import At, Told, Version, WouldTold
from app.web.undoing import would

KEYS: Final = "admin:keys"
PATH: Final = "/admin/v1/keys"
ONE: Final = f"{PATH}/{{key_id}}"


class KeyTold(Told):
    """One key: whose it is and what it may do, never what opens it."""

    key_id: str = Field(examples=["00c0ffee00c0ffee00c0"])
    version: Version
    name: str = Field(examples=["mina"])
    person: str | None = Field(
        description="Its holder, as the issuer of tokens says.", examples=["mina"]
    )
    kind: str = Field(examples=["live"])
    role: str | None = Field(examples=["operator"])
    scopes: list[str] = Field(examples=[["admin:read"]])
    accounts: list[str] = Field(examples=[["*"]])
    networks: list[str] = Field(
        description="Where it may come from; none: anywhere.", examples=[["10.1.0.0/16"]]
    )
    created_at: At
    expires_at: At | None
    last_used_at: At | None = Field(
        description="To the hour; of the gateways that share this one's folder."
    )
    revoked: bool


class KeysTold(Told):
    """Every key that the caller may know of."""

    data: list[KeyTold]


class KeyDoors:
    """The keys of the file, as it stands now."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def listed(self, call: Call[None, None]) -> Reply:
        """List the keys whose accounts the caller sees."""
        found = [key for key in self._house.keyring.records() if _sees(call.who, key)]
        return ok({"data": [self._shape(key) for key in found]})

    async def get(self, call: Call[None, None]) -> Reply:
        """Show one key; its ETag is what a revocation must name."""
        key = self._found(call)
        return ok(self._shape(key), etag(_version(key)))

    async def revoke(self, call: Call[Reasoned, Preview]) -> Reply:
        """End a key, for ever; it is refused within a second, and its streams end."""
        key = self._found(call)
        if call.version != _version(key):
            raise Refused(
                Code.STALE_VERSION, "the key was revoked before", current=self._shape(key)
            )
        if call.query.dry_run:
            return ok(would(self._shape(key), self._shape(key) | {"revoked": True}))
        by = call.actor(call.body.reason)
        change = Change("key.revoke", f"key/{key.id}", {"revoked": False}, {"revoked": True})
        await self._house.control.note(change, by)
        try:
            revoked = await asyncio.to_thread(self._house.keyring.revoke, key.id)
        except (OSError, BadKeyFile, KeyError) as e:  # KeyError: it went a moment ago
            raise StoreAway(f"the key file cannot be changed: {e}") from e
        return ok(self._shape(revoked), etag(_version(revoked)))

    def _shape(self, key: KeyRecord) -> dict[str, Any]:
        return _shape(key) | {"last_used_at": instant(self._house.keyring.used.get(key.id))}

    def _found(self, call: Call[Any, Any]) -> KeyRecord:
        wanted = call.part("key_id")
        for key in self._house.keyring.records():
            if key.id == wanted and _sees(call.who, key):
                return key
        raise not_there()


def _sees(who: Principal, key: KeyRecord) -> bool:
    return EVERY_ACCOUNT in who.accounts or set(key.accounts) <= who.accounts


def _version(key: KeyRecord) -> int:
    # What a person decides about a key is decided once; that a rotation has brought its end nearer
    # is no reason to keep somebody from revoking it.
    return 2 if key.revoked else 1


def _shape(key: KeyRecord) -> dict[str, Any]:
    return {
        "key_id": key.id,
        "version": _version(key),
        "name": key.name,
        "person": key.person,
        "kind": key.kind,
        "role": role_of(key.scopes) or None,
        "scopes": key.scopes,
        "accounts": key.accounts,
        "networks": key.networks,
        "created_at": rfc3339(key.created_at),
        "expires_at": instant(key.expires_at),
        "revoked": key.revoked,
    }


def key_specs(house: House) -> Sequence[Spec[Any, Any]]:
    doors = KeyDoors(house)
    return (
        Spec(
            method="GET",
            path=PATH,
            name="list_keys",
            scope=KEYS,
            handler=doors.listed,
            answers={200: KeysTold},
        ),
        Spec(
            method="GET",
            path=ONE,
            name="get_key",
            scope=KEYS,
            handler=doors.get,
            answers={200: KeyTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        Spec(
            method="POST",
            path=f"{ONE}/revoke",
            name="revoke_key",
            scope=KEYS,
            handler=doors.revoke,
            reads=json_of(Reasoned),
            asks=Preview,
            answers={200: KeyTold | WouldTold},
            shows=("ETag",),
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.NOT_FOUND,
                Code.STALE_VERSION,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
            audited=True,
        ),
    )
