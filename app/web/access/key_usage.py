"""When each key was last used, to the hour: so that one that nobody needs can be ended.

    keys.used    key id to the hour of its last use, beside the key file

A use is a number in memory; a thread writes what is new once a minute, so no request waits for the
disk. Several gateways on one folder add to one file. The trap is to take it for a proof: it is lost
with its folder, a use of the last minute may be missing, and a gateway elsewhere has a file of its
own. Who did what stands in the audit log.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from app.web.access.keyfile import OURS_ALONE, alone
from app.web.access.keys import Keyring

EVERY_S: Final = 60.0


def used_path(path: Path) -> Path:
    return path.with_suffix(".used")


def read_used(path: Path) -> dict[str, int]:
    """Return the last use of each key of this key file, as far as it is known."""
    try:
        return msgspec.json.decode(used_path(path).read_bytes(), type=dict[str, int])
    except (OSError, ValueError):  # it is comfort, and is made again
        return {}


def add_used(path: Path, used: Mapping[str, int], known_ids: frozenset[str]) -> dict[str, int]:
    """Add what is newer to the file, without keys that are no more; return all of it."""
    with alone(path):
        before = read_used(path)
        after = {
            key_id: max(before.get(key_id, 0), used.get(key_id, 0))
            for key_id in sorted((before.keys() | used.keys()) & known_ids)
        }
        if after != before:
            fresh = path.with_suffix(".used.new")
            opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OURS_ALONE)
            with os.fdopen(opened, "wb") as file:
                file.write(msgspec.json.encode(after))
            fresh.replace(used_path(path))
    return after


async def keep_used(keyring: Keyring, path: Path) -> None:
    """Write down what was used and learn what others have seen, once a minute, for ever."""
    found = await asyncio.to_thread(read_used, path)
    while True:
        keyring.used |= {k: at for k, at in found.items() if at > keyring.used.get(k, 0)}
        await asyncio.sleep(EVERY_S)
        ids = frozenset(record.id for record in keyring.records())
        with suppress(OSError):  # a folder that is read-only: it is known here until the stop
            found = await asyncio.to_thread(add_used, path, dict(keyring.used), ids)
