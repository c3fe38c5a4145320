"""An issuer of operators' tokens: its keys, the set that it publishes, and what it signs."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from app.web.access.issuer import Issuer
from app.web.access.keyfile import ROLES
from app.web.access.tokens import Terms
from app.web.app import create_app
from tests.web.house import OPENS_AT, Gateway

ISSUER: Final = "https://id.example"
AUDIENCE: Final = "openbell"
TERMS: Final = Terms(ISSUER, AUDIENCE, "openbell_role", ROLES)
ALGORITHMS: Final = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


@cache
def private(kid: str) -> Any:
    """Return the private key of this name, made once: `rsa…`, `ec…` or `ed…`."""
    if kid.startswith("rsa"):
        return rsa.generate_private_key(65537, 2_048)
    if kid.startswith("ec"):
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def algorithm_of(kid: str) -> str:
    return next(name for kind, name in ALGORITHMS.items() if kid.startswith(kind))


def jwk(kid: str, /, **changes: object) -> dict[str, Any]:
    """Return the public part as the issuer publishes it; None takes a field away."""
    algorithm = algorithm_of(kid)
    public = private(kid).public_key()
    found = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    found = {k: v for k, v in found.items() if k != "key_ops"}
    found |= {"kid": kid, "alg": algorithm, "use": "sig"} | changes
    return {name: value for name, value in found.items() if value is not None}


def key_set(*jwks: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": list(jwks)}).encode()


def claims(now: int = OPENS_AT, **changes: object) -> dict[str, Any]:
    """Return what a sound token says of an operator; None takes a claim away."""
    now_s = now // 1_000
    sound = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now_s,
        "nbf": now_s,
        "exp": now_s + 300,
        "jti": "t-1",
        "sub": "mina",
        "openbell_role": "operator",
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}


def token(said: Mapping[str, Any], kid: str = "ed-1", /, **header: Any) -> str:
    """Return a token that the issuer has signed."""
    return jwt.encode(dict(said), private(kid), algorithm_of(kid), {"kid": kid} | header)


def made_by_hand(header: object, said: object, signature: bytes = b"x" * 64) -> str:
    """Return a token that no library would make."""
    parts = (json.dumps(header).encode(), json.dumps(said).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)


class StillSource:
    """An issuer's address that answers as it is told, and counts who asks."""

    def __init__(self, document: bytes | Exception = b"") -> None:
        self.document = document or key_set(jwk("ed-1"))
        self.asked = 0

    async def fetch(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0.1)
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


def trusting(gateway: Gateway, source: StillSource | None = None) -> Gateway:
    """Return the same house, where operators may carry tokens of this issuer."""
    issuer = Issuer(TERMS, source or StillSource(), gateway.clock)
    house = replace(gateway.house, operators=issuer, registry=CollectorRegistry())
    return replace(gateway, house=house, client=TestClient(create_app(house)))


def bearer(gateway: Gateway, sub: str = "mina", role: object = "operator") -> dict[str, str]:
    """Return the header of an operator who has just got a token."""
    said = claims(gateway.clock.at, sub=sub, openbell_role=role)
    return {"Authorization": f"Bearer {token(said)}"}
