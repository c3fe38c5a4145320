"""The issuer of operators' tokens: its keys as we know them, asked for beside the requests.

The set is fetched at the start and every few minutes. A token that names a key which is not in it
has it fetched again, once in half a minute at most and by one request for all who wait, so that a
key that was changed last minute opens, and a stranger with invented names is no load on the
issuer. The trap is an issuer that is away at the open: the last good set stays in force until it
is back, and what is not a good set never takes its place.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from app.clock import Clock
from app.settings import OperatorSettings
from app.web.access.issuer_keys import FileSource, KeysAway, UrlSource
from app.web.access.keyfile import ROLES
from app.web.access.keys import Principal
from app.web.access.tokens import BadKeySet, SigningKey, Terms, keys_of, kid_of, principal_of

# Issuers show a new key for hours before they sign with it, and an old one as long after.
EVERY_S: Final = 300.0
# A file costs nothing, and whoever changes it stands there and waits.
FILE_EVERY_S: Final = 5.0
AGAIN_NS: Final = 30_000_000_000
FILE_AGAIN_NS: Final = 1_000_000_000
_log: Final = logging.getLogger("openbell.web")


class KeySource(Protocol):
    """Where the issuer's keys are."""

    async def fetch(self) -> bytes:
        """Return the set as it stands there, soon and not large, or raise `KeysAway`."""


class Issuer:
    """Whom the settings believe: its terms, and its keys as they were last seen."""

    def __init__(
        self,
        terms: Terms,
        source: KeySource,
        clock: Clock,
        every_s: float = EVERY_S,
        again_ns: int = AGAIN_NS,
    ) -> None:
        self._terms = terms
        self._source = source
        self._clock = clock
        self._every_s = every_s
        self._again_ns = again_ns
        self._keys: Mapping[str, SigningKey] = {}
        self._asked_ns: int | None = None
        self._one_at_a_time = asyncio.Lock()
        self.trouble: str | None = None  # why what is there now is not in force

    def principal(self, authorization: str) -> Principal:
        """Return whose token this header carries, or raise `Refused`."""
        return principal_of(authorization, self._keys, self._terms, self._clock.now())

    async def prepare(self, authorization: str) -> None:
        """Look for the key of this token, if it is new to us and we have not just looked."""
        kid = kid_of(authorization)
        if kid is not None and kid not in self._keys:
            await self._look(self._again_ns)

    async def run(self) -> None:
        """Keep the set fresh, for ever."""
        while True:
            await self._look(0)
            # While there is no set at all, or it is not to be had, somebody may stand at the door.
            waits = self._again_ns / 1e9 if self.trouble else self._every_s
            await asyncio.sleep(min(waits, self._every_s))

    async def _look(self, rest_ns: int) -> None:
        """Ask for the set, unless somebody has within this time; who waits shares the answer."""
        async with self._one_at_a_time:
            now_ns = self._clock.monotonic_ns()
            if self._asked_ns is not None and now_ns - self._asked_ns < rest_ns:
                return
            self._asked_ns = now_ns
            try:
                self._keys = keys_of(await self._source.fetch())
            except (KeysAway, BadKeySet) as e:
                if self.trouble is None:
                    _log.warning("issuer.away", extra={"why": str(e)})
                self.trouble = f"the keys of operators' tokens: {e}"
            else:
                self.trouble = None


def open_issuer(settings: OperatorSettings, clock: Clock) -> Issuer:
    """Build what the settings name; nothing is asked yet."""
    roles = {word: ROLES[role] for word, role in settings.roles.items()}
    terms = Terms(settings.issuer, settings.audience, settings.role_claim, roles)
    if settings.jwks_file is not None:
        source = FileSource(settings.jwks_file)
        return Issuer(terms, source, clock, FILE_EVERY_S, FILE_AGAIN_NS)
    assert settings.jwks_url is not None, "the settings have either"
    return Issuer(terms, UrlSource(settings.jwks_url), clock)
