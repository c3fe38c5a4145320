"""The line to a simulated broker's control plane: implements `FaultLine` of `ports.failover`.

Only settings name such a line, and what answers there must show that it is a simulator before
anything is asked of it: the trap is a drill that reaches a broker with other people's money. A
fault carries its own end, so a gateway that dies in mid-drill leaves no sick broker behind.
"""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from app import codec
from app.domain.drill import DrillFault

TIMEOUT_S: Final = 5.0
EVERYTHING: Final = ("orders", "cancels", "lookups", "ping")
# What each fault is in the simulator's own words.
FAULTS: Final[Mapping[DrillFault, Mapping[str, Mapping[str, Any]]]] = {
    DrillFault.DIES: {"close_before_read": {"on": EVERYTHING}},
    DrillFault.REFUSES: {"refuse_conn": {}},
    DrillFault.HANGS: {"timeout_before_accept": {"d": 60.0, "on": EVERYTHING}},
    DrillFault.SWALLOWS: {
        "accept_drop_reply": {},
        "close_before_read": {"on": EVERYTHING[1:]},
    },
    DrillFault.ERRS: {"http_503": {"on": EVERYTHING}},
}
# Whoever shows these is one of ours.
SHOWN_BY_A_SIMULATOR: Final = frozenset({"faults_on", "faults_fired", "worst_second"})
HEALED: Final = {"*": None}


def switches(fault: DrillFault, fraction: float, for_s: float) -> dict[str, dict[str, Any]]:
    """Return what to post to `/sim/faults`; a closed listener knows no fraction."""
    ends = {"for_s": for_s, "probability": fraction}
    return {name: {**switch, **ends} for name, switch in FAULTS[fault].items()}


class NoSimulator(OSError):
    """What answers there is no simulated broker, or does not know us."""


class SimulatorLine:
    """One simulated broker's control plane."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret}"}

    async def infect(self, fault: DrillFault, fraction: float, for_s: float) -> None:
        stats = await self._ask("GET", "/sim/stats", None)
        if not isinstance(stats, dict) or not stats.keys() >= SHOWN_BY_A_SIMULATOR:
            raise NoSimulator(f"what answers at {self._url} is no simulated broker")
        await self._ask("POST", "/sim/faults", switches(fault, fraction, for_s))

    async def heal(self) -> None:
        await self._ask("POST", "/sim/faults", HEALED)

    async def _ask(self, method: str, path: str, body: object) -> Any:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        data = None if body is None else codec.encode(body)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.request(
                    method, self._url + path, data=data, allow_redirects=False
                ) as reply,
            ):
                if not reply.ok:
                    raise NoSimulator(f"HTTP {reply.status} from {self._url}{path}")
                return codec.decode(await reply.read())
        except (aiohttp.ClientError, codec.Malformed) as e:
            raise NoSimulator(f"{self._url}{path}: {type(e).__name__}: {e}"[:200]) from e
