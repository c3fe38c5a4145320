"""Fetches an issuer's key set: from its address, or from a file; within bounds, or not at all.

One request on a connection of its own, by TLS that is verified, without redirects, for three
seconds and 64 KiB at most. The trap is a redirect: whoever can send us elsewhere would say who
our operators are.
"""

import asyncio
import stat
from pathlib import Path
from typing import Final

import aiohttp

TIMEOUT_S: Final = 3.0
# A key is below 3 kB with its certificates, and an issuer has a handful.
BYTES_MAX: Final = 65_536
OK: Final = 200


class KeysAway(Exception):
    """No key set is to be had now."""


class UrlSource:
    """A key set that the issuer publishes."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def fetch(self) -> bytes:
        """Ask once; a session is not kept, for minutes pass between two."""
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=self._timeout,
                    connector=aiohttp.TCPConnector(force_close=True),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    # What is packed small may be large: it is asked for as it is.
                    auto_decompress=False,
                    headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                ) as session,
                session.get(self._url, allow_redirects=False) as reply,
            ):
                if reply.status != OK:
                    raise KeysAway(f"expected 200, was {reply.status}")
                return await _bounded(reply.content)
        except (aiohttp.ClientError, OSError, ValueError) as e:  # TimeoutError is an OSError
            raise KeysAway(type(e).__name__) from e


class FileSource:
    """A key set in a file, put there by whoever runs the gateway."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self) -> bytes:
        """Read it, aside: a disk may be a network."""
        try:
            found = await asyncio.to_thread(self._read)
        except OSError as e:
            raise KeysAway(f"{self._path}: {e.strerror}") from e
        if len(found) > BYTES_MAX:
            raise KeysAway(f"{self._path}: expected at most {BYTES_MAX} bytes")
        return found

    def _read(self) -> bytes:
        if not stat.S_ISREG(self._path.stat().st_mode):  # a pipe would be waited for, for ever
            raise KeysAway(f"{self._path}: expected a file")
        with self._path.open("rb") as file:
            return file.read(BYTES_MAX + 1)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    found = b""
    async for chunk in content.iter_any():
        found += chunk
        if len(found) > BYTES_MAX:
            raise KeysAway(f"expected at most {BYTES_MAX} bytes")
    return found
