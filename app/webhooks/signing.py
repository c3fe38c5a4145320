"""Signs what leaves, by the Standard Webhooks specification, with secrets that nobody keeps.

    secret     whsec_ + base64 of HMAC-SHA256(pepper, "webhook <endpoint> <salt>")
    signature  v1, + base64 of HMAC-SHA256(secret, "<id>.<timestamp>.<body>"), one for each secret

The pepper lies in a file of ours, readable by us alone; the ledger keeps the salt. Neither of the
two opens anything without the other, so a copied database signs nothing, and there is nothing to
decrypt. A new salt is a new secret. The trap is a process with another pepper, whose signatures
every receiver refuses: so an endpoint keeps the mark of the one that its secret comes from.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.domain.webhooks import Endpoint

SALT_BITS: Final = 128
MARK_LETTERS: Final = 16
OTHERS: Final = 0o077


class NoRoot(Exception):
    """There is no pepper to derive secrets from, or one that others can read."""


class Roots:
    """The pepper beside the key file, read when it is asked for: the first key makes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        """Return the pepper, or raise `NoRoot`."""
        try:
            if self._path.stat().st_mode & OTHERS:
                raise NoRoot(f"{self._path}: others can read it; expected mode 0600")
            return self._path.read_bytes()
        except OSError as e:
            raise NoRoot(f"{self._path}: {e.strerror}") from e


def mark_of(root: bytes) -> str:
    """Return what names a pepper and tells nothing of it."""
    return hmac.digest(root, b"webhook root", "sha256").hex()[:MARK_LETTERS]


def secret_of(root: bytes, endpoint_id: str, salt: str) -> bytes:
    """Return the 32 bytes that an endpoint and its sender share."""
    # Digests of keys are made of 64 letters, so none of them begins like this.
    return hmac.digest(root, f"webhook {endpoint_id} {salt}".encode(), "sha256")


def shown(secret: bytes) -> str:
    """Return a secret as its owner is shown it, once."""
    return f"whsec_{b64encode(secret).decode()}"


def secrets_of(root: bytes, endpoint: Endpoint, now: int) -> list[bytes]:
    """Return the secrets that sign now, the newest first."""
    return [secret_of(root, endpoint.endpoint_id, salt) for salt in endpoint.salts(now)]


def headers(
    secrets: Sequence[bytes], delivery_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Return the three headers of the specification."""
    signed = b"%s.%d.%s" % (delivery_id.encode(), timestamp_s, body)
    signatures = [b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
