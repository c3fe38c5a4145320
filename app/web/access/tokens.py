"""Who an operator is, by a token (JWT) that an issuer has signed; decided from values alone.

A token is believed when a key of the issuer's set has signed it, by the one algorithm that this
key is for, and when each of `iss aud exp nbf iat jti sub` says what we expect, for a quarter of an
hour at most. Nothing that the token says of itself is asked before: its `alg` must be the key's
own, and none of `jku jwk x5u x5c` is ever read. The traps are as old as the format: `none`, and
a public key that is used as the secret of an HMAC. Neither can be written down here, because
the algorithm comes from the key, and a key that is no public key is not in the set.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jwt
import msgspec

from app.domain.errors import Code, Refused
from app.web.access.keyfile import KNOWN, PERSON
from app.web.access.keys import EVERY_ACCOUNT, SUBJECT, Principal

# By kind and curve: what a key is for. One that claims another algorithm is not taken.
_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
# Below 2,048 bits somebody factors it; a giant one costs us the time that each check takes.
RSA_BITS: Final = range(2_048, 8_193)
KEYS_MAX: Final = 64
# A stolen token is worth as much as it has time left, and nobody can take it back.
LIFE_MS_MAX: Final = 15 * 60_000
# Two machines that keep time by NTP are closer than this.
LEEWAY_MS: Final = 10_000
# RFC 9068 names an access token so; older issuers say JWT, or nothing.
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
_PART: Final = r"([A-Za-z0-9_-]{1,%d})"
_TOKEN: Final = re.compile(
    r"[Bb]earer (" + rf"{_PART % 1_024}\.{_PART % 6_144}" + rf")\.{_PART % 1_400}", re.ASCII
)


class BadKeySet(Exception):
    """A key set with which nobody's signature could be checked."""


class SigningKey(NamedTuple):
    """One public key of the issuer, and the one algorithm that it is for."""

    algorithm: str
    public: Any


class Terms(NamedTuple):
    """Whose tokens we take, and what their words for a role allow."""

    issuer: str
    audience: str
    role_claim: str
    roles: Mapping[str, frozenset[str]]


class _Header(msgspec.Struct):
    alg: str
    kid: str
    typ: str = ""
    crit: Any = None  # whatever it is, we do not know it


class _Claims(msgspec.Struct):
    iss: str
    aud: str | list[str]
    exp: float
    nbf: float
    iat: float
    jti: str
    sub: str


class _Taken(NamedTuple):
    """A token in its parts; nothing of it is proven."""

    header: _Header
    signed: bytes
    claims: bytes
    signature: bytes


def principal_of(
    authorization: str, keys: Mapping[str, SigningKey], terms: Terms, now: int
) -> Principal:
    """Return whose token this `Authorization` header carries, or raise `Refused`.

    Why is told only once the signature is good: before that, it is a stranger who asks.
    """
    taken = _taken(authorization)
    key = keys.get(taken.header.kid) if taken else None
    if taken is None or key is None or not _is_signed(taken, key):
        raise _refused("the token is not signed by a key and an algorithm of the issuer")
    said, role = _said(taken.claims, terms.role_claim)
    if said.iss != terms.issuer:
        raise _refused("the token is of another issuer")
    if terms.audience not in ([said.aud] if isinstance(said.aud, str) else said.aud):
        raise _refused("the token is for another audience")
    _check_times(said, now)
    if not said.jti or not PERSON.fullmatch(said.sub):
        raise _refused("the token names nobody: expected jti, and sub in plain ASCII")
    scopes = frozenset[str]().union(*(terms.roles.get(word, ()) for word in role))
    until = int(said.exp * 1_000)
    return Principal(_id_of(said), KNOWN + said.sub, scopes, frozenset({EVERY_ACCOUNT}), until)


def kid_of(authorization: str) -> str | None:
    """Return which key a token says that it was signed by; None if it is no such token."""
    taken = _taken(authorization)
    return None if taken is None else taken.header.kid


