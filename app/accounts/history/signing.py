"""The key that signs verification reports: a file that only its owner may read.

It is made at the first use. Whoever has it can write a report that lets a ledger's day be
dropped, so it belongs where the partition job runs and nowhere else.

The trap is a key that came into being by accident: an empty or a shared file would sign for
everybody. So what is too short, or open to others, is refused.
"""

import os
import stat
from pathlib import Path
from typing import Final

from app.accounts.history.report import KEY_BYTES_MIN
from app.clock import Clock

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class BadKey(ValueError):
    """A key file that nobody should trust."""


def signing_key(path: Path, clock: Clock) -> bytes:
    """Return the key, made now if there is none, or raise `BadKey`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_key(path)
    with os.fdopen(handle, "wb") as file:
        file.write(f"{clock.random_bits(8 * KEY_BYTES_MIN):064x}\n".encode())
    return read_key(path)


def read_key(path: Path) -> bytes:
    """Return the key that is there, or raise `BadKey`."""
    try:
        mode = path.stat().st_mode
        key = path.read_bytes().strip()
    except OSError as e:
        raise BadKey(f"{path}: {e.strerror}") from e
    if mode & OTHERS:
        raise BadKey(f"{path}: others may use it too: chmod 600 {path}")
    if len(key) < KEY_BYTES_MIN:
        raise BadKey(f"{path}: expected at least {KEY_BYTES_MIN} bytes, found {len(key)}")
    return key
