"""The reference library of Standard Webhooks believes what we sign, and nothing else."""

from base64 import b64decode
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.clock import SystemClock
from app.domain.webhooks import delivery_id_of, rotated
from app.webhooks.signing import (
    NoRoot,
    Roots,
    headers,
    mark_of,
    secret_of,
    secrets_of,
    shown,
)
from tests.contracts.test_webhook_store import an_endpoint

ROOT = bytes(range(32))
BODY = '{"type":"order.filled","data":{"text":"장 시작 €"}}'.encode()
ID = delivery_id_of("o-1", "we_1")


def now_s() -> int:
    return SystemClock().now() // 1_000


def test_the_reference_library_believes_our_signature() -> None:
    secret = secret_of(ROOT, "we_1", "salt")
    told = headers([secret], ID, now_s(), BODY)

    assert Webhook(shown(secret)).verify(BODY, told)["type"] == "order.filled"
    assert told["webhook-id"] == ID


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": str(now_s() - 10)},
        {"webhook-signature": "v1,AAAA"},
    ],
)
def test_what_was_changed_on_the_way_is_not_believed(change: dict[str, str]) -> None:
    secret = secret_of(ROOT, "we_1", "salt")
    told = headers([secret], ID, now_s(), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(secret)).verify(BODY, told | change)
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(secret)).verify(BODY + b" ", told)


def test_while_a_secret_rotates_the_old_one_and_the_new_one_are_believed() -> None:
    now = now_s() * 1_000
    before = an_endpoint(salt="old")
    both = rotated(before, "new", "r", now + 1_000)
    told = headers(secrets_of(ROOT, both, now), ID, now_s(), BODY)
    later = headers(secrets_of(ROOT, both, now + 1_000), ID, now_s(), BODY)

    for salt in ("old", "new"):
        Webhook(shown(secret_of(ROOT, "we_1", salt))).verify(BODY, told)
    assert [s[:3] for s in told["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    assert told["webhook-signature"].split(" ")[0] == later["webhook-signature"]
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(secret_of(ROOT, "we_1", "old"))).verify(BODY, later)


def test_a_secret_is_of_one_endpoint_one_salt_and_one_root() -> None:
    secrets = {
        secret_of(root, endpoint, salt)
        for root in (ROOT, bytes(32))
        for endpoint in ("we_1", "we_2")
        for salt in ("a", "b")
    }

    assert len(secrets) == 8
    assert all(24 <= len(secret) <= 64 for secret in secrets)
    assert shown(ROOT).startswith("whsec_")
    assert b64decode(shown(ROOT).removeprefix("whsec_")) == ROOT
    assert mark_of(ROOT) != mark_of(bytes(32))


def test_a_root_that_others_can_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.pepper"
    with pytest.raises(NoRoot):
        Roots(path).read()
    path.write_bytes(ROOT)
    path.chmod(0o640)
    with pytest.raises(NoRoot, match="0600"):
        Roots(path).read()
    path.chmod(0o600)

    assert Roots(path).read() == ROOT
