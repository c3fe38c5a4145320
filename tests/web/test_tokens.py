"""Operators' tokens: only the issuer's signature opens, and only for a quarter of an hour."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.domain.errors import Code, Refused
from app.web.access.keyfile import ROLES
from app.web.access.keys import Principal
from app.web.access.tokens import BadKeySet, SigningKey, keys_of, kid_of, principal_of
from tests.web.house import OPENS_AT
from tests.web.issuer import TERMS, claims, jwk, key_set, made_by_hand, private, token

KEYS: Final[Mapping[str, SigningKey]] = keys_of(key_set(jwk("rsa-1"), jwk("ec-1"), jwk("ed-1")))


def read(text: str, now: int = OPENS_AT) -> Principal:
    return principal_of(f"Bearer {text}", KEYS, TERMS, now)


def refusal(text: str, now: int = OPENS_AT) -> str:
    """Return why a token is refused; never in the words of the token."""
    with pytest.raises(Refused) as caught:
        read(text, now)
    assert caught.value.code is Code.UNAUTHENTICATED
    assert not caught.value.context
    return caught.value.detail


UNSIGNED: Final = "the token is not signed by a key and an algorithm of the issuer"


@pytest.mark.parametrize("kid", ["rsa-1", "ec-1", "ed-1"])
def test_each_algorithm_of_the_issuer_opens(kid: str) -> None:
    who = read(token(claims(), kid))

    assert (who.name, who.scopes) == ("oidc:mina", ROLES["operator"])
    assert who.sees("A-1")
    assert who.until == OPENS_AT + 300_000


def test_none_is_no_algorithm() -> None:
    for name in ("none", "None", "NONE", ""):
        for signature in (b"", b"x"):
            bare = made_by_hand({"alg": name, "kid": "ed-1"}, claims(), signature)
            assert refusal(bare) == UNSIGNED
    assert refusal(jwt.encode(claims(), "", "none", {"kid": "ed-1"})) == UNSIGNED


@pytest.mark.parametrize("kid", ["rsa-1", "ec-1", "ed-1"])
def test_a_public_key_is_no_secret_of_an_hmac(kid: str) -> None:
    public = private(kid).public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    encodings = serialization.Encoding.PEM, serialization.Encoding.DER
    secrets = [public.public_bytes(encoding, info) for encoding in encodings]
    secrets += [json.dumps(jwk(kid)).encode()]
    for secret in secrets:
        forged = made_by_hand({"alg": "HS256", "kid": kid}, claims())
        signed = forged.rpartition(".")[0]
        seal = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        text = base64.urlsafe_b64encode(seal).rstrip(b"=").decode()
        assert refusal(f"{signed}.{text}") == UNSIGNED


def test_an_algorithm_is_the_keys_own() -> None:
    padded = jwt.encode(claims(), private("rsa-1"), "PS256", {"kid": "rsa-1"})
    longer = jwt.encode(claims(), private("rsa-1"), "RS512", {"kid": "rsa-1"})
    borrowed = token(claims(), "rsa-1", kid="ec-1")
    renamed = token(claims(), "ed-1").split(".")
    said_rs = made_by_hand({"alg": "RS256", "kid": "ed-1"}, claims()).split(".")
    # Even where the signature is good, a header that lies is no header of the issuer's.
    lying, _, _ = made_by_hand({"alg": "RS256", "kid": "ed-1"}, claims()).rpartition(".")
    proof = base64.urlsafe_b64encode(private("ed-1").sign(lying.encode())).rstrip(b"=").decode()
    for text in (
        padded,
        longer,
        borrowed,
        f"{lying}.{proof}",
        ".".join([said_rs[0], *renamed[1:]]),
    ):
        assert refusal(text) == UNSIGNED


def test_what_was_signed_is_what_counts() -> None:
    header, _, signature = token(claims()).split(".")
    other = made_by_hand({}, claims(openbell_role="approver")).split(".")[1]

    assert refusal(f"{header}.{other}.{signature}") == UNSIGNED
    assert refusal(f"{header}.{other}.") == UNSIGNED
    assert refusal(token(claims(), "ed-2")) == UNSIGNED  # a key that is not in the set
    assert refusal(token(claims(), "ed-2", kid="ed-1")) == UNSIGNED


def test_a_key_in_the_header_is_nobodys() -> None:
    mine = jwk("ed-2")
    forged = token(claims(), "ed-2", kid="ed-1", jwk=mine, jku="https://evil.example/keys")

    assert refusal(forged) == UNSIGNED


def test_a_token_of_another_kind_is_none() -> None:
    for kind in ("dpop+jwt", "logout+jwt", "secevent+jwt", "JWE"):
        assert refusal(token(claims(), typ=kind)) == UNSIGNED
    for kind in ("at+jwt", "application/at+jwt", "JWT"):
        assert read(token(claims(), typ=kind)).name == "oidc:mina"
    assert refusal(token(claims(), crit=["exp"])) == UNSIGNED
    assert refusal(jwt.encode(claims(), private("ed-1"), "EdDSA")) == UNSIGNED  # no kid


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        *(
            ({name: None}, "the token lacks one of iss aud exp nbf iat jti sub")
            for name in ("iss", "aud", "exp", "nbf", "iat", "jti", "sub")
        ),
        ({"exp": True}, "the token lacks one of iss aud exp nbf iat jti sub"),
        ({"exp": str(OPENS_AT // 1000 + 60)}, "the token lacks one of iss aud exp nbf iat jti sub"),
        ({"aud": {"openbell": 1}}, "the token lacks one of iss aud exp nbf iat jti sub"),
        ({"iss": "https://id.example/"}, "the token is of another issuer"),
        ({"aud": "openbell2"}, "the token is for another audience"),
        ({"aud": ["other", "open"]}, "the token is for another audience"),
        ({"aud": []}, "the token is for another audience"),
        ({"jti": ""}, "the token names nobody: expected jti, and sub in plain ASCII"),
        ({"sub": ""}, "the token names nobody: expected jti, and sub in plain ASCII"),
        ({"sub": "m\u0456na"}, "the token names nobody: expected jti, and sub in plain ASCII"),
        ({"sub": "mina\n"}, "the token names nobody: expected jti, and sub in plain ASCII"),
    ],
)
def test_every_claim_is_asked_for(changes: Mapping[str, Any], why: str) -> None:
    # PyJWT's encoder refuses some of these itself, so they are signed by hand.
    raw = json.dumps(claims(**changes)).encode()
    text = jwt.PyJWS().encode(raw, private("ed-1"), "EdDSA", {"kid": "ed-1"})

    assert refusal(text) == why


def test_one_of_several_audiences_is_enough() -> None:
    assert read(token(claims(aud=["billing", "openbell"]))).name == "oidc:mina"


def test_a_token_lives_a_quarter_of_an_hour_and_ten_seconds_of_two_clocks() -> None:
    now_s = OPENS_AT // 1_000
    quarter = token(claims(exp=now_s + 900))
    assert read(quarter, OPENS_AT + 909_999).name == "oidc:mina"
    assert refusal(quarter, OPENS_AT + 910_000) == "the token has expired"

    too_long = "the token lives longer than 15 minutes, or not at all"
    assert refusal(token(claims(exp=now_s + 901))) == too_long
    # A life is counted from the earlier of the two, or a late `nbf` would hide it.
    assert refusal(token(claims(exp=now_s + 900, iat=now_s - 1))) == too_long
    assert refusal(token(claims(exp=now_s))) == too_long
    for endless in ("1e999", "1" + "0" * 300):
        raw = json.dumps(claims()).replace(str(now_s + 300), endless).encode()
        text = jwt.PyJWS().encode(raw, private("ed-1"), "EdDSA", {"kid": "ed-1"})
        assert "the token l" in refusal(text)

    assert read(token(claims(nbf=now_s + 10))).name == "oidc:mina"
    assert refusal(token(claims(nbf=now_s + 11))) == "the token is not yet valid"
    assert refusal(token(claims(iat=now_s + 11))) == "the token is not yet valid"


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        ("viewer", {"viewer"}),
        (["operator", "approver"], {"operator", "approver"}),
        ("openid viewer approver", {"viewer", "approver"}),
        (["everything", 7, None], set()),
        ({"operator": True}, set()),
        (None, set()),
        ("Operator admin:keys orders:write *", set()),
    ],
)
def test_a_role_is_what_its_keys_would_be(said: object, roles: set[str]) -> None:
    who = read(token(claims(openbell_role=said)))

    assert who.scopes == frozenset[str]().union(*(ROLES[role] for role in roles))
    assert not any(scope.startswith("orders:") for scope in who.scopes)


def test_a_renewed_token_is_the_same_caller_and_another_persons_is_not() -> None:
    first, again = (
        read(token(claims(jti=jti), kid)) for jti, kid in (("1", "ed-1"), ("2", "ec-1"))
    )

    assert first.key_id == again.key_id != read(token(claims(sub="jun"))).key_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "é.b.c",
        "eyJhbGciOiJFZERTQSJ9=.e30.c2ln",
        made_by_hand("EdDSA", {}),
        made_by_hand({"alg": 1, "kid": "ed-1"}, {}),
        made_by_hand({"alg": "EdDSA", "kid": ["ed-1"]}, {}),
        base64.urlsafe_b64encode(b"[" * 700).rstrip(b"=").decode() + ".e30.c2ln",
        base64.urlsafe_b64encode(b'{"a":' * 150).rstrip(b"=").decode() + ".e30.c2ln",
        "e30." + "a" * 7_000 + ".c2ln",
    ],
)
def test_what_is_no_token_is_refused_like_one_that_nobody_signed(text: str) -> None:
    assert refusal(text) == UNSIGNED
    assert kid_of(f"Bearer {text}") is None


def test_claims_that_no_issuer_would_sign_break_nothing() -> None:
    for raw in (b"[" * 4_000, b"[]", b"7", b"\xff", b'{"iss":'):
        text = jwt.PyJWS().encode(raw, private("ed-1"), "EdDSA", {"kid": "ed-1"})
        assert refusal(text) == "the token lacks one of iss aud exp nbf iat jti sub"


# --- key sets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strange",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
        jwk("rsa-1", alg="HS256"),
        jwk("rsa-1", alg="RS512"),
        jwk("rsa-1", use="enc"),
        jwk("rsa-1", kid=None),
        jwk("rsa-1", kid=7),
        jwk("rsa-1", n="AQAB"),
        jwk("rsa-1", n=5),
        jwk("rsa-1", key_ops=["encrypt"]),
        jwk("rsa-1", key_ops=7),
        jwk("rsa-1", kty=["RSA"]),
        jwk("ec-1", crv="P-384"),
        jwk("ec-1", crv=["P-256"]),
        jwk("ec-1", x="AQAB"),
        jwk("rsa-1", crv=[]),
        jwk("ed-1", crv="Ed448"),
        jwk("ed-1", crv={}),
        jwk("ed-1", x=""),
        # Its private part: everybody has this key.
        jwt.get_algorithm_by_name("RS256").to_jwk(private("rsa-1"), as_dict=True)
        | {"kid": "rsa-1", "key_ops": ["verify"]},
        "key",
        None,
    ],
)
def test_a_key_that_we_do_not_know_is_left_out(strange: Any) -> None:
    found = keys_of(key_set(strange, jwk("ec-1")))

    assert list(found) == ["ec-1"]
    assert found["ec-1"].algorithm == "ES256"


def test_a_short_key_is_left_out() -> None:
    short = rsa.generate_private_key(65537, 1_024).public_key()  # noqa: S505 - it is refused
    listed = jwt.get_algorithm_by_name("RS256").to_jwk(short, as_dict=True)

    assert list(keys_of(key_set(listed | {"kid": "short"}, jwk("ed-1")))) == ["ed-1"]


def test_a_kid_that_stands_twice_is_nobodys() -> None:
    found = keys_of(key_set(jwk("ed-1"), jwk("ed-2", kid="ed-1"), jwk("ec-1")))

    assert list(found) == ["ec-1"]


def test_an_algorithm_need_not_be_named_where_the_kind_says_it() -> None:
    bare = [jwk(kid, alg=None, use=None) for kid in ("rsa-1", "ec-1", "ed-1")]

    assert [key.algorithm for key in keys_of(key_set(*bare)).values()] == [
        "RS256",
        "ES256",
        "EdDSA",
    ]


@pytest.mark.parametrize(
    "document",
    [
        *(
            b"",
            b"{",
            b"[]",
            b"{}",
            b'{"keys":7}',
            b'{"keys":[]}',
            b"[" * 60_000,
            b"\xff",
            b"<html>",
        ),
        b'{"keys":[{"kid":"Schl\xfcssel"}]}',  # as an editor of another country saves it
    ],
)
def test_a_set_without_a_key_is_none(document: bytes) -> None:
    with pytest.raises(BadKeySet):
        keys_of(document)