def keys_of(document: bytes) -> Mapping[str, SigningKey]:
    """Return the keys of a JWK set that may sign tokens, by `kid`, or raise `BadKeySet`."""
    try:
        found = msgspec.json.decode(document)["keys"]
        listed = [jwk for jwk in found if isinstance(jwk, dict)]
    except (ValueError, RecursionError, KeyError, TypeError):  # no UTF-8 is a value as well
        raise BadKeySet("expected a JSON Web Key Set") from None
    keys: dict[str, SigningKey] = {}
    twice = set()
    for jwk in listed[:KEYS_MAX]:
        kid, key = jwk.get("kid"), _key_of(jwk)
        if isinstance(kid, str) and kid and key is not None:
            twice |= {kid} & keys.keys()
            keys[kid] = key
    keys = {kid: key for kid, key in keys.items() if kid not in twice}
    if not keys:
        raise BadKeySet("expected a public key with a kid for RS256, ES256 or EdDSA")
    return keys


def _key_of(jwk: Mapping[str, Any]) -> SigningKey | None:
    """Return a key if it is for signatures that we know; one with its private part is nobody's."""
    kind = (str(jwk.get("kty")), str(jwk["crv"]) if "crv" in jwk else None)
    algorithm = _ALGORITHMS.get(kind)
    for_this = jwk.get("alg", algorithm) == algorithm and jwk.get("use", "sig") == "sig"
    checks = jwk.get("key_ops", ["verify"]) == ["verify"]
    if algorithm is None or not (for_this and checks) or "d" in jwk:
        return None
    try:
        public = jwt.get_algorithm_by_name(algorithm).from_jwk(dict(jwk))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if algorithm == "RS256" and public.key_size not in RSA_BITS:
        return None
    return SigningKey(algorithm, public)


def _taken(authorization: str) -> _Taken | None:
    found = _TOKEN.fullmatch(authorization)
    if found is None:
        return None
    signed, header, claims, signature = found.groups()
    try:
        read = msgspec.json.decode(_bytes(header), type=_Header)
        return _Taken(read, signed.encode(), _bytes(claims), _bytes(signature))
    except (ValueError, RecursionError):  # msgspec's and base64's own are values that are wrong
        return None


def _is_signed(taken: _Taken, key: SigningKey) -> bool:
    header = taken.header
    if header.alg != key.algorithm or header.crit is not None or header.typ.lower() not in _TYPES:
        return False
    by = jwt.get_algorithm_by_name(key.algorithm)
    return bool(by.verify(taken.signed, key.public, taken.signature))


def _said(claims: bytes, role_claim: str) -> tuple[_Claims, list[str]]:
    try:
        document = msgspec.json.decode(claims)
        said = msgspec.convert(document, _Claims)
    except (ValueError, RecursionError):
        raise _refused("the token lacks one of iss aud exp nbf iat jti sub") from None
    role = document.get(role_claim, "")
    listed = role if isinstance(role, list) else [role]
    return said, [word for each in listed if isinstance(each, str) for word in each.split()]


def _check_times(said: _Claims, now: int) -> None:
    begun, ends = min(said.iat, said.nbf), said.exp
    if not 0 < ends - begun <= LIFE_MS_MAX / 1_000:
        raise _refused("the token lives longer than 15 minutes, or not at all")
    if ends * 1_000 <= now - LEEWAY_MS:
        raise _refused("the token has expired")
    if max(said.iat, said.nbf) * 1_000 > now + LEEWAY_MS:
        raise _refused("the token is not yet valid")


def _id_of(said: _Claims) -> str:
    # The person's and not the token's: who renews his token between two tries is the same caller.
    return SUBJECT + hashlib.sha256(f"{said.iss} {said.sub}".encode()).hexdigest()[:20]


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _refused(why: str) -> Refused:
    return Refused(Code.UNAUTHENTICATED, why)
